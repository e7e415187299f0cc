//! What became of a file, line by line, without a value.

use std::collections::BTreeMap;

use serde::Serialize;

use super::dates::DateOrder;
use crate::beurer::Kind;

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportOutcome))]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It is in the parts.
    Imported,
    /// The same reading stands further up in the file.
    Duplicate,
    /// It is not imported; the reason says why.
    LeftOut,
}

/// Why a row, or a cell of it, is not imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportReason))]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// Fewer cells than the header.
    TooFewCells,
    /// More cells than the header, and no comment that could have been split.
    TooManyCells,
    /// A cell that is no date, time or number of the kind that its column has.
    Unreadable,
    /// A cell that begins as formulas do: `=`, `+`, `@`, or a minus that is no number.
    Formula,
    /// No value was measured that this kind of reading needs.
    Empty,
    /// Not within the period that the file states.
    OutsidePeriod,
    /// Later than now: a wrong date, a wrong zone or a wrong clock.
    Future,
    /// The same value in two units, and they are not the same.
    UnitsDisagree,
    /// Not a body's temperature: the mode says an object, a liquid or a room.
    NotBodyTemperature,
    /// Of a section that is not known.
    UnknownSection,
}

/// A cell that was left out of a reading that is imported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportCellReport))]
pub struct CellReport {
    /// The column, as the header calls it.
    pub column: String,
    /// Why.
    pub reason: Reason,
}

/// What became of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportLineReport))]
pub struct LineReport {
    /// The line in the file, from 1.
    pub line: usize,
    /// The record of its section; none where the section is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub section: Option<Kind>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The column that the reason is about, as the header calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Cells that are missing from the reading.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cells: Vec<CellReport>,
    /// What summer time did to its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<crate::beurer::csv::Shift>,
}

/// How many rows became what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportCounts))]
pub struct Counts {
    /// Rows of readings.
    pub rows: u64,
    /// Those that are in the parts.
    pub imported: u64,
    /// Those that stand in the file twice.
    pub duplicates: u64,
    /// Those that are not imported.
    pub left_out: u64,
    /// Cells that are missing from readings that are imported.
    pub cells_left_out: u64,
}

/// Why nothing of a column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportNotRead))]
#[serde(rename_all = "kebab-case")]
pub enum NotRead {
    /// Its name is not known.
    Unknown,
    /// Comments and medication: free text is health data, and no resource needs it.
    FreeText,
    /// It says nothing that the others do not.
    NotNeeded,
    /// Which unit its numbers are in is not known.
    UnitUnknown,
    /// A column of the same meaning stands before it.
    Twice,
}

/// A column of which nothing is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportColumnReport))]
pub struct ColumnReport {
    /// The header's line.
    pub line: usize,
    /// The record of its section.
    pub section: Kind,
    /// As the header calls it.
    pub column: String,
    /// Why not.
    pub reason: NotRead,
}

/// What the one who imports should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportWarning))]
pub struct Warning {
    /// The line that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// A short name that stays the same.
    pub code: &'static str,
    /// What it means, in words.
    pub text: String,
}

/// What became of a file. It holds no value, no date and nothing of the person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = ImportReport))]
pub struct Report {
    /// All rows.
    pub counts: Counts,
    /// By record.
    pub records: BTreeMap<&'static str, Counts>,
    /// How dates with slashes were read; none where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date_order: Option<DateOrder>,
    /// Every row, in the file's order.
    pub lines: Vec<LineReport>,
    /// Columns of which nothing is read.
    pub columns: Vec<ColumnReport>,
    /// What else there is to know.
    pub warnings: Vec<Warning>,
}

impl Report {
    pub(super) fn warn(&mut self, line: Option<usize>, code: &'static str, text: impl Into<String>) {
        self.warnings.push(Warning { line, code, text: text.into() });
    }

    /// Notes what became of a row.
    pub(super) fn row(&mut self, line: LineReport) {
        let add = |counts: &mut Counts| {
            counts.rows += 1;
            match line.outcome {
                Outcome::Imported => counts.imported += 1,
                Outcome::Duplicate => counts.duplicates += 1,
                Outcome::LeftOut => counts.left_out += 1,
            }
            counts.cells_left_out += u64::try_from(line.cells.len()).unwrap_or(u64::MAX);
        };
        add(&mut self.counts);
        if let Some(section) = line.section {
            add(self.records.entry(section.as_str()).or_default());
        }
        self.lines.push(line);
    }
}
