//! `ohx mapping coverage`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use ohx_mapping::Survey;

use super::Out;
use super::corpus::Corpus;
use super::source::Source;
use super::table::table;

/// Tells what of recorded pages no rule reads, which rules never fire, and what matched no rule.
///
/// It prints names and counts, nothing of a reading. Pages that cannot be read are told, and left out.
#[derive(Args)]
pub(crate) struct Coverage {
    /// The document: a file, or builtin:PROVIDER/RECORD
    mapping: String,
    /// The folder of the recorded pages: *.json, in folders of it too, but for *.expected.json
    #[arg(long, value_name = "DIR")]
    corpus: PathBuf,
}

impl Coverage {
    pub(super) fn run(&self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let source = Source::load(&self.mapping)?;
        let context = source.mapping.example_context()?;
        let corpus = Corpus::open(&self.corpus)?;
        let mut survey = Survey::default();
        let failed = corpus.each(out, |_, page| {
            source.mapping.survey(page, &context, &mut survey).map(|()| String::new())
        })?;
        if survey.pages() == 0 {
            bail!("none of the pages in {} could be read", self.corpus.display());
        }
        writeln!(out, "{}", source.title())?;
        let (records, observations) = (survey.records(), survey.observations());
        writeln!(
            out,
            "{} pages, {failed} of them not readable; {records} records became {observations} Observations",
            corpus.len()
        )?;

        let rows = |counts: &mut dyn Iterator<Item = (&str, u64)>| {
            counts.map(|(what, count)| vec![what.to_owned(), count.to_string()]).collect::<Vec<_>>()
        };
        let unread = rows(&mut survey.never_read());
        writeln!(out, "\nFields that no rule read: {}", unread.len())?;
        write!(out, "{}", section(&["field", "times seen"], &unread))?;
        if survey.untold_fields() > 0 {
            writeln!(out, "  and others, met {} times: there are too many names", survey.untold_fields())?;
        }

        let kinds: Vec<_> = survey.never_fired().collect();
        writeln!(out, "\nKinds that never fired: {} of {}", kinds.len(), survey.kinds().count())?;
        kinds.iter().try_for_each(|kind| writeln!(out, "  {kind}"))?;
        let reasons: Vec<_> = survey.idle_reasons().collect();
        if !reasons.is_empty() {
            writeln!(out, "\nReasons of the document that never applied: {}", reasons.len())?;
            reasons.iter().try_for_each(|reason| writeln!(out, "  {reason}"))?;
        }

        let unmatched = rows(&mut survey.unmatched());
        writeln!(out, "\nMatched no rule: {}", total(survey.unmatched()))?;
        write!(out, "{}", section(&["reason", "times"], &unmatched))?;
        let is_other = |(reason, _): &(&str, u64)| !survey.unmatched().any(|(other, _)| other == *reason);
        let refused = rows(&mut survey.left_out().filter(is_other));
        writeln!(out, "\nLeft out for other reasons: {}", total(survey.left_out().filter(is_other)))?;
        write!(out, "{}", section(&["reason", "times"], &refused))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn total<'s>(counts: impl Iterator<Item = (&'s str, u64)>) -> u64 {
    counts.map(|(_, count)| count).sum()
}

fn section(header: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() { String::new() } else { table(header, rows) }
}
