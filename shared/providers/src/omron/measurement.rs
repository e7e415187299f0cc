//! The one endpoint for data: a day to begin with, no end, and three ways of paging.
//!
//! `since` is a day. Whose day is not documented, so that the day before the window's is asked for; what lies before the
//! window comes along and is kept: it is a reading, and a reading that arrives again changes nothing. Rows are sent by
//! their time, so that paging stops where the window ends, by the day; what lies behind it belongs to the window that
//! follows.
//!
//! No part says that it covers a time: whatever is measured may be uploaded weeks later.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Interval, Sensitive};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::KIND;
use super::call::Caller;
use super::records::Known;
use crate::loose::Number;
use crate::wire::{malformed, object, position};
use crate::{Page, PageToken, Part, ProviderError};

/// Rows on one page, as a client in production asks for. The most that OMRON gives is not documented.
const LIMIT: u64 = 100;
/// The most rows in one part. One of activity may hold 24 hours, each of which becomes a resource.
const MAX_ROWS: usize = 50;
/// The most text in one part, in bytes; a single row may be larger.
const MAX_TEXT: usize = 200 * 1024;

/// Where the next page begins.
#[derive(Debug, Serialize, Deserialize)]
struct Next {
    /// The day to ask from.
    since: String,
    /// The key that the page before gave, as text.
    key: Option<String>,
    /// The ids of all rows so far: a page without any other is the end, whatever it says.
    seen: BTreeSet<String>,
}

impl Next {
    fn first(window: &Interval) -> Self {
        let day = TimeZone::UTC.to_datetime(window.start).date();
        let since = day.checked_sub(1.day()).unwrap_or(day);
        Self { since: since.max(Date::constant(1970, 1, 1)).to_string(), key: None, seen: BTreeSet::new() }
    }
}

/// Reads one page of a record.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    record: &Known,
    window: &Interval,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let call = format!("measurement ({})", record.name);
    let next = match page {
        None => Next::first(window),
        Some(token) => serde_json::from_str(&token.0).map_err(|e| malformed(KIND, &call, position(&e)))?,
    };
    let limit = LIMIT.to_string();
    let mut form = vec![
        ("since", next.since.as_str()),
        ("type", record.name),
        ("limit", limit.as_str()),
        ("sortOrder", "asc"),
    ];
    if record.name == "activity" {
        form.push(("includeHourlyActivity", "true"));
    }
    form.extend(next.key.as_deref().map(|key| (record.key, key)));
    let answer = caller.post("api/measurement", &form, &call).await?;
    read(&call, record, answer.result(&call)?, window, next)
}

/// What a row says of itself, where it is an object. Whatever shape the fields have, none makes it unreadable here.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    date_time: Option<&'a RawValue>,
    #[serde(borrow, default)]
    date_time_local: Option<&'a RawValue>,
}

impl<'a> Row<'a> {
    /// A row that is no object is one without an id: the mapping counts it as unreadable.
    fn of(raw: &'a RawValue) -> Self {
        object(raw.get().as_bytes()).unwrap_or_default()
    }

    /// What tells it from others: its id, or for want of one, everything that it says.
    fn id(&self, raw: &RawValue) -> String {
        let text = |id: &RawValue| match id.get().as_bytes().first() {
            Some(b'"') => serde_json::from_str::<String>(id.get()).ok(),
            Some(b'0'..=b'9' | b'-') => Some(id.get().to_owned()),
            _ => None,
        };
        let id = self.id.and_then(text).filter(|id| (1..=64).contains(&id.len()));
        id.unwrap_or_else(|| format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(raw.get()))))
    }

    /// The day it was measured on, of UTC or of the patient.
    fn day(&self) -> Option<Date> {
        let day = |raw: &RawValue| {
            let text: String = serde_json::from_str(raw.get()).ok()?;
            text.trim().get(..10)?.parse().ok()
        };
        self.date_time.and_then(day).or_else(|| self.date_time_local.and_then(day))
    }
}

/// The fields of a result, as they were written.
struct Answered<'a> {
    rows: Vec<&'a RawValue>,
    /// Whether there is more, where it says.
    truncated: Option<bool>,
    key: Option<String>,
}

impl<'a> Answered<'a> {
    fn read(call: &str, record: &Known, result: &'a RawValue) -> Result<Self, ProviderError> {
        let wrong = |problem: String| malformed(KIND, call, problem);
        let fields: BTreeMap<String, &RawValue> = object(result.get().as_bytes()).map_err(wrong)?;
        // Names have been seen in one spelling only, and types in two.
        let field = |name: &str| {
            let found = fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
            found.map(|(_, raw)| *raw).filter(|raw| raw.get() != "null")
        };
        let rows = match field(record.list) {
            None => Vec::new(),
            Some(raw) => serde_json::from_str(raw.get()).map_err(|e| wrong(position(&e)))?,
        };
        let truncated = field("truncated").and_then(|raw| serde_json::from_str::<Number>(raw.get()).ok());
        let key = ["paginationKey", "nextPaginationKey", record.key].into_iter().find_map(|name| {
            let raw = field(name)?;
            if !raw.get().starts_with('{') {
                return scalar(raw);
            }
            let keys: BTreeMap<String, &RawValue> = object(raw.get().as_bytes()).ok()?;
            keys.iter()
                .find(|(known, _)| known.eq_ignore_ascii_case(record.key))
                .and_then(|(_, raw)| scalar(raw))
        });
        Ok(Self { rows, truncated: truncated.map(|n| n.0 != 0), key })
    }

    /// Whether the page says, or lets suppose, that another one follows.
    fn more(&self) -> bool {
        match self.truncated {
            Some(true) => true,
            // A key is also on pages that say that they are the last. A full one may be wrong about that.
            Some(false) => self.key.is_some() && self.rows.len() as u64 >= LIMIT,
            None => self.key.is_some(),
        }
    }
}

/// A key as it is sent back: text as it is, a number by its digits.
fn scalar(raw: &RawValue) -> Option<String> {
    let text = match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).ok()?,
        Some(b'0'..=b'9' | b'-') => raw.get().to_owned(),
        _ => return None,
    };
    Some(text).filter(|text: &String| !text.is_empty())
}

fn read(
    call: &str,
    record: &Known,
    result: &RawValue,
    window: &Interval,
    mut at: Next,
) -> Result<Page, ProviderError> {
    let answered = Answered::read(call, record, result)?;
    // One day more than the window's last, as a row may say the patient's day alone.
    let last_day = TimeZone::UTC.to_datetime(window.end).date();
    let last_day = last_day.checked_add(1.day()).unwrap_or(last_day);
    let (mut rows, mut unseen, mut latest) = (Vec::new(), false, None);
    for raw in &answered.rows {
        let row = Row::of(raw);
        let day = row.day();
        latest = latest.max(day);
        if !at.seen.insert(row.id(raw)) {
            continue;
        }
        unseen = true;
        if day.is_none_or(|day| day <= last_day) {
            rows.push(*raw);
        }
    }
    let beyond = latest.is_some_and(|day| day > last_day);
    let next = if !answered.more() || beyond {
        None
    } else if !unseen {
        if answered.truncated == Some(true) {
            tracing::warn!(call, "OMRON says that there is more, and gives nothing new: paging ends here");
        }
        None
    } else if answered.key.is_some() {
        at.key = answered.key;
        Some(at)
    } else {
        // The way of old: from the day of the last row on, which comes again.
        latest.map(|day| Next { since: day.to_string(), key: None, seen: at.seen })
    };
    let next = next.as_ref().map(serde_json::to_string).transpose();
    let next = next.map_err(|e| malformed(KIND, call, position(&e)))?;
    Ok(Page {
        records: rows.len() as u64,
        parts: parts(call, record.list, &rows)?,
        next: next.map(PageToken),
        as_of: None,
    })
}

/// Rows in parts, in their order, each as it was sent.
fn parts(call: &str, list: &str, mut rows: &[&RawValue]) -> Result<Vec<Part>, ProviderError> {
    let mut parts = Vec::new();
    while !rows.is_empty() {
        let mut length = 0;
        let fits = rows.iter().take(MAX_ROWS).take_while(|row| {
            length += row.get().len() + 1;
            length <= MAX_TEXT
        });
        let (cut, after) = rows.split_at(fits.count().max(1));
        let texts: Vec<&str> = cut.iter().map(|row| row.get()).collect();
        let text = format!(r#"{{"{list}":[{}]}}"#, texts.join(","));
        let text = RawValue::from_string(text).map_err(|e| malformed(KIND, call, position(&e)))?;
        parts.push(Part { text: Sensitive::new(text), covers: None });
        rows = after;
    }
    Ok(parts)
}
