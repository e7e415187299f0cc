//! The API's short names, in words. One that is not known is shown as it is.

use std::borrow::Cow;

pub(super) use crate::words::{count, record, sentence};

/// What is said of a file above the limit.
pub(super) const TOO_LARGE: &str =
    "The file has more than 10 MiB. Export a shorter period from the app; periods may overlap.";

/// What to do on this page about a refusal.
pub(super) fn hint(code: &str) -> Option<&'static str> {
    Some(match code {
        "ambiguous-dates" => "Ask the patient, or look at the file, and choose the order here.",
        "date-order" => "Choose another order here.",
        "counts" => "If you want it as it is, tick the box here.",
        "unknown-zone" => "The list offers all of them.",
        _ => return None,
    })
}

/// Why a row, or a cell, is not imported.
pub(super) fn left_out(reason: &str) -> Cow<'_, str> {
    Cow::Borrowed(match reason {
        "too-few-cells" => "the line has fewer cells than its section has columns",
        "too-many-cells" => "the line has more cells than its section has columns",
        "unreadable" => "the cell is not a date, time or number as this column has",
        "formula" => "the cell begins as a formula does",
        "empty" => "nothing was measured that this kind of reading needs",
        "outside-period" => "it lies outside the period that the file states",
        "future" => "it lies in the future: a wrong date, time zone or clock",
        "units-disagree" => "the same value stands in two units, and they are not the same",
        "not-body-temperature" => "an object, a liquid or a room was measured, not a body",
        "unknown-section" => "its section is not known",
        other => return Cow::Borrowed(other),
    })
}

/// Why a column is not read.
pub(super) fn not_read(reason: &str) -> Cow<'_, str> {
    Cow::Borrowed(match reason {
        "unknown" => "its name is not known",
        "free-text" => "free text, which is never read",
        "not-needed" => "it says nothing that the others do not",
        "unit-unknown" => "which unit its numbers have is not known",
        "twice" => "a column of the same meaning stands before it",
        other => return Cow::Borrowed(other),
    })
}

/// What summer time did to a row.
pub(super) fn shifted(time: &str) -> Cow<'_, str> {
    Cow::Borrowed(match time {
        "dst-gap" => "the clocks skipped this time in spring: moved forward",
        "dst-overlap" => "this time came twice in autumn: the first of the two is taken",
        other => return Cow::Borrowed(other),
    })
}
