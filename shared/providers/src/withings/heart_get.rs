//! ECG signals: a page of the list, then one signal after the other.
//!
//! Every step is one call, so that the quota is counted right: the token between them carries the entries of the list
//! whose signals are still to be read.

use std::collections::VecDeque;

use ohx_domain::{Interval, Sensitive};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::call::{Caller, malformed};
use super::heart_list;
use super::list::Listed;
use crate::loose::Text;
use crate::wire::{object, position};
use crate::{Page, PageToken, Part, ProviderError};

const CALL: &str = "heart get";

/// What is still to be done.
#[derive(Default, Serialize, Deserialize)]
struct Rest {
    /// The next page of the list; `None` after the last.
    offset: Option<i64>,
    /// Entries whose signals are to be read before it.
    entries: VecDeque<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow, default)]
    ecg: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Ecg {
    signalid: Text,
}

/// The signal of an entry; `None` for a recording without an ECG.
fn signal(entry: &RawValue) -> Option<String> {
    let entry: Entry<'_> = object(entry.get().as_bytes()).ok()?;
    let ecg: Ecg = object(entry.ecg?.get().as_bytes()).ok()?;
    Some(ecg.signalid.0).filter(|id| !id.is_empty())
}

/// Makes one call: for a page of the list, or for one signal.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    window: &Interval,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let unreadable = |e: serde_json::Error| malformed(CALL, position(&e));
    let mut rest: Rest = match page {
        Some(token) => serde_json::from_str(&token.0).map_err(unreadable)?,
        None => Rest { offset: Some(0), entries: VecDeque::new() },
    };
    let mut parts = Vec::new();
    match (rest.entries.pop_front(), rest.offset) {
        (Some(entry), _) => {
            let id = signal(&entry).unwrap_or_default();
            let form = [("action", "get"), ("signalid", id.as_str())];
            let answer = caller.post("v2/heart", &form, CALL).await?;
            parts.push(part(&entry, answer.success(CALL)?)?);
        }
        (None, Some(asked)) => {
            let answer = heart_list::ask(caller, window, asked).await?;
            let listed = Listed::read(&heart_list::SHAPE, answer.success(heart_list::SHAPE.call)?, asked)?;
            let with_signal = listed.records.iter().filter(|entry| signal(entry).is_some());
            rest.entries = with_signal.map(|entry| (*entry).to_owned()).collect();
            rest.offset = listed.next;
        }
        (None, None) => {}
    }
    let done = rest.entries.is_empty() && rest.offset.is_none();
    let next = if done { None } else { Some(PageToken(serde_json::to_string(&rest).map_err(unreadable)?)) };
    Ok(Page { records: parts.len() as u64, parts, next, as_of: None })
}

/// An ECG: its entry in the list and its signal, each as it was written.
fn part(entry: &RawValue, body: Option<&RawValue>) -> Result<Part, ProviderError> {
    let body = body.ok_or_else(|| malformed(CALL, "status 0, but no body".into()))?;
    let text = format!(r#"{{"list":{},"get":{}}}"#, entry.get(), body.get());
    let text = RawValue::from_string(text).map_err(|e| malformed(CALL, position(&e)))?;
    Ok(Part { text: Sensitive::new(text), covers: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entry: &str) -> Option<String> {
        signal(&RawValue::from_string(entry.to_owned()).unwrap())
    }

    #[test]
    fn only_entries_with_a_signal_are_asked_for() {
        assert_eq!(of(r#"{"deviceid":"x","ecg":{"signalid":48,"afib":0}}"#).as_deref(), Some("48"));
        assert_eq!(
            of(r#"{"ecg":{"signalid":"18446744073709551615"}}"#).as_deref(),
            Some("18446744073709551615")
        );
        for none in [
            "{}",
            "[]",
            "7",
            "null",
            r#"{"ecg":null}"#,
            r#"{"ecg":[]}"#,
            r#"{"ecg":{}}"#,
            r#"{"ecg":{"signalid":null}}"#,
            r#"{"ecg":{"signalid":""}}"#,
            r#"{"stetho":{"signalid":49,"vhd":0}}"#,
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
