//! Pages of points: one call each, from the time zone over every page of every step to the last.
//!
//! Where a mapping makes a day's total of its minutes (or gathers an hour), a day must come in one part. So the window
//! is widened to whole days or hours, read in steps of some of them, and what a step's pages bring is carried in the
//! page's token until the last of them has been read, in whatever order it came. A day that is not over is not read
//! where totals are made: its total would be wrong by tomorrow, and is read again then.

use jiff::Timestamp;
use jiff::civil::Date;
use ohx_domain::{Instant, Interval};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::call::{Caller, malformed, success};
use super::cut::Frame;
use super::filter::{days, filter};
use super::records::{Known, Steps, Time, Way};
use super::settings::{Zone, Zones};
use super::status::too_large;
use super::steps::{Span, edges, step_of, stretch};
use crate::wire::{Answer, object, position};
use crate::{Page, PageToken, ProviderError};

/// A step that has more pages is going in circles.
const MAX_PAGES: u32 = 5_000;
/// The most text that is carried over pages, in bytes: some weeks of minutes, or a day of seconds.
const MAX_HELD: usize = 64 * 1024 * 1024;
/// A page is never asked for smaller than this.
const SMALLEST: u32 = 5;

/// Where a run is.
#[derive(Default, Serialize, Deserialize)]
struct Walk {
    zone: Zone,
    /// Where the step ends, in Unix seconds; `None` for the window's own end. Steps go from the latest back.
    until: Option<i64>,
    /// The page size to ask for.
    size: Option<u32>,
    /// Google's token of the next page; `None` for the first of a step.
    page: Option<String>,
    /// Pages of this step so far.
    pages: u32,
    /// What they brought and must not be cut yet.
    held: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(borrow, default)]
    data_points: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    rollup_data_points: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    next_page_token: Option<String>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Makes the run's next call.
pub(super) async fn fetch(
    caller: &Caller<'_>,
    zones: &Zones,
    known: &Known,
    window: &Interval,
    page: Option<&PageToken>,
    now: Instant,
) -> Result<Page, ProviderError> {
    let call = call_name(known);
    let mut walk = match page {
        Some(token) => serde_json::from_str(&token.0).map_err(|e| malformed(&call, position(&e)))?,
        None => {
            let begin = |zone| Walk { zone, size: known.size, ..Walk::default() };
            match zones.remembered(caller, now) {
                Some(zone) => begin(zone),
                None => return waiting(&call, &begin(zones.ask(caller, now).await?)),
            }
        }
    };
    let Some(whole) = stretch(known, window, &walk.zone, now) else {
        return Ok(done(Vec::new(), 0));
    };
    let step = step_of(known, whole, walk.until, &walk.zone);
    let answer = ask(caller, known, step, &walk, &call).await?;
    if too_large(&answer)
        && let Some(smaller) = walk.size.map(|size| size / 2).filter(|size| *size >= SMALLEST)
    {
        tracing::info!(call, smaller, "a page took too long: begun again with smaller ones");
        return waiting(&call, &Walk { size: Some(smaller), page: None, held: Vec::new(), ..walk });
    }
    let answer = success(answer, &call)?;
    let listed: Listed<'_> = object(&answer.body).map_err(|problem| malformed(&call, problem))?;
    if listed.error.is_some() {
        return Err(malformed(&call, "an error inside a success"));
    }
    let next = listed.next_page_token.filter(|token| !token.is_empty());
    if next.is_some() && (next == walk.page || walk.pages >= MAX_PAGES) {
        return Err(malformed(&call, "its pages go in circles"));
    }
    let points = match known.way {
        Way::DailyRollUp => listed.rollup_data_points,
        Way::List | Way::Reconcile => listed.data_points,
    };
    let points = points.unwrap_or_default();
    walk.page = next;
    walk.pages += 1;
    let zone = walk.zone.name.clone();
    let frame = Frame {
        call: &call,
        zone: zone.as_deref(),
        list: if known.way == Way::DailyRollUp { "rollupDataPoints" } else { "dataPoints" },
        waveforms: known.time == Time::Open,
    };
    let (parts, records) = frame.page(known, window, step, &mut walk, points)?;
    if walk.page.is_none() && step.0 > whole.0 {
        walk = Walk { until: Some(step.0.as_second()), size: walk.size, zone: walk.zone, ..Walk::default() };
    } else if walk.page.is_none() {
        return Ok(done(parts, records));
    }
    Ok(Page { parts, records, ..waiting(&call, &walk)? })
}

fn call_name(known: &Known) -> String {
    let way = match known.way {
        Way::List => "list",
        Way::Reconcile => "reconcile",
        Way::DailyRollUp => "dailyRollUp",
    };
    format!("{} {way}", known.name)
}

fn done(parts: Vec<crate::Part>, records: u64) -> Page {
    Page { parts, records, next: None, as_of: None }
}

/// A page of nothing, with more to come.
fn waiting(call: &str, walk: &Walk) -> Result<Page, ProviderError> {
    let token = serde_json::to_string(walk).map_err(|e| malformed(call, position(&e)))?;
    Ok(Page { parts: Vec::new(), records: 0, next: Some(PageToken(token)), as_of: None })
}

async fn ask(
    caller: &Caller<'_>,
    known: &Known,
    (start, end): Span,
    walk: &Walk,
    call: &str,
) -> Result<Answer, ProviderError> {
    let path = format!("dataTypes/{}/dataPoints", known.name);
    if known.way == Way::DailyRollUp {
        let (first, after) = days(start, end, &walk.zone.zone());
        let date =
            |date: Date| json!({ "date": { "year": date.year(), "month": date.month(), "day": date.day() } });
        let range = json!({ "start": date(first), "end": date(after) });
        let mut body = json!({ "range": range, "windowSizeDays": 1 });
        if let Some(body) = body.as_object_mut() {
            body.extend(walk.size.map(|size| ("pageSize".to_owned(), json!(size))));
            body.extend(walk.page.as_ref().map(|page| ("pageToken".to_owned(), json!(page))));
        }
        return caller.post(&format!("{path}:dailyRollUp"), &body, call).await;
    }
    let path = if known.way == Way::Reconcile { format!("{path}:reconcile") } else { path };
    let filter = filter(known, start, end, &walk.zone).map(|filter| ("filter", filter));
    let size = walk.size.map(|size| ("pageSize", size.to_string()));
    let page = walk.page.clone().map(|page| ("pageToken", page));
    let query: Vec<(&str, String)> = [filter, size, page].into_iter().flatten().collect();
    caller.ask(&path, &query, call).await
}

/// When a point is: its start, or its instant. `None` where it does not tell.
fn time_of(point: &RawValue, member: &str) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Times {
        interval: Option<Start>,
        sample_time: Option<At>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Start {
        start_time: Option<Timestamp>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct At {
        physical_time: Option<Timestamp>,
    }
    let point: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(point.get()).ok()?;
    let times: Times = object(point.get(member)?.get().as_bytes()).ok()?;
    times.interval.and_then(|i| i.start_time).or(times.sample_time.and_then(|s| s.physical_time))
}

impl Frame<'_> {
    /// What one page brings: parts, or nothing yet.
    fn page(
        &self,
        known: &Known,
        window: &Interval,
        step: Span,
        walk: &mut Walk,
        points: Vec<&RawValue>,
    ) -> Result<(Vec<crate::Part>, u64), ProviderError> {
        let member = known.member();
        let bucketed = known.way != Way::DailyRollUp && known.steps != Steps::Whole;
        if !bucketed {
            // What such a filter let through beyond the window is not this window's.
            let wide = matches!(known.time, Time::Session | Time::Open);
            let meant =
                |point: &&RawValue| !wide || time_of(point, &member).is_none_or(|at| window.contains(at));
            let points: Vec<&RawValue> = points.into_iter().filter(meant).collect();
            return Ok((self.anywhere(&points)?, points.len() as u64));
        }
        if walk.page.is_some() {
            walk.held.extend(points.into_iter().map(ToOwned::to_owned));
            if walk.held.iter().map(|point| point.get().len()).sum::<usize>() > MAX_HELD {
                return Err(malformed(self.call, format!("one step has more than {MAX_HELD} bytes")));
            }
            return Ok((Vec::new(), 0));
        }
        let held = std::mem::take(&mut walk.held);
        let all = held.iter().map(AsRef::as_ref).chain(points);
        let timed: Vec<_> = all.map(|point| (time_of(point, &member), point)).collect();
        let records = timed.len() as u64;
        Ok((self.between(&edges(known, step, &walk.zone), timed)?, records))
    }
}
