//! What can be wrong with a document, a page or an example.

use std::fmt;

/// A page that is not JSON. Says where, never what stands there: it is health data.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct PageError {
    /// The byte offset.
    pub(crate) at: usize,
    /// What was expected.
    pub(crate) what: &'static str,
}

/// A page that cannot be mapped at all. Nothing of its content is in the text.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum MapError {
    /// Not JSON.
    #[error("the provider's page is not readable JSON: {what}, at byte {at}; fetch it again")]
    Unreadable {
        /// The byte offset.
        at: usize,
        /// What was expected there.
        what: &'static str,
    },
    /// Larger than [`crate::MAX_PAGE_BYTES`].
    #[error("the provider's page has {bytes} bytes, more than the {limit} that are mapped at once; cut it", limit = crate::MAX_PAGE_BYTES)]
    TooLarge {
        /// How large it is, in bytes.
        bytes: usize,
    },
    /// What `extract.each` leads to is neither a list, an object nor absent.
    #[error(
        "mapping {mapping} finds no records in the provider's page: `extract.each` leads to a {found}, not to a list"
    )]
    NotRecords {
        /// The document's name.
        mapping: String,
        /// The JSON type found.
        found: &'static str,
    },
    /// The document makes more work than the page's size allows ([`crate::Mapping::map`]).
    #[error(
        "mapping {mapping} takes more steps than a page of this size allows: an expression of the document looks at \
         more than its own record again and again, such as at all of `page()` for every record; let it look at the \
         record, at `parent()` or at single members of `page()`"
    )]
    TooCostly {
        /// The document's name.
        mapping: String,
    },
}

impl From<PageError> for MapError {
    fn from(error: PageError) -> Self {
        Self::Unreadable { at: error.at, what: error.what }
    }
}

/// A mapping document that cannot be used: where, what, and what to do. Shows the line of the document, which holds
/// rules and made-up examples, no health data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentError {
    /// The line, from 1. 0 where the whole document is meant.
    pub line: usize,
    /// The column in characters, from 1. 0 where the whole document is meant.
    pub column: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it. Empty where `what` says it all.
    pub hint: String,
    /// The line of the document, with a caret below the column. Empty where the whole document is meant.
    pub snippet: String,
}

impl DocumentError {
    /// An error at a place of the document `text`.
    pub(crate) fn at(text: &str, line: usize, column: usize, what: String, hint: String) -> Self {
        let shown = line_of(text, line);
        let snippet = if shown.is_empty() || shown.chars().count() > 200 {
            String::new()
        } else {
            format!("{line:>5} | {shown}\n      | {}^", " ".repeat(column.saturating_sub(1)))
        };
        Self { line, column, what, hint, snippet }
    }
}

/// A line of a document, from 1, as YAML counts them: a carriage return alone ends a line too. Empty where there is none.
pub(crate) fn line_of(text: &str, line: usize) -> &str {
    let mut rest = text;
    for _ in 1..line {
        let Some(end) = rest.find(['\n', '\r']) else { return "" };
        let after = rest.get(end..).unwrap_or_default();
        rest = after.strip_prefix("\r\n").or_else(|| after.get(1..)).unwrap_or_default();
    }
    if line == 0 { "" } else { rest.split(['\n', '\r']).next().unwrap_or_default() }
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("mapping document")?;
        if self.line > 0 {
            write!(f, ", line {}, column {}", self.line, self.column)?;
        }
        write!(f, ": {}", self.what)?;
        if !self.snippet.is_empty() {
            write!(f, "\n{}", self.snippet)?;
        }
        if !self.hint.is_empty() {
            write!(f, "\nhint: {}", self.hint)?;
        }
        Ok(())
    }
}

impl std::error::Error for DocumentError {}

/// An example of a document that its rules do not fulfil. Examples are made up, so the difference is shown.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("mapping {mapping}: example {example:?} does not hold: {what}")]
pub struct ExampleError {
    /// The document's name.
    pub mapping: String,
    /// The example's name.
    pub example: String,
    /// Where in the result, and what is different.
    pub what: String,
}
