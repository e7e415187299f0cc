//! From page to page of a record.

use std::time::Duration;

use data_encoding::HEXLOWER;
use http::HeaderMap;
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan as _};
use ohx_domain::{Instant, Query};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::document::{Contract, Counted, Paging, RecordAt, Written};
use super::held::Held;
use super::{KIND, call, pointer, reading};
use crate::beurer::Kind;
use crate::wire::{malformed, position};
use crate::{Page, PageToken, ProviderError};

/// More pages than any window has: a provider that never ends is an error, and no reason to ask for ever.
const MOST_PAGES: u32 = 5_000;

/// Where the next page begins.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Next {
    cursor: Option<String>,
    offset: u64,
    pages: u32,
    /// Of the items of the page before: an answer that does not heed the parameter is told by it.
    before: String,
}

/// What a page is asked for with.
pub(super) struct Asking<'a> {
    pub(super) http: &'a reqwest::Client,
    pub(super) contract: &'a Contract,
    pub(super) headers: &'a HeaderMap,
    pub(super) held: &'a Held,
    pub(super) now: Instant,
}

impl Asking<'_> {
    /// Reads one page.
    pub(super) async fn page(
        &self,
        kind: Kind,
        record: &RecordAt,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let call = kind.as_str();
        let wrong = |problem: String| malformed(KIND, call, problem);
        let next = match page {
            None => None,
            Some(token) => Some(serde_json::from_str(&token.0).map_err(|e| wrong(position(&e)))?),
        };
        let next: Next = next.unwrap_or_default();
        let account = self.held.account.as_str();
        let written = |at: Instant, days: Span| written(record.time_parameter, at, days);
        let (template, meant) = match query {
            Query::Window(window) => {
                // An end that is left out loses nothing: a second more is asked for.
                let end = window.end + Duration::from_secs(1);
                (
                    &record.query,
                    [("start", written(window.start, -1.days())), ("end", written(end, 1.days()))],
                )
            }
            Query::Since { since } => {
                let since = written(*since, -1.days());
                let changes = record.changes.as_ref();
                let changes = changes.ok_or_else(|| wrong("the contract cannot ask for changes".into()))?;
                (changes, [("since", since), ("since", String::new())])
            }
        };
        let [first, second] = &meant;
        let meant = [("account", account), (first.0, first.1.as_str()), (second.0, second.1.as_str())];
        let url = call::address(self.contract, &record.url, &meant);
        let mut url = url.ok_or_else(|| wrong("the user id cannot stand in an address".into()))?;
        call::query(&mut url, template, &meant);
        match &record.paging {
            Paging::None => {}
            Paging::Cursor { parameter, .. } => {
                if let Some(cursor) = &next.cursor {
                    url.query_pairs_mut().append_pair(parameter, cursor);
                }
            }
            Paging::Offset { parameter, first, .. } => {
                let offset = u64::from(*first) + next.offset;
                url.query_pairs_mut().append_pair(parameter, &offset.to_string());
            }
        }
        let body = call::get(self.http, self.headers, &self.held.token, url, call).await?;
        let body: &RawValue = serde_json::from_slice(&body).map_err(|e| wrong(position(&e)))?;
        let items: Vec<&RawValue> = match pointer::find(body, &record.items) {
            None if record.items.is_empty() => return Err(wrong("it is null".into())),
            // No list is none of them: whether a provider leaves an empty one out is not known.
            None if !body.get().starts_with('{') => return Err(wrong("it is not a JSON object".into())),
            None => Vec::new(),
            Some(list) => serde_json::from_str(list.get()).map_err(|e| wrong(position(&e)))?,
        };
        let after = after(record, body, &items, &next).map_err(wrong)?;
        let after = after.as_ref().map(serde_json::to_string).transpose();
        let after = after.map_err(|e| malformed(KIND, call, position(&e)))?;
        let made = reading::parts(kind, record, &items, self.now);
        if made.problems.values().sum::<u64>() > 0 {
            tracing::warn!(record = call, problems = ?made.problems, "records that are not as the contract says");
        }
        Ok(Page { parts: made.parts, records: items.len() as u64, next: after.map(PageToken), as_of: None })
    }
}

/// An instant in a parameter; of days, one further in a direction.
fn written(how: Written, at: Instant, days: Span) -> String {
    match how {
        Written::Rfc3339 => {
            let whole = Instant::from_second(at.as_second()).unwrap_or(at);
            whole.to_string()
        }
        Written::UnixSeconds => at.as_second().to_string(),
        Written::UnixMilliseconds => at.as_millisecond().to_string(),
        Written::Date => {
            let day = TimeZone::UTC.to_datetime(at).date();
            day.checked_add(days).unwrap_or(day).to_string()
        }
    }
}

/// Where the next page begins; `None` after the last.
fn after(record: &RecordAt, body: &RawValue, items: &[&RawValue], at: &Next) -> Result<Option<Next>, String> {
    let before = {
        let mut digest = Sha256::new();
        items.iter().for_each(|item| digest.update(item.get()));
        HEXLOWER.encode(&digest.finalize())
    };
    let next = match &record.paging {
        Paging::None => None,
        Paging::Cursor { at: place, .. } => {
            let cursor = pointer::text(body, place);
            if cursor.is_some() && cursor == at.cursor {
                return Err("the cursor is the one that was asked with: paging would never end".into());
            }
            cursor.map(|cursor| Next { cursor: Some(cursor), offset: 0, pages: at.pages + 1, before })
        }
        Paging::Offset { size, counts, .. } => {
            if !items.is_empty() && at.pages > 0 && before == at.before {
                return Err("the page is the one before: the offset is not heeded".into());
            }
            let full = items.len() as u64 >= u64::from(*size);
            let step = match counts {
                Counted::Items => items.len() as u64,
                Counted::Pages => 1,
            };
            full.then(|| Next { cursor: None, offset: at.offset + step, pages: at.pages + 1, before })
        }
    };
    match next {
        Some(next) if next.pages >= MOST_PAGES => Err(format!("it has more than {MOST_PAGES} pages")),
        next => Ok(next),
    }
}
