//! Cuts a file into its sections.

use super::columns::{Header, guess, is_header, title};
use super::error::CsvError;
use super::lines::Line;
use super::preamble::Preamble;
use super::report::Report;
use crate::beurer::{Kind, shown};

/// A section, or a piece of one: a header and the rows below it.
pub(super) struct Table<'a> {
    pub(super) kind: Kind,
    pub(super) header: Header,
    pub(super) rows: Vec<Line<'a>>,
}

/// A file, cut.
#[derive(Default)]
pub(super) struct Content<'a> {
    pub(super) preamble: Preamble,
    pub(super) tables: Vec<Table<'a>>,
    /// The lines of the rows of sections that are not known.
    pub(super) unknown: Vec<usize>,
}

/// Where in the file we are.
enum At {
    /// Before the first section.
    Preamble,
    /// Below a title that is known: the header is next.
    Titled(Kind),
    /// In the last table.
    Table,
    /// In a section that is not known.
    Unknown,
}

/// Cuts the lines into sections.
pub(super) fn read<'a>(lines: &[Line<'a>], report: &mut Report) -> Result<Content<'a>, CsvError> {
    let mut content = Content::default();
    let mut at = At::Preamble;
    // A line on its own that may be the title of a section that is not known, or a note.
    let mut pending: Option<(usize, String)> = None;
    let mut titles = 0;
    for line in lines {
        let cells = || line.cells.iter().map(AsRef::as_ref);
        let cut_off = matches!(at, At::Table | At::Unknown) && begins_with_a_digit(line);
        if let Some(text) = line.single().filter(|_| !cut_off) {
            match title(text) {
                Some(kind) => {
                    (at, pending) = (At::Titled(kind), None);
                    titles += 1;
                }
                None => pending = Some((line.number, text.to_owned())),
            }
            continue;
        }
        if is_header(cells()) {
            let guessed = guess(cells());
            let kind = match (&at, &pending, guessed) {
                (At::Titled(kind), ..) => {
                    let header = Header::of(*kind, line.number, cells());
                    match (header.missing(*kind), guessed) {
                        (None, _) => {}
                        (Some(_), Some(found)) if found != *kind => {
                            return Err(CsvError::MixedSections { line: line.number, section: *kind, found });
                        }
                        (Some(missing), _) => {
                            return Err(CsvError::MissingColumns {
                                line: line.number,
                                section: *kind,
                                missing,
                            });
                        }
                    }
                    Some(*kind)
                }
                (.., Some(kind)) => {
                    let text = format!("no known title stands above these columns; they are read as {kind}");
                    report.warn(Some(line.number), "no-title", text);
                    Some(kind)
                }
                (_, pending, None) => {
                    let name =
                        pending.as_ref().map_or_else(String::new, |(_, name)| format!(" {}", shown(name)));
                    let text = format!("nothing of the section{name} is read: it is not known");
                    report.warn(Some(line.number), "unknown-section", text);
                    None
                }
            };
            pending = None;
            at = match kind {
                Some(kind) => {
                    let header = Header::of(kind, line.number, cells());
                    content.tables.push(Table { kind, header, rows: Vec::new() });
                    At::Table
                }
                None => At::Unknown,
            };
            continue;
        }
        match &at {
            At::Preamble => content.preamble.line(line),
            At::Titled(section) => {
                return Err(CsvError::NoHeader { line: line.number, section: *section });
            }
            // Behind the table: a note with a semicolon in it.
            At::Table if (line.after_blank || pending.is_some()) && !begins_with_a_digit(line) => {
                report.warn(Some(line.number), "not-understood", "this line is no reading, and is not read");
            }
            At::Table => {
                pending = None;
                if let Some(table) = content.tables.last_mut() {
                    table.rows.push(line.clone());
                }
            }
            At::Unknown => content.unknown.push(line.number),
        }
    }
    if content.tables.is_empty() && titles == 0 {
        return Err(CsvError::NotAnExport);
    }
    Ok(content)
}

fn begins_with_a_digit(line: &Line<'_>) -> bool {
    line.cell(0).starts_with(|c: char| c.is_ascii_digit())
}
