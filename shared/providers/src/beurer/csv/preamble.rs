//! What stands before the first section. It names the person, of which nothing is kept.

use super::columns::{plain, title};
use super::dates::Written;
use super::lines::Line;
use crate::beurer::Kind;

const FROM: &[&str] = &["von", "from", "start", "start date"];
const UNTIL: &[&str] = &["bis", "to", "until", "end", "end date"];

/// The stated period and the stated counts.
#[derive(Default)]
pub(super) struct Preamble {
    from: Option<(usize, Written)>,
    until: Option<(usize, Written)>,
    /// Line, section, how many readings.
    pub(super) counts: Vec<(usize, Kind, u64)>,
}

impl Preamble {
    /// Takes up a line of it.
    pub(super) fn line(&mut self, line: &Line<'_>) {
        if line.cells.iter().skip(2).any(|c| !c.is_empty()) {
            return;
        }
        let (name, value) = (plain(line.cell(0)), line.cell(1));
        if FROM.contains(&name.as_str()) {
            self.from = self.from.or(Written::read(value).map(|d| (line.number, d)));
        } else if UNTIL.contains(&name.as_str()) {
            self.until = self.until.or(Written::read(value).map(|d| (line.number, d)));
        } else if let (Some(kind), Ok(count)) = (title(&name), value.parse::<u64>())
            && value.bytes().all(|b| b.is_ascii_digit())
        {
            self.counts.push((line.number, kind, count));
        }
    }

    /// The first and the last day, where both are stated.
    pub(super) fn period(&self) -> Option<(Written, Written)> {
        Some((self.from?.1, self.until?.1))
    }

    /// The dates in it, with their lines.
    pub(super) fn dates(&self) -> impl Iterator<Item = (usize, Written)> {
        [self.from, self.until].into_iter().flatten()
    }
}
