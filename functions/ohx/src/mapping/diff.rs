//! `ohx mapping diff`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use ohx_mapping::{Change, Comparison, Difference, LeftOut, ReadingDifference, Side, compare};

use super::Out;
use super::corpus::Corpus;
use super::source::Source;
use super::table::table;

/// Tells what B makes of recorded pages otherwise than A: which readings, and how.
///
/// It prints what stands in the readings, which is health data where the pages are somebody's. Exit code 0: no
/// difference; 1: differences; 2: a document or a page could not be read.
#[derive(Args)]
pub(crate) struct Diff {
    /// A document: a file, or builtin:PROVIDER/RECORD
    a: String,
    /// Another one
    b: String,
    /// The folder of the recorded pages: *.json, in folders of it too, but for *.expected.json
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
    /// Prints counts only, nothing of a reading
    #[arg(long)]
    summary: bool,
    /// Counts the tag with the mapping's name and version as well
    #[arg(long)]
    tags: bool,
}

impl Diff {
    pub(super) fn run(&self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let (a, b) = (Source::load(&self.a)?, Source::load(&self.b)?);
        if a.mapping.name() != b.mapping.name() {
            eprintln!("warning: {} and {} are of two records", a.title(), b.title());
        }
        let context = a.mapping.example_context()?;
        let corpus = Corpus::open(&self.corpus)?;
        let mut totals = Totals::default();
        let failed = corpus.each(out, |file, page| {
            let comparison = compare(&a.mapping, &b.mapping, page, &context, self.tags)?;
            totals.add(&comparison);
            if self.summary || comparison.differences.is_empty() {
                return Ok(String::new());
            }
            Ok(format!("{}\n{}\n", file.display(), lines(&comparison.differences)))
        })?;
        writeln!(out, "A  {}\nB  {}", a.title(), b.title())?;
        writeln!(out, "{} pages, {failed} of them not readable", corpus.len())?;
        write!(out, "{}", totals.shown())?;
        Ok(match (failed, totals.differs()) {
            (0, false) => ExitCode::SUCCESS,
            (0, true) => ExitCode::FAILURE,
            _ => ExitCode::from(2),
        })
    }
}

/// The differences of one page.
fn lines(differences: &[Difference]) -> String {
    let mut text = String::new();
    // Writing to a String does not fail.
    let mut line = |what: std::fmt::Arguments<'_>| {
        let _infallible = writeln!(text, "{what}");
    };
    for difference in differences {
        match difference {
            Difference::LeftOut(LeftOut { reason, before, after }) => {
                line(format_args!("  left out          {reason}: {before} -> {after}"));
            }
            Difference::Reading(reading) => {
                line(format_args!("  {:<17} {}", word(reading.change()), named(reading)));
                for change in reading.changes() {
                    let shown = |text: Option<&str>| text.unwrap_or("(nothing)").to_owned();
                    let (before, after) = (shown(change.before()), shown(change.after()));
                    line(format_args!("      {}: {before} -> {after}", change.path()));
                }
            }
        }
    }
    text
}

fn word(change: Change) -> &'static str {
    match change {
        Change::Changed => "changed",
        Change::IdentityChanged => "identity changed",
        Change::OnlyInA => "only in A",
        Change::OnlyInB => "only in B",
    }
}

/// A reading by its kind and identifier, or by both of each.
fn named(reading: &ReadingDifference) -> String {
    let both = |of: fn(&Side) -> &str| {
        let (before, after) = (reading.before().map(of), reading.after().map(of));
        match (before, after) {
            (Some(before), Some(after)) if before != after => format!("{before} -> {after}"),
            (one, other) => one.or(other).unwrap_or_default().to_owned(),
        }
    };
    let mut text = format!("{}  {}", both(|s| &s.kind), both(|s| &s.identifier.value));
    let system = both(|s| &s.identifier.system);
    if system.contains(" -> ") {
        text.push_str("  ");
        text.push_str(&system);
    }
    text
}

/// What the pages came to.
#[derive(Default)]
struct Totals {
    /// By kind: readings that are the same, and each way in which they are not.
    kinds: BTreeMap<String, [u64; 5]>,
    /// By reason: how often B left out less and how often more, page by page.
    left_out: BTreeMap<String, [u64; 2]>,
}

impl Totals {
    fn add(&mut self, comparison: &Comparison) {
        for (kind, count) in &comparison.unchanged {
            self.kinds.entry(kind.to_string()).or_default()[0] += count;
        }
        for difference in &comparison.differences {
            match difference {
                Difference::LeftOut(l) => {
                    let counts = self.left_out.entry(l.reason.clone()).or_default();
                    counts[0] += l.before.saturating_sub(l.after);
                    counts[1] += l.after.saturating_sub(l.before);
                }
                Difference::Reading(reading) => {
                    let column = match reading.change() {
                        Change::Changed => 1,
                        Change::IdentityChanged => 2,
                        Change::OnlyInA => 3,
                        Change::OnlyInB => 4,
                    };
                    self.kinds.entry(reading.kind().to_owned()).or_default()[column] += 1;
                }
            }
        }
    }

    fn differs(&self) -> bool {
        !self.left_out.is_empty() || self.kinds.values().any(|[_, rest @ ..]| rest.iter().any(|n| *n > 0))
    }

    fn shown(&self) -> String {
        let row = |name: &str, counts: &[u64]| {
            std::iter::once(name.to_owned()).chain(counts.iter().map(u64::to_string)).collect::<Vec<_>>()
        };
        let mut text = String::new();
        let kinds: Vec<_> = self.kinds.iter().map(|(kind, counts)| row(kind, counts)).collect();
        if !kinds.is_empty() {
            let header = ["kind", "same", "changed", "identity changed", "only in A", "only in B"];
            text.push('\n');
            text.push_str(&table(&header, &kinds));
        }
        let left_out: Vec<_> = self.left_out.iter().map(|(reason, counts)| row(reason, counts)).collect();
        if !left_out.is_empty() {
            text.push('\n');
            text.push_str(&table(&["left out", "less often in B", "more often in B"], &left_out));
        }
        if self.kinds.values().any(|counts| counts[2] > 0) {
            text.push_str(
                "\nWhere the identity changes, the EHR gets the readings once more, beside the old ones.\n",
            );
        }
        if !self.differs() {
            text.push_str("\nNo difference.\n");
        }
        text
    }
}
