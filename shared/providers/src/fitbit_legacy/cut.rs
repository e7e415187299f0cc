//! Answers into parts: each record the provider's own text, each part a page that could have come alone.

use std::collections::BTreeMap;

use jiff::civil::Date;
use ohx_domain::{Interval, Sensitive};
use serde_json::value::RawValue;

use super::KIND;
use super::zone::Zone;
use crate::wire::{is_empty_list, malformed, object, position};
use crate::{Part, ProviderError};

/// The most text in one part, in bytes; a single record may be larger.
const MAX_TEXT: usize = 256 * 1024;
/// The same for waveforms, which are digits that do not repeat.
const MAX_WAVEFORMS: usize = 64 * 1024;

/// The records of an answer: a list under its name, or bare; `{}` where a day has none; one object where there is one.
pub(super) fn records<'a>(body: &'a [u8], list: Option<&str>) -> Result<Vec<&'a RawValue>, String> {
    let several = |raw: &'a RawValue| match raw.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(raw.get()).map_err(|e| position(&e)),
        Some(b'{') if raw.get().trim_matches(['{', '}', ' ', '\n', '\r', '\t']).is_empty() => Ok(Vec::new()),
        Some(b'{') => Ok(vec![raw]),
        _ if raw.get() == "null" => Ok(Vec::new()),
        _ => Err("it has something else where its list should be".into()),
    };
    if body.trim_ascii_start().first() == Some(&b'[') {
        let whole: &RawValue = serde_json::from_slice(body).map_err(|e| position(&e))?;
        return if is_empty_list(whole) || list.is_none() {
            several(whole)
        } else {
            Err("it is a list where an object should be".into())
        };
    }
    let members: BTreeMap<String, &RawValue> = object(body)?;
    if members.contains_key("errors") || members.contains_key("error") {
        return Err("an error inside a success".into());
    }
    match list.and_then(|list| members.get(list)) {
        Some(raw) => several(raw),
        None if members.is_empty() => Ok(Vec::new()),
        // The one record itself.
        None if members.contains_key("dateTime") || members.contains_key("logId") => {
            Ok(vec![serde_json::from_slice(body).map_err(|e| position(&e))?])
        }
        None => Err("it lacks its list".into()),
    }
}

/// What stands around the records of a part.
pub(super) struct Frame<'a> {
    pub(super) call: &'a str,
    pub(super) zone: &'a Zone,
    /// The list's name; `None` where the answer is the list.
    pub(super) list: Option<&'a str>,
    pub(super) waveforms: bool,
}

impl Frame<'_> {
    /// A part around a body that is an answer's own.
    pub(super) fn around(
        &self,
        body: &str,
        date: Option<Date>,
        covers: Option<Interval>,
    ) -> Result<Part, ProviderError> {
        let unreadable = |e: serde_json::Error| malformed(KIND, self.call, position(&e));
        let name = serde_json::to_string(&self.zone.name).map_err(unreadable)?;
        let offset = serde_json::to_string(&self.zone.offset).map_err(unreadable)?;
        let date = date.map(|date| format!(r#""date":"{date}","#)).unwrap_or_default();
        let text = format!(r#"{{"timezone":{name},"offsetFromUTCMillis":{offset},{date}"body":{body}}}"#);
        let text = RawValue::from_string(text).map_err(unreadable)?;
        Ok(Part { text: Sensitive::new(text), covers })
    }

    /// Parts of records, in their order.
    pub(super) fn parts(&self, records: &[&RawValue]) -> Result<Vec<Part>, ProviderError> {
        let most = if self.waveforms { MAX_WAVEFORMS } else { MAX_TEXT };
        let mut parts = Vec::new();
        let mut rest = records;
        while !rest.is_empty() {
            let mut text = 0;
            let fits = rest.iter().take_while(|record| {
                text += record.get().len() + 1;
                text <= most
            });
            let (cut, after) = rest.split_at(fits.count().max(1));
            let texts: Vec<&str> = cut.iter().map(|record| record.get()).collect();
            let listed = format!("[{}]", texts.join(","));
            let body = match self.list {
                Some(list) => format!(r#"{{"{list}":{listed}}}"#),
                None => listed,
            };
            parts.push(self.around(&body, None, None)?);
            rest = after;
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(body: &str, list: Option<&str>) -> Result<Vec<String>, String> {
        records(body.as_bytes(), list).map(|all| all.iter().map(|raw| raw.get().to_owned()).collect())
    }

    #[test]
    fn an_answer_may_be_written_in_several_ways() {
        let one = vec![r#"{"dateTime": "2026-06-01", "value": {"x": 1.50}}"#.to_owned()];
        let bare = &one[0];
        for (body, list) in [
            (format!(r#"{{"br":[{bare}]}}"#), Some("br")),
            (format!(r#"{{ "br" : {bare} , "more": 1}}"#), Some("br")),
            (bare.clone(), Some("br")),
            (format!("[{bare}]"), None),
            (format!("  {bare}\n"), None),
        ] {
            assert_eq!(texts(&body, list), Ok(one.clone()), "{body}");
        }
        for (body, list) in [
            ("{}", None),
            ("[]", None),
            ("{}", Some("br")),
            ("[]", Some("br")),
            (r#"{"br":[]}"#, Some("br")),
            (r#"{"br":{ }}"#, Some("br")),
            (r#"{"br":null}"#, Some("br")),
        ] {
            assert_eq!(texts(body, list), Ok(Vec::new()), "{body}");
        }
        for (body, list) in [
            ("", None),
            ("<html>", Some("br")),
            (r#"{"errors":[{"errorType":"system"}],"dateTime":"x"}"#, Some("br")),
            (r#"{"br":"none"}"#, Some("br")),
            (r#"{"hrv":[]}"#, Some("br")),
            ("[1]", Some("br")),
            (r#"{"br":[1"#, Some("br")),
            ("7", None),
        ] {
            assert!(texts(body, list).is_err(), "{body}");
        }
    }

    proptest! {
        /// None lost, none doubled, none altered, and each part as small as it can be.
        #[test]
        fn every_record_is_in_one_part(pads in prop::collection::vec(0_usize..90_000, 0..12), waveforms: bool, named: bool) {
            let zone = Zone { name: Some("Europe/Vienna".into()), offset: Some(3_600_000) };
            let list = named.then_some("sleep");
            let frame = Frame { call: "sleep", zone: &zone, list, waveforms };
            let raws: Vec<Box<RawValue>> = pads.iter().enumerate().map(|(n, pad)| {
                RawValue::from_string(format!(r#"{{ "n":{n}.50, "x":"{}" }}"#, "é".repeat(*pad / 2))).unwrap()
            }).collect();
            let parts = frame.parts(&raws.iter().map(AsRef::as_ref).collect::<Vec<_>>()).unwrap();
            let mut out = Vec::new();
            for part in &parts {
                let text = part.text.reveal().get();
                let start = r#"{"timezone":"Europe/Vienna","offsetFromUTCMillis":3600000,"body":"#;
                prop_assert!(text.starts_with(start));
                let held = texts(&text[start.len()..text.len() - 1], list).unwrap();
                let most = if waveforms { MAX_WAVEFORMS } else { MAX_TEXT };
                prop_assert!(held.len() == 1 || held.iter().map(|t| t.len() + 1).sum::<usize>() <= most);
                prop_assert!(part.covers.is_none());
                out.extend(held);
            }
            prop_assert_eq!(out, raws.iter().map(|raw| raw.get().to_owned()).collect::<Vec<_>>());
        }
    }
}
