//! Why a file is refused as a whole. Texts hold line numbers, section names and counts, never a cell.

use super::dates::DateOrder;
use crate::beurer::Kind;

/// Why a whole file is refused. Nothing of it is imported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// Larger than [`super::MAX_FILE_BYTES`].
    #[error("the file has {bytes} bytes, and the most is {limit}: export a shorter period")]
    TooLarge {
        /// How large it is.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Nothing in it.
    #[error("the file is empty: export it again")]
    Empty,
    /// The app's other export.
    #[error("the file is a PDF: choose CSV when exporting from the app")]
    Pdf,
    /// An Excel or OpenDocument file, or another archive.
    #[error("the file is a spreadsheet or an archive: pass the CSV as the app exported it")]
    Spreadsheet,
    /// Two bytes a character.
    #[error(
        "the file is UTF-16, and the app writes UTF-8: pass the file as the app exported it, not as another program saved it"
    )]
    Utf16,
    /// Bytes that are no UTF-8.
    #[error(
        "line {line}: not UTF-8 (Latin-1, perhaps): pass the file as the app exported it, not as another program saved it"
    )]
    Encoding {
        /// Where the first of them is.
        line: usize,
    },
    /// Bytes that no text has.
    #[error("line {line}: a NUL byte: the file is damaged or no text; export it again")]
    Nul {
        /// Where the first is.
        line: usize,
    },
    /// No zone of that name.
    #[error("no time zone is called that: pass an IANA name such as Europe/Berlin")]
    UnknownZone,
    /// No section that is known.
    #[error(
        "no section of a HealthManager Pro export is in the file: pass the CSV export of the app, with semicolons between its columns"
    )]
    NotAnExport,
    /// More lines than [`super::MAX_LINES`].
    #[error("more than {limit} lines: export a shorter period")]
    TooManyLines {
        /// The limit.
        limit: usize,
    },
    /// More cells than [`super::MAX_CELLS`].
    #[error("line {line}: more than {limit} cells: this is not a line of the app; export the file again")]
    TooManyCells {
        /// Which.
        line: usize,
        /// The limit.
        limit: usize,
    },
    /// A title, and then no line with the names of the columns.
    #[error(
        "line {line}: the section {section} has no line with the names of its columns before its readings; export the file again"
    )]
    NoHeader {
        /// Where the header should be.
        line: usize,
        /// The record of the section.
        section: Kind,
    },
    /// A header that lacks what a reading needs.
    #[error(
        "line {line}: the section {section} has no column for {missing}; export the file again, or report its header if the app has changed"
    )]
    MissingColumns {
        /// The header.
        line: usize,
        /// The record of the section.
        section: Kind,
        /// What is missing, in our words.
        missing: &'static str,
    },
    /// The columns of one section under the title of another.
    #[error(
        "line {line}: the columns are those of {found}, but the title is that of {section}: the file was put together by hand; export it again"
    )]
    MixedSections {
        /// The header.
        line: usize,
        /// What the title says.
        section: Kind,
        /// What the columns are.
        found: Kind,
    },
    /// Day first or month first: both are possible.
    #[error(
        "line {line}: the dates can be read day first and month first{prior}: say which, with `--date-order dmy` or `--date-order mdy` (`date_order` in the API)"
    )]
    AmbiguousDates {
        /// The first such date.
        line: usize,
        /// What speaks for one of them, in words.
        prior: &'static str,
    },
    /// Dates that cannot be read in one order.
    #[error("line {line}: this date cannot be read {order}, as {because}: {help}")]
    DateOrder {
        /// The first date that does not fit.
        line: usize,
        /// The order.
        order: DateOrder,
        /// Why that order.
        because: &'static str,
        /// What to do.
        help: &'static str,
    },
    /// The file says how many readings it has, and has others.
    #[error(
        "line {line}: the file states {stated} readings of {section} and has {found}: it is incomplete or was changed; export it again, or import it as it is with `--accept-counts` (`accept_counts` in the API)"
    )]
    Counts {
        /// Where it is stated.
        line: usize,
        /// The record.
        section: Kind,
        /// What the file states.
        stated: u64,
        /// The rows that are there.
        found: u64,
    },
}

impl CsvError {
    /// A short name that stays the same, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::Empty => "empty",
            Self::Pdf => "pdf",
            Self::Spreadsheet => "spreadsheet",
            Self::Utf16 => "utf-16",
            Self::Encoding { .. } => "encoding",
            Self::Nul { .. } => "nul",
            Self::UnknownZone => "unknown-zone",
            Self::NotAnExport => "not-an-export",
            Self::TooManyLines { .. } => "too-many-lines",
            Self::TooManyCells { .. } => "too-many-cells",
            Self::NoHeader { .. } => "no-header",
            Self::MissingColumns { .. } => "missing-columns",
            Self::MixedSections { .. } => "mixed-sections",
            Self::AmbiguousDates { .. } => "ambiguous-dates",
            Self::DateOrder { .. } => "date-order",
            Self::Counts { .. } => "counts",
        }
    }

    /// The line that it is about, from 1.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Encoding { line }
            | Self::Nul { line }
            | Self::TooManyCells { line, .. }
            | Self::NoHeader { line, .. }
            | Self::MissingColumns { line, .. }
            | Self::MixedSections { line, .. }
            | Self::AmbiguousDates { line, .. }
            | Self::DateOrder { line, .. }
            | Self::Counts { line, .. } => Some(*line),
            _ => None,
        }
    }

    /// Whether the file is fine, and the one who imports it has to say more: HTTP 422, where the others are 400.
    pub fn needs_an_answer(&self) -> bool {
        matches!(
            self,
            Self::AmbiguousDates { .. } | Self::DateOrder { .. } | Self::Counts { .. } | Self::UnknownZone
        )
    }
}
