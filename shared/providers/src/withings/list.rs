//! Bodies that hold a list of records, a page at a time, and how they are cut into parts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ohx_domain::{Instant, Interval, Sensitive};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::malformed;
use crate::loose::Number;
use crate::wire::{is_empty_list, object, position};
use crate::{Page, PageToken, Part, ProviderError};

/// The most records in one part.
pub(super) const MAX_RECORDS: usize = 100;
/// The most text in one part, in bytes; a single record may be larger. Records compress well: sealed, a full part
/// stays well under what an event may carry.
pub(super) const MAX_TEXT: usize = 400 * 1024;

/// What a list is called, and what stands beside it.
#[derive(Debug)]
pub(super) struct Shape {
    /// The call, for errors.
    pub(super) call: &'static str,
    /// The list's name in the body.
    pub(super) list: &'static str,
    /// Fields of the body that every part repeats, because the records need them.
    pub(super) head: &'static [&'static str],
    /// Whether a record that is alone may come without its list around it.
    pub(super) single: bool,
}

/// A body, read.
pub(super) struct Listed<'a> {
    shape: &'a Shape,
    head: Vec<(&'static str, &'a RawValue)>,
    /// The records, each as it was written.
    pub(super) records: Vec<&'a RawValue>,
    /// The offset of the next page; `None` on the last.
    pub(super) next: Option<i64>,
}

impl<'a> Listed<'a> {
    /// Reads a body; `asked` is the offset that it was asked for with.
    pub(super) fn read(
        shape: &'a Shape,
        body: Option<&'a RawValue>,
        asked: i64,
    ) -> Result<Self, ProviderError> {
        let wrong = |problem: String| malformed(shape.call, problem);
        let mut fields = fields(shape.call, body)?;
        let mut take = |name: &str| fields.remove(name).filter(|raw| raw.get() != "null");
        let number = |raw: Option<&RawValue>| match raw {
            Some(raw) => serde_json::from_str::<Number>(raw.get()).map(Some).map_err(|e| wrong(position(&e))),
            None => Ok(None),
        };
        let next = match number(take("more"))? {
            Some(Number(more)) if more != 0 => {
                let next = number(take("offset"))?
                    .ok_or_else(|| wrong("there is more, but no offset to go on from".into()))?;
                if next.0 <= asked {
                    return Err(wrong("there is more, but the offset does not advance".into()));
                }
                Some(next.0)
            }
            _ => None,
        };
        let records = match take(shape.list) {
            None => Vec::new(),
            Some(raw) if shape.single && raw.get().starts_with('{') => {
                let empty = raw.get().trim_start_matches('{').trim_ascii() == "}";
                if empty { Vec::new() } else { vec![raw] }
            }
            Some(raw) => serde_json::from_str(raw.get()).map_err(|e| wrong(position(&e)))?,
        };
        let head = shape.head.iter().filter_map(|name| Some((*name, take(name)?))).collect();
        Ok(Self { shape, head, records, next })
    }

    /// The page: the records in parts, in their order.
    pub(super) fn page(&self) -> Result<Page, ProviderError> {
        let parts = self.cuts().into_iter().map(|cut| {
            let lead = self.head.iter().map(|(name, raw)| format!(r#""{name}":{},"#, raw.get())).collect();
            part(self.shape.call, lead, self.shape.list, ['[', ']'], cut.iter().map(|raw| raw.get()), None)
        });
        let clock = self.head.iter().find(|(name, _)| *name == "updatetime");
        let second = clock.and_then(|(_, raw)| serde_json::from_str::<Number>(raw.get()).ok());
        Ok(Page {
            parts: parts.collect::<Result<_, _>>()?,
            records: self.records.len() as u64,
            next: self.next.map(|offset| PageToken(offset.to_string())),
            as_of: second.and_then(|n| Instant::from_second(n.0).ok()),
        })
    }

    /// Runs of records that fit a part.
    fn cuts(&self) -> Vec<&[&'a RawValue]> {
        let mut cuts = Vec::new();
        let mut rest = self.records.as_slice();
        while !rest.is_empty() {
            let mut text = 0;
            let fits = rest.iter().take(MAX_RECORDS).take_while(|record| {
                text += record.get().len() + 1;
                text <= MAX_TEXT
            });
            let (cut, after) = rest.split_at(fits.count().max(1));
            cuts.push(cut);
            rest = after;
        }
        cuts
    }
}

/// The offset in a page's token; 0 on the first page.
pub(super) fn offset(page: Option<&PageToken>) -> i64 {
    page.and_then(|token| token.0.parse().ok()).unwrap_or(0)
}

/// A body's fields, each as it was written. An empty map may come as an empty list.
pub(super) fn fields<'a>(
    call: &str,
    body: Option<&'a RawValue>,
) -> Result<BTreeMap<Name<'a>, &'a RawValue>, ProviderError> {
    let body = body.ok_or_else(|| malformed(call, "status 0, but no body".into()))?;
    let text = if is_empty_list(body) { "{}" } else { body.get() };
    object(text.as_bytes()).map_err(|problem| malformed(call, problem))
}

/// A field's name: borrowed, unless it is written with escapes.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(transparent)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl std::borrow::Borrow<str> for Name<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A part: what an answer with these records alone would be, every record the provider's own text.
pub(super) fn part<'r>(
    call: &str,
    lead: String,
    name: &str,
    [open, close]: [char; 2],
    records: impl Iterator<Item = &'r str>,
    covers: Option<Interval>,
) -> Result<Part, ProviderError> {
    let mut text = format!(r#"{{"status":0,"body":{{{lead}"{name}":{open}"#);
    for (n, record) in records.enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(record);
    }
    text.push(close);
    text.push_str("}}");
    let text = RawValue::from_string(text).map_err(|e| malformed(call, position(&e)))?;
    Ok(Part { text: Sensitive::new(text), covers })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{getactivity, getmeas, getworkouts, heart_list, sleep_get, sleep_getsummary};
    use super::*;

    const SHAPES: [&Shape; 6] = [
        &getmeas::SHAPE,
        &getactivity::CIVIL.shape,
        &getworkouts::CIVIL.shape,
        &sleep_getsummary::CIVIL.shape,
        &heart_list::SHAPE,
        &sleep_get::SHAPE,
    ];

    fn raw(text: String) -> Box<RawValue> {
        RawValue::from_string(text).unwrap()
    }

    /// The records of a part, as text, and the fields beside them.
    fn opened<'a>(shape: &Shape, part: &'a Part) -> (Vec<&'a RawValue>, BTreeMap<String, &'a RawValue>) {
        let mut text: BTreeMap<String, &RawValue> = serde_json::from_str(part.text.reveal().get()).unwrap();
        assert_eq!(text["status"].get(), "0");
        let mut body: BTreeMap<String, &RawValue> =
            serde_json::from_str(text.remove("body").unwrap().get()).unwrap();
        let list = body.remove(shape.list).unwrap();
        (serde_json::from_str(list.get()).unwrap(), body)
    }

    #[test]
    fn a_large_record_travels_alone_and_a_page_of_them_is_cut() {
        let large = format!(r#"{{"grpid":1,"comment":"{}"}}"#, "x".repeat(MAX_TEXT));
        for shape in SHAPES {
            let body = raw(format!(r#"{{"{}":[{{"grpid":0}},{large},{{"grpid":2}}]}}"#, shape.list));
            let page = Listed::read(shape, Some(&body), 0).unwrap().page().unwrap();
            let sizes: Vec<_> = page.parts.iter().map(|p| opened(shape, p).0.len()).collect();
            assert_eq!(sizes, [1, 1, 1]);
            assert_eq!(page.records, 3);
        }
    }

    #[test]
    fn a_record_alone_may_come_without_its_list() {
        let alone = r#"{ "date" : "2023-10-20", "distance": 1028.5590 }"#;
        for shape in SHAPES {
            let body = raw(format!(r#"{{"{}":{alone}}}"#, shape.list));
            let listed = Listed::read(shape, Some(&body), 0);
            assert_eq!(listed.is_ok(), shape.single, "{}", shape.call);
            if let Ok(listed) = listed {
                assert_eq!(listed.records.iter().map(|r| r.get()).collect::<Vec<_>>(), [alone]);
                let empty = raw(format!(r#"{{"{}":{{ }}}}"#, shape.list));
                assert!(Listed::read(shape, Some(&empty), 0).unwrap().records.is_empty());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// None lost, none doubled, none altered, and in order; with what they need beside them.
        #[test]
        fn parts_hold_every_record_as_it_was_written(
            shape in prop::sample::select(&SHAPES[..]),
            records in prop::collection::vec((any::<u64>(), -9_i32..3, 0_usize..6_000), 0..260)
        ) {
            // Spaces and trailing zeros are the provider's own, and stay.
            let texts: Vec<String> = records
                .iter()
                .map(|(id, unit, pad)| format!(r#"{{ "id" : {id}, "v": 7.210e{unit}, "x":"{}"}}"#, "é".repeat(*pad)))
                .collect();
            let head = r#""updatetime":"17","timezone":"Europe/Paris","model":32"#;
            let body = raw(format!(r#"{{{head},"{}":[{}],"more":false,"offset":200}}"#, shape.list, texts.join(" , ")));
            let page = Listed::read(shape, Some(&body), 0).unwrap().page().unwrap();
            prop_assert_eq!(page.records, texts.len() as u64);
            prop_assert!(page.next.is_none());
            let clock = shape.head.contains(&"updatetime").then_some(17);
            prop_assert_eq!(page.as_of.map(|t| t.as_second()), clock);
            let mut out = Vec::new();
            for part in &page.parts {
                let (records, beside) = opened(shape, part);
                prop_assert_eq!(beside.keys().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), shape.head.iter().copied().collect());
                prop_assert!(beside.get("model").is_none_or(|raw| raw.get() == "32"));
                prop_assert!(!records.is_empty() && records.len() <= MAX_RECORDS);
                prop_assert!(records.len() == 1 || records.iter().map(|r| r.get().len()).sum::<usize>() <= MAX_TEXT);
                out.extend(records.iter().map(|r| r.get().to_owned()));
            }
            prop_assert_eq!(out, texts);
        }

        /// Whatever comes, there is an answer or an error, and the error does not repeat what came.
        #[test]
        fn no_body_panics(
            shape in prop::sample::select(&SHAPES[..]), text in r#"[\[\]{}:,"a-z0-9 ]{0,40}"#, list in any::<bool>()
        ) {
            let name = if list { shape.list } else { "more" };
            for value in [format!("\"{}\"", text.replace('"', "")), text] {
                if let Ok(body) = RawValue::from_string(format!(r#"{{"{name}":{value}}}"#))
                    && let Err(error) = Listed::read(shape, Some(&body), 0)
                {
                    let start = format!("withings answered {} with", shape.call);
                    prop_assert!(error.to_string().starts_with(&start));
                }
            }
        }
    }
}
