//! A window's calls: the patient's zone first, then whole local days, one call each.
//!
//! A list answers with the URL of its next page. It is never followed: only where it says to go on is read from it.

use jiff::civil::Date;
use ohx_domain::Interval;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::KIND;
use super::call::Caller;
use super::cut::{Frame, records};
use super::records::{Known, Way};
use super::zone::{self, Zone};
use crate::loose::Text;
use crate::wire::{self, object, position};
use crate::{Page, PageToken, Part, ProviderError};

/// A list with more pages is going in circles.
const MAX_PAGES: u32 = 1_000;
/// What a minute of a day is called in its answer.
const INTRADAY: &str = "activities-heart-intraday";

/// Where a run is.
#[derive(Default, Serialize, Deserialize)]
struct Walk {
    zone: Zone,
    /// The first day of the next call; `None` for the window's own.
    next: Option<Date>,
    /// Which of several series.
    series: usize,
    /// Where the list goes on.
    place: Option<Place>,
    /// Pages of the list so far.
    pages: u32,
}

/// Where a list goes on, in the API's words.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    after: String,
    offset: String,
}

fn malformed(call: &str, problem: impl Into<String>) -> ProviderError {
    wire::malformed(KIND, call, problem.into())
}

fn page(call: &str, parts: Vec<Part>, records: usize, walk: Option<&Walk>) -> Result<Page, ProviderError> {
    let token = walk.map(|walk| serde_json::to_string(walk).map_err(|e| malformed(call, position(&e))));
    Ok(Page { parts, records: records as u64, next: token.transpose()?.map(PageToken), as_of: None })
}

/// Makes the run's next call.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    known: &Known,
    window: &Interval,
    token: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    let call = known.name;
    let walk = match token {
        Some(token) => serde_json::from_str(&token.0).map_err(|e| malformed(call, position(&e)))?,
        None => match caller.memory.of(caller.access_token, caller.now).zone {
            Some(zone) => Walk { zone, ..Walk::default() },
            None => {
                let zone = zone::ask(caller).await?;
                return page(call, Vec::new(), 0, Some(&Walk { zone, ..Walk::default() }));
            }
        },
    };
    let Some(days) = walk.zone.days(known, window, caller.now) else {
        return page(call, Vec::new(), 0, None);
    };
    match known.way {
        Way::Range(path, list) => range(caller, known, days, walk, path, list).await,
        Way::Series(all) => {
            let Some(name) = all.get(walk.series) else { return page(call, Vec::new(), 0, None) };
            let (path, list) = (format!("1/user/-/activities/{name}"), format!("activities-{name}"));
            let series = walk.series;
            let zone = walk.zone.clone();
            let mut read = range(caller, known, days, walk, &path, Some(&list)).await?;
            if read.next.is_none() && series + 1 < all.len() {
                let walk = Walk { zone, series: series + 1, ..Walk::default() };
                read.next = page(call, Vec::new(), 0, Some(&walk))?.next;
            }
            Ok(read)
        }
        Way::Minutes => minutes(caller, known, days, walk).await,
        Way::List(path, list, limit) => listed(caller, known, days, walk, (path, list, limit)).await,
    }
}

fn later(date: Date, days: i32) -> Option<Date> {
    date.checked_add(jiff::Span::new().days(days)).ok()
}

async fn range(
    caller: &Caller<'_>,
    known: &Known,
    (first, last): (Date, Date),
    walk: Walk,
    path: &str,
    list: Option<&str>,
) -> Result<Page, ProviderError> {
    let call = known.name;
    let from = walk.next.unwrap_or(first);
    let to = later(from, known.most - 1).map_or(last, |to| to.min(last));
    let answer = caller.get(&format!("{path}/date/{from}/{to}.json"), &[], call).await?;
    let records = records(&answer.body, list).map_err(|problem| malformed(call, problem))?;
    let frame = Frame { call, zone: &walk.zone, list, waveforms: known.waveforms };
    let parts = frame.parts(&records)?;
    let next = later(to, 1).filter(|next| *next <= last);
    let walk = Walk { next, ..walk };
    page(call, parts, records.len(), walk.next.map(|_| &walk))
}

/// A day of minutes is one part, which covers it: samples are gathered by the day.
async fn minutes(
    caller: &Caller<'_>,
    known: &Known,
    (first, last): (Date, Date),
    walk: Walk,
) -> Result<Page, ProviderError> {
    #[derive(Deserialize)]
    struct Day<'a> {
        #[serde(borrow, default, rename = "activities-heart-intraday")]
        minutes: Option<Minutes<'a>>,
    }
    #[derive(Deserialize)]
    struct Minutes<'a> {
        #[serde(borrow, default)]
        dataset: Vec<&'a RawValue>,
    }
    let call = known.name;
    let day = walk.next.unwrap_or(first);
    let answer = caller.get(&format!("1/user/-/activities/heart/date/{day}/1d/1min.json"), &[], call).await?;
    let found: Day<'_> = object(&answer.body).map_err(|problem| malformed(call, problem))?;
    let minutes =
        found.minutes.ok_or_else(|| malformed(call, format!("it has no {INTRADAY}")))?.dataset.len();
    let mut parts = Vec::new();
    if minutes > 0 {
        let frame = Frame { call, zone: &walk.zone, list: None, waveforms: false };
        let body = std::str::from_utf8(&answer.body).map_err(|_| malformed(call, "it is not UTF-8"))?;
        parts.push(frame.around(body.trim(), Some(day), walk.zone.day(day))?);
    }
    let walk = Walk { next: later(day, 1).filter(|next| *next <= last), ..walk };
    page(call, parts, minutes, walk.next.map(|_| &walk))
}

/// The local day of a list's record. A time may have an offset of its own: its day is local as well.
fn day_of(record: &RawValue) -> Option<Date> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Began {
        start_time: String,
    }
    let began: Began = serde_json::from_str(record.get()).ok()?;
    began.start_time.get(..10)?.parse().ok()
}

/// Where a list goes on: what its `next` says, which may be any URL; else at its last record. `None` at its end.
fn next_place(next: Option<&str>, place: &Place, last: Option<Date>) -> Option<Result<Place, &'static str>> {
    let next = next.map(str::trim).filter(|next| !next.is_empty())?;
    let query = next.split_once('?').map(|(_, query)| query).unwrap_or_default();
    let query = query.split('#').next().unwrap_or_default();
    let said = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let found = pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
        found.filter(|value| (1..=40).contains(&value.len()))
    };
    let (after, offset) = (said("afterDate"), said("offset"));
    let found = match (&after, &offset) {
        (None, None) => last.map(|date| Place { after: date.to_string(), offset: "0".into() }),
        _ => Some(Place {
            after: after.unwrap_or_else(|| place.after.clone()),
            offset: offset.unwrap_or_else(|| "0".into()),
        }),
    };
    Some(found.filter(|found| found != place).ok_or("its pages go in circles"))
}

async fn listed(
    caller: &Caller<'_>,
    known: &Known,
    (first, last): (Date, Date),
    mut walk: Walk,
    (path, list, limit): (&str, &str, u32),
) -> Result<Page, ProviderError> {
    #[derive(Deserialize)]
    struct Paged {
        #[serde(default)]
        pagination: Option<Pagination>,
    }
    #[derive(Deserialize)]
    struct Pagination {
        #[serde(default)]
        next: Option<Text>,
    }
    let call = known.name;
    // Whether "after" a date includes it is not said.
    let begin = || Place { after: later(first, -1).unwrap_or(first).to_string(), offset: "0".into() };
    let place = walk.place.take().unwrap_or_else(begin);
    let limit = limit.to_string();
    let query =
        [("afterDate", &*place.after), ("sort", "asc"), ("limit", &*limit), ("offset", &*place.offset)];
    let answer = caller.get(path, &query, call).await?;
    let found = records(&answer.body, Some(list)).map_err(|problem| malformed(call, problem))?;
    let days: Vec<Option<Date>> = found.iter().map(|record| day_of(record)).collect();
    let paged: Option<Paged> = object(&answer.body).ok();
    let next = paged.and_then(|paged| paged.pagination?.next);
    let end = days.iter().rev().flatten().next().copied();
    // Ascending: behind the window there is nothing more of it.
    walk.place = if found.is_empty() || end.is_some_and(|end| end > last) {
        None
    } else {
        let next = next_place(next.as_ref().map(|text| text.0.as_str()), &place, end);
        next.transpose().map_err(|problem| malformed(call, problem))?
    };
    walk.pages += 1;
    if walk.place.is_some() && walk.pages >= MAX_PAGES {
        return Err(malformed(call, "its pages do not end"));
    }
    let mine = |day: &Option<Date>| day.is_none_or(|day| (first..=last).contains(&day));
    let mine: Vec<&RawValue> =
        found.iter().zip(&days).filter(|(_, day)| mine(day)).map(|(record, _)| *record).collect();
    let frame = Frame { call, zone: &walk.zone, list: Some(list), waveforms: known.waveforms };
    let parts = frame.parts(&mine)?;
    page(call, parts, mine.len(), walk.place.as_ref().map(|_| &walk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_goes_on_where_it_says_and_never_elsewhere() {
        let place = Place { after: "2026-06-01".into(), offset: "0".into() };
        let last = Some("2026-06-09".parse().unwrap());
        let goes = |next: &str| match next_place(Some(next), &place, last) {
            None => "end".to_owned(),
            Some(Err(_)) => "circle".to_owned(),
            Some(Ok(place)) => format!("{} {}", place.after, place.offset),
        };
        let base = "https://api.fitbit.com/1/user/-/activities/list.json";
        assert_eq!(
            goes(&format!("{base}?offset=100&limit=100&sort=asc&afterDate=2026-06-01")),
            "2026-06-01 100"
        );
        assert_eq!(goes(&format!("{base}?afterDate=2026-06-08T07%3A00%3A00")), "2026-06-08T07:00:00 0");
        assert_eq!(goes("http://evil.example/?offset=20"), "2026-06-01 20");
        assert_eq!(goes("somewhere"), "2026-06-09 0");
        assert_eq!(goes(&format!("{base}?afterDate={}", "9".repeat(41))), "2026-06-09 0");
        assert_eq!(goes(&format!("{base}?offset=0&afterDate=2026-06-01#x")), "circle");
        assert_eq!((goes(""), goes("  ")), ("end".into(), "end".into()));
        assert!(next_place(None, &place, last).is_none());
        assert!(matches!(next_place(Some("x"), &place, None), Some(Err(_))));
    }
}
