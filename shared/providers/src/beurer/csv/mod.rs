//! The CSV export of the app HealthManager Pro and of its sibling HealthForYou.
//!
//! A file has a preamble (the person, the period, the categories and their counts) and a section for each kind of
//! reading: a title, the names of the columns, a row for each reading. Columns are found by name. What cannot be decided
//! is refused: day first or month first is never guessed, and a file whose counts are wrong is not imported in part.
//! Structure and locales are those of `providers/beurer.md`, section 2.
//!
//! The person's name, birthday, sex and height are in the file, and so are comments and medication in free text. None
//! of it is kept, printed or passed on.

mod columns;
mod dates;
mod error;
mod lines;
mod preamble;
mod report;
mod rows;
mod sections;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Instant, Interval};

pub use self::dates::{DateOrder, InvalidDateOrder};
pub use self::error::CsvError;
pub use self::report::{
    CellReport, ColumnReport, Counts, LineReport, NotRead, Outcome, Reason, Report, Warning,
};
pub use super::zone::Shift;

use self::columns::Column;
use self::dates::{Evidence, Written};
use self::sections::{Content, Table};
use super::normal::{self, Reading, RecordParts};
use super::{Kind, shown, zone};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 10 * 1024 * 1024;

/// The most lines of a file, empty ones not counted.
pub const MAX_LINES: usize = 200_000;

/// The most cells of a line.
pub const MAX_CELLS: usize = 100;

/// How to read a file.
#[derive(Debug, Clone)]
pub struct Options {
    /// The IANA name of the zone that the phone was in: the file has wall clock times only.
    pub zone: String,
    /// How dates with slashes are read, where the file does not show it.
    pub date_order: Option<DateOrder>,
    /// Whether to import a file that has more or fewer readings than it states.
    pub accept_counts: bool,
    /// Now: readings of the future are left out.
    pub now: Instant,
}

/// What a file holds.
#[derive(Debug)]
pub struct Export {
    /// The readings by record, those records only that have some.
    pub records: Vec<RecordParts>,
    /// The period that the file states: from the first instant of its first day to the end of its last day, or to now
    /// where that is still to come. Where it states none, from the first reading to one second after the last; `None`
    /// where there is none either.
    pub window: Option<Interval>,
    /// What became of each row.
    pub report: Report,
}

/// Reads a file. The same file and the same zone always give the same readings.
///
/// # Errors
/// [`CsvError`] where the file as a whole cannot be trusted; nothing of it is imported then.
pub fn read(file: &[u8], options: &Options) -> Result<Export, CsvError> {
    let text = lines::text(file)?;
    let zone = zone::named(&options.zone).ok_or(CsvError::UnknownZone)?;
    let lines = lines::lines(text)?;
    let mut report = Report::default();
    let content = sections::read(&lines, &mut report)?;
    counts(&content, options, &mut report)?;
    let order = date_order(&content, options)?;
    report.date_order = order;
    let period = content.preamble.period().and_then(|(from, until)| {
        let (from, until) = (from.date(order)?, until.date(order)?);
        (from <= until).then_some((from, until))
    });
    let rules = rows::Rules { zone: &zone, order, period, now: options.now };
    let readings = readings(&content, &rules, &mut report);
    notes(&content, &mut report);

    // The names of zones hold nothing that JSON escapes.
    let lead = format!("\"origin\":\"csv\",\"zone\":\"{}\"", options.zone);
    let records = normal::parts(&lead, &readings);
    let read = normal::window(readings.iter().map(|r| r.at));
    let window =
        period.and_then(|days| stated(days, &zone, read.map_or(options.now, |r| r.end.max(options.now))));
    Ok(Export { records, window: window.or(read), report })
}

fn readings(content: &Content<'_>, rules: &rows::Rules<'_>, report: &mut Report) -> Vec<Reading> {
    let mut readings = Vec::new();
    let mut seen = HashSet::new();
    let mut reported = Vec::new();
    for table in &content.tables {
        let section = Some(table.kind);
        for line in &table.rows {
            let blank = LineReport {
                line: line.number,
                section,
                outcome: Outcome::LeftOut,
                reason: None,
                column: None,
                cells: Vec::new(),
                time: None,
            };
            reported.push(match rows::read(table.kind, &table.header, line, rules) {
                Ok(row) => {
                    let fresh = seen.insert((table.kind, row.reading.text.reveal().clone()));
                    let outcome = if fresh { Outcome::Imported } else { Outcome::Duplicate };
                    let cells = if fresh { row.cells } else { Vec::new() };
                    if fresh {
                        readings.push(row.reading);
                    }
                    LineReport { outcome, cells, time: row.shift, ..blank }
                }
                Err(rows::Refused(reason, column)) => {
                    LineReport { reason: Some(reason), column: column.map(|c| shown(&c)), ..blank }
                }
            });
        }
    }
    for line in &content.unknown {
        reported.push(LineReport {
            line: *line,
            section: None,
            outcome: Outcome::LeftOut,
            reason: Some(Reason::UnknownSection),
            column: None,
            cells: Vec::new(),
            time: None,
        });
    }
    reported.sort_by_key(|l| l.line);
    for mut line in reported {
        line.cells.iter_mut().for_each(|c| c.column = shown(&c.column));
        report.row(line);
    }
    readings
}

/// Holds the stated counts against the rows.
fn counts(content: &Content<'_>, options: &Options, report: &mut Report) -> Result<(), CsvError> {
    let stated = &content.preamble.counts;
    for kind in Kind::ALL {
        let rows = |t: &Table<'_>| if t.kind == kind { t.rows.len() } else { 0 };
        let found = u64::try_from(content.tables.iter().map(rows).sum::<usize>()).unwrap_or(u64::MAX);
        let of_kind: Vec<_> = stated.iter().filter(|(_, k, _)| *k == kind).collect();
        let Some((line, ..)) = of_kind.first() else {
            if found > 0 && !stated.is_empty() {
                let text = format!("the file has readings of {kind}, and does not state how many");
                report.warn(None, "count-not-stated", text);
            }
            continue;
        };
        let sum = of_kind.iter().fold(0_u64, |sum, (.., n)| sum.saturating_add(*n));
        if sum == found {
            continue;
        }
        let wrong = CsvError::Counts { line: *line, section: kind, stated: sum, found };
        if !options.accept_counts {
            return Err(wrong);
        }
        let text = format!("the file states {sum} readings of {kind} and has {found}");
        report.warn(Some(*line), "counts", text);
    }
    if stated.is_empty() {
        let text = "the file does not state how many readings it has: that it is complete was not checked";
        report.warn(None, "no-counts", text);
    }
    Ok(())
}

fn date_order(content: &Content<'_>, options: &Options) -> Result<Option<DateOrder>, CsvError> {
    let mut all: Vec<(usize, Written)> = content.preamble.dates().collect();
    let mut meridiem = None;
    for table in &content.tables {
        let at = |wanted| table.header.columns.iter().position(|(c, _)| *c == wanted);
        let (date, time) = (at(Column::Date), at(Column::Time));
        for line in &table.rows {
            all.extend(date.and_then(|at| Some((line.number, Written::read(line.cell(at))?))));
            meridiem = meridiem.or_else(|| dates::time(line.cell(time?))?.1);
        }
    }
    let evidence = Evidence { dates: &all, period: content.preamble.period(), meridiem };
    dates::order(options.date_order, &evidence)
}

/// What is worth a word about the file as a whole.
fn notes(content: &Content<'_>, report: &mut Report) {
    let (mut comma, mut point) = (false, false);
    for table in &content.tables {
        let Table { kind, header, rows } = table;
        for (n, (column, name)) in header.columns.iter().enumerate() {
            match column {
                Column::Skip(reason) if !name.is_empty() => report.columns.push(ColumnReport {
                    line: header.line,
                    section: *kind,
                    column: shown(name),
                    reason: *reason,
                }),
                Column::Value(_) | Column::In(..) => {
                    for line in rows {
                        if let rows::Cell::Number(_, Some(sign)) = rows::number(line.cell(n)) {
                            comma |= sign == ',';
                            point |= sign == '.';
                        }
                    }
                }
                _ => {}
            }
        }
    }
    if comma && point {
        let text =
            "some decimals have a comma and some a point: the file was put together from two languages";
        report.warn(None, "mixed-decimals", text);
    }
    let moved = report.lines.iter().filter(|l| l.outcome == Outcome::Imported && l.time.is_some()).count();
    if moved > 0 {
        let text = format!("{moved} readings lie where the clocks were changed: see `time` in their lines");
        report.warn(None, "clock-change", text);
    }
}

/// From the first instant of the first day to the first after the last, but not beyond `most`: of what is still to come
/// the file knows nothing.
fn stated((from, until): (Date, Date), zone: &TimeZone, most: Instant) -> Option<Interval> {
    let midnight = |day: Date| zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible().ok();
    Interval::new(midnight(from)?, midnight(until.tomorrow().ok()?)?.min(most))
}
