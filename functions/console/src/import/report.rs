//! What became of a file, for a person. The API gives no health value, and none is here.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use secrecy::SecretString;

use super::form::Values;
use super::progress::Progress;
use super::words;
use crate::api::{Imported, Line, Report};
use crate::{Console, ConsoleError};

/// How many lines are listed at most.
const LINES: usize = 500;

/// What is shown.
pub(super) struct Outcome {
    pub(super) title: String,
    pub(super) lead: String,
    /// Whether the file was only looked at.
    pub(super) check: bool,
    pub(super) records: Vec<RecordRow>,
    pub(super) lines: Vec<LineRow>,
    /// How many more lines there are.
    pub(super) more: usize,
    pub(super) warnings: Vec<String>,
    pub(super) columns: Vec<ColumnRow>,
    pub(super) progress: Option<Progress>,
}

pub(super) struct RecordRow {
    pub(super) name: String,
    pub(super) readings: u64,
    pub(super) from: String,
    pub(super) until: String,
}

pub(super) struct LineRow {
    pub(super) line: u64,
    pub(super) section: String,
    pub(super) column: String,
    pub(super) what: String,
}

pub(super) struct ColumnRow {
    pub(super) section: String,
    pub(super) column: String,
    pub(super) reason: String,
}

impl Outcome {
    /// From the API's answer; asks how far the readings are, where they are on their way.
    pub(super) async fn of(
        console: &Console,
        key: &SecretString,
        imported: Imported,
        check: bool,
        values: &Values,
    ) -> Result<Self, ConsoleError> {
        let Imported { sync, records, report } = imported;
        let zone = TimeZone::get(&values.zone).unwrap_or(TimeZone::UTC);
        let shown = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%-d %b %Y, %H:%M").to_string();
        let readings: u64 = records.iter().map(|r| r.readings).sum();
        let records = records
            .into_iter()
            .map(|r| RecordRow {
                name: words::record(&r.record),
                readings: r.readings,
                from: shown(r.start),
                until: shown(r.end),
            })
            .collect();
        let title = match (check, readings) {
            (_, 0) => "No readings in this file".to_owned(),
            (true, n) => format!("{} can be imported", words::count(n, "reading")),
            (false, n) => format!("{} taken from the file", words::count(n, "reading")),
        };
        let mut lines: Vec<LineRow> = report.lines.iter().flat_map(rows).collect();
        let more = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        let progress = match sync {
            Some(sync) => Some(Progress::begun(console, key, sync).await?),
            None => None,
        };
        let lead = lead(&report);
        let warnings = report.warnings.into_iter().map(|w| match w.line {
            Some(line) => format!("Line {line}: {}", w.text),
            None => words::sentence(&w.text),
        });
        let columns = report.columns.iter().map(|c| ColumnRow {
            section: words::record(&c.section),
            column: c.column.clone(),
            reason: words::not_read(&c.reason).into_owned(),
        });
        Ok(Self {
            title,
            lead,
            check,
            records,
            lines,
            more,
            warnings: warnings.collect(),
            columns: columns.collect(),
            progress,
        })
    }
}

/// All rows in a sentence.
fn lead(report: &Report) -> String {
    let rows = &report.counts;
    let mut said = format!("{} of {} taken", rows.imported, words::count(rows.rows, "row"));
    for (n, what) in [(rows.duplicates, "in the file twice"), (rows.left_out, "left out")] {
        if n > 0 {
            said.push_str(&format!(", {n} {what}"));
        }
    }
    said.push('.');
    match report.date_order.as_deref() {
        Some("dmy") => said.push_str(" Dates were read day first."),
        Some("mdy") => said.push_str(" Dates were read month first."),
        _ => {}
    }
    said
}

/// What there is to say of a line: nothing, where it was simply taken.
fn rows(line: &Line) -> Vec<LineRow> {
    let section = line.section.as_deref().map_or_else(|| "Not known".to_owned(), words::record);
    let row = |column: &str, what: String| LineRow {
        line: line.line,
        section: section.clone(),
        column: column.to_owned(),
        what,
    };
    let mut rows = Vec::new();
    let column = line.column.as_deref().unwrap_or_default();
    match (line.outcome.as_str(), &line.reason) {
        ("imported", _) => {}
        ("duplicate", _) => {
            rows.push(row("", "In the file twice: the same reading stands further up".to_owned()));
        }
        (_, Some(reason)) => rows.push(row(column, format!("Left out: {}", words::left_out(reason)))),
        (outcome, None) => rows.push(row(column, outcome.to_owned())),
    }
    for cell in &line.cells {
        let what = format!("Taken without this cell: {}", words::left_out(&cell.reason));
        rows.push(row(&cell.column, what));
    }
    if let Some(time) = &line.time {
        rows.push(row("", format!("Taken: {}", words::shifted(time))));
    }
    rows
}
