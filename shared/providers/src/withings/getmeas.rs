//! Point measurements: weight, composition, blood pressure, pulse, temperature.

use ohx_domain::{Instant, Query, Sensitive};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Caller, is_empty_list, malformed, object, position};
use super::loose::Number;
use crate::{Page, PageToken, ProviderError};

const CALL: &str = "measure getmeas";

/// The most groups in one part.
const MAX_GROUPS: usize = 100;
/// The most text in one part, in bytes; a single group may be larger. Groups compress well: sealed, a full part stays
/// well under what an event may carry.
const MAX_TEXT: usize = 400 * 1024;

/// Reads one page of real measurements (category 1; 2 would be the user's own objectives).
pub(super) async fn fetch(
    caller: &Caller<'_>,
    query: &Query,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let range = range(query);
    let mut form = vec![("action", "getmeas"), ("category", "1")];
    form.extend(range.iter().map(|(name, second)| (*name, second.as_str())));
    form.extend(page.map(|token| ("offset", token.0.as_str())));
    let answer = caller.post("measure", &form, CALL).await?;
    let asked = page.and_then(|token| token.0.parse().ok()).unwrap_or(0);
    read(answer.success(CALL)?, asked)
}

/// The query in Withings' words: whole seconds. Whether its bounds are inclusive is not documented, so that they are
/// set one second outwards where it matters: a reading twice costs nothing, a missed one is lost.
fn range(query: &Query) -> Vec<(&'static str, String)> {
    let before = |at: Instant| (at.as_second() - 1).max(0).to_string();
    match query {
        Query::Window(window) => {
            let partial = i64::from(window.end.subsec_nanosecond() > 0);
            let end = (window.end.as_second() + partial).max(1).to_string();
            vec![("startdate", before(window.start)), ("enddate", end)]
        }
        Query::Since { since } => vec![("lastupdate", before(*since))],
    }
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    updatetime: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timezone: Option<&'a RawValue>,
    #[serde(default)]
    more: Option<Number>,
    #[serde(default)]
    offset: Option<Number>,
    #[serde(borrow, default)]
    measuregrps: Option<Vec<&'a RawValue>>,
}

/// Cuts a page into parts; `asked` is the offset it was asked for with.
fn read(body: Option<&RawValue>, asked: i64) -> Result<Page, ProviderError> {
    let body = body.ok_or_else(|| malformed(CALL, "status 0, but no body".into()))?;
    // An empty map may come as an empty list.
    let text = if is_empty_list(body) { "{}" } else { body.get() };
    let body: Body<'_> = object(text.as_bytes()).map_err(|problem| malformed(CALL, problem))?;
    let next = match body.more {
        Some(Number(more)) if more != 0 => {
            let next = body
                .offset
                .ok_or_else(|| malformed(CALL, "there is more, but no offset to go on from".into()))?;
            if next.0 <= asked {
                return Err(malformed(CALL, "there is more, but the offset does not advance".into()));
            }
            Some(PageToken(next.0.to_string()))
        }
        _ => None,
    };
    let groups = body.measuregrps.unwrap_or_default();
    let mut parts = Vec::new();
    for cut in cuts(&groups) {
        let part = part(body.updatetime, body.timezone, cut);
        parts.push(Sensitive::new(RawValue::from_string(part).map_err(|e| malformed(CALL, position(&e)))?));
    }
    let second = body.updatetime.and_then(|raw| serde_json::from_str::<Number>(raw.get()).ok());
    Ok(Page {
        parts,
        records: groups.len() as u64,
        next,
        as_of: second.and_then(|n| Instant::from_second(n.0).ok()),
    })
}

/// Runs of groups that fit a part.
fn cuts<'g, 'a>(groups: &'g [&'a RawValue]) -> Vec<&'g [&'a RawValue]> {
    let mut cuts = Vec::new();
    let mut rest = groups;
    while !rest.is_empty() {
        let mut text = 0;
        let fits = rest.iter().take(MAX_GROUPS).take_while(|group| {
            text += group.get().len() + 1;
            text <= MAX_TEXT
        });
        let (cut, after) = rest.split_at(fits.count().max(1));
        cuts.push(cut);
        rest = after;
    }
    cuts
}

/// A part: what a page with these groups alone would be, every group the provider's own text.
fn part(updatetime: Option<&RawValue>, timezone: Option<&RawValue>, groups: &[&RawValue]) -> String {
    let mut text = String::from(r#"{"status":0,"body":{"#);
    for (name, raw) in [("updatetime", updatetime), ("timezone", timezone)] {
        if let Some(raw) = raw {
            text.push_str(&format!(r#""{name}":{},"#, raw.get()));
        }
    }
    text.push_str(r#""measuregrps":["#);
    for (n, group) in groups.iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(group.get());
    }
    text.push_str("]}}");
    text
}

#[cfg(test)]
mod tests {
    use ohx_domain::Interval;
    use proptest::prelude::*;

    use super::*;

    fn raw(text: String) -> Box<RawValue> {
        RawValue::from_string(text).unwrap()
    }

    fn parsed(page: &Page) -> Vec<serde_json::Value> {
        page.parts.iter().map(|p| serde_json::from_str(p.reveal().get()).unwrap()).collect()
    }

    #[test]
    fn bounds_are_whole_seconds_that_miss_nothing() {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        let window = |start, end| range(&Query::Window(Interval::new(at(start), at(end)).unwrap()));
        let whole = window("1970-01-01T00:01:40Z", "1970-01-01T00:03:20Z");
        assert_eq!(whole, [("startdate", "99".to_owned()), ("enddate", "200".to_owned())]);
        let partial = window("1970-01-01T00:01:40.5Z", "1970-01-01T00:03:20.000001Z");
        assert_eq!(partial, [("startdate", "99".to_owned()), ("enddate", "201".to_owned())]);
        let early = window("1969-12-31T23:00:00Z", "1969-12-31T23:30:00Z");
        assert_eq!(early, [("startdate", "0".to_owned()), ("enddate", "1".to_owned())]);
        let since = range(&Query::Since { since: at("1970-01-01T00:01:40.9Z") });
        assert_eq!(since, [("lastupdate", "99".to_owned())]);
    }

    #[test]
    fn a_large_group_travels_alone_and_a_page_of_them_is_cut() {
        let large = format!(r#"{{"grpid":1,"comment":"{}"}}"#, "x".repeat(MAX_TEXT));
        let body = raw(format!(r#"{{"measuregrps":[{{"grpid":0}},{large},{{"grpid":2}}]}}"#));
        let page = read(Some(&body), 0).unwrap();
        let sizes: Vec<_> =
            parsed(&page).iter().map(|p| p["body"]["measuregrps"].as_array().unwrap().len()).collect();
        assert_eq!(sizes, [1, 1, 1]);
        assert_eq!(page.records, 3);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// None lost, none doubled, none altered, and in order.
        #[test]
        fn parts_hold_every_group_as_it_was_written(
            groups in prop::collection::vec((any::<u64>(), -9_i32..3, 0_usize..6_000), 0..260)
        ) {
            // Spaces and trailing zeros are the provider's own, and stay.
            let texts: Vec<String> = groups
                .iter()
                .map(|(id, unit, pad)| format!(r#"{{ "grpid" : {id}, "v": 7.210e{unit}, "x":"{}"}}"#, "é".repeat(*pad)))
                .collect();
            let body = raw(format!(r#"{{"updatetime":"17","timezone":"Europe/Paris","measuregrps":[{}]}}"#, texts.join(" , ")));
            let page = read(Some(&body), 0).unwrap();
            prop_assert_eq!(page.records, texts.len() as u64);
            prop_assert_eq!(page.as_of.map(|t| t.as_second()), Some(17));
            let mut out = Vec::new();
            for part in &page.parts {
                #[derive(Deserialize)]
                struct Part<'a> {
                    #[serde(borrow)]
                    body: Body<'a>,
                }
                let part: Part<'_> = serde_json::from_str(part.reveal().get()).unwrap();
                prop_assert_eq!(part.body.timezone.map(|t| t.get()), Some("\"Europe/Paris\""));
                let groups = part.body.measuregrps.unwrap();
                prop_assert!(!groups.is_empty() && groups.len() <= MAX_GROUPS);
                prop_assert!(groups.len() == 1 || groups.iter().map(|g| g.get().len()).sum::<usize>() <= MAX_TEXT);
                out.extend(groups.iter().map(|g| g.get().to_owned()));
            }
            prop_assert_eq!(out, texts);
        }

        /// Whatever comes, there is an answer or an error, and the error does not repeat what came.
        #[test]
        fn no_body_panics(text in r#"[\[\]{}:,"a-z0-9 ]{0,40}"#) {
            if let Ok(body) = RawValue::from_string(format!(r#"{{"measuregrps":[],"more":"{}"}}"#, text.replace('"', "")))
                && let Err(error) = read(Some(&body), 0)
            {
                prop_assert!(error.to_string().starts_with("withings answered measure getmeas"));
            }
        }
    }
}
