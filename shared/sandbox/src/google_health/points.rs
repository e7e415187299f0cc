//! Points on the wire: pages of a list, of the stream of all sources, and totals of days.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan as _, Unit};
use ohx_domain::Instant;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::data::{Account, Point};
use super::filter::{self, Bounds};
use super::types::{Time, Type};
use super::wire::Refusal;
use super::{Config, State};
use crate::faults::take;

/// A second as RFC 3339.
pub(super) fn instant(second: i64) -> String {
    Instant::from_second(second).unwrap_or_default().to_string()
}

/// The zone's offset at a second, as Google writes durations: `-18000s`.
pub(super) fn offset(zone: &TimeZone, second: i64) -> String {
    let at = Instant::from_second(second).unwrap_or_default();
    format!("{}s", zone.to_offset(at).seconds())
}

fn date_of(date: Date) -> Value {
    json!({ "year": date.year(), "month": date.month(), "day": date.day() })
}

/// A civil time. Members that are zero are left out.
fn civil(zone: &TimeZone, second: i64) -> Value {
    let at = zone.to_datetime(Instant::from_second(second).unwrap_or_default());
    let members = [("hours", at.hour()), ("minutes", at.minute()), ("seconds", at.second())];
    let time: BTreeMap<&str, i8> = members.into_iter().filter(|(_, n)| *n != 0).collect();
    json!({ "date": date_of(at.date()), "time": time })
}

/// A point's time as the members that it has on the wire, without the braces.
fn time(account: &Account, known: &Type, point: &Point) -> String {
    let zone = &account.zone;
    let start = point.content.start;
    let members = match (known.time, point.content.end) {
        (Time::Daily, _) => json!({ "date": date_of(account.date(start)) }),
        (Time::Sample, _) | (_, None) => json!({ "sampleTime": {
            "physicalTime": instant(start), "utcOffset": offset(zone, start), "civilTime": civil(zone, start),
        } }),
        // Offsets of recordings are none.
        (Time::Ecg, Some(_)) => json!({ "interval": {
            "startTime": instant(start), "startUtcOffset": "0s", "endTime": instant(start), "endUtcOffset": "0s",
        } }),
        (_, Some(end)) => json!({ "interval": {
            "startTime": instant(start), "startUtcOffset": offset(zone, start), "endTime": instant(end),
            "endUtcOffset": offset(zone, end), "civilStartTime": civil(zone, start), "civilEndTime": civil(zone, end),
        } }),
    };
    let text = members.to_string();
    text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).unwrap_or_default().to_owned()
}

/// A point as JSON, with its value in the digits that it was given.
pub(super) fn written(account: &Account, known: &Type, point: &Point, reconciled: bool) -> String {
    let content = &point.content;
    let mut members = Vec::new();
    if known.identifiable() {
        let name = if reconciled { "dataPointName" } else { "name" };
        let path = format!("users/me/dataTypes/{}/dataPoints/{}", known.name, point.id);
        members.push(format!(r#""{name}":"{path}""#));
    }
    if !reconciled {
        let method = if content.manual { "MANUAL" } else { "PASSIVELY_MEASURED" };
        let mut source = match &content.relayed {
            None => json!({ "recordingMethod": method, "platform": "FITBIT" }),
            Some((platform, app)) => {
                json!({ "recordingMethod": "UNKNOWN", "platform": platform, "application": { "packageName": app } })
            }
        };
        if let (Some(source), Some(device)) = (source.as_object_mut(), &content.device) {
            source.insert("device".into(), json!({ "displayName": device, "manufacturer": "Fitbit" }));
        }
        members.push(format!(r#""dataSource":{source}"#));
    }
    let mut value = content.value.get().trim_ascii();
    value = value.strip_prefix('{').and_then(|v| v.strip_suffix('}')).unwrap_or_default().trim_ascii();
    let mut said = vec![time(account, known, point)];
    said.extend((!value.is_empty()).then(|| value.to_owned()));
    if matches!(known.time, Time::Sleep | Time::Session) {
        let (created, updated) = (instant(point.created), instant(point.updated));
        said.push(format!(r#""createTime":"{created}","updateTime":"{updated}""#));
    }
    members.push(format!(r#""{}":{{{}}}"#, known.member(), said.join(",")));
    format!("{{{}}}", members.join(","))
}

/// A walk over pages.
pub(super) struct Walk {
    known: &'static Type,
    reconciled: bool,
    bounds: Bounds,
    size: usize,
    start: usize,
    /// How often an empty page has been given here.
    empty: usize,
    /// Tells this question from others.
    digest: String,
}

impl Walk {
    /// Reads a question.
    ///
    /// # Errors
    /// 400, as Google answers.
    pub(super) fn read(
        account: &Account,
        known: &'static Type,
        query: &BTreeMap<String, String>,
        reconciled: bool,
        config: &Config,
    ) -> Result<Self, Refusal> {
        // "List is not supported for data type floors"
        if !(if reconciled { known.reconciles() } else { known.lists() }) {
            return Err(Refusal::invalid(""));
        }
        let known_names = ["filter", "pageSize", "pageToken", "dataSourceFamily"];
        if query.keys().any(|name| !known_names.contains(&name.as_str())) {
            return Err(Refusal::invalid(""));
        }
        let family = query.get("dataSourceFamily").map(String::as_str);
        let families = ["all-sources", "google-wearables", "google-sources", "self-sources"];
        let fits = |family: &str| families.iter().any(|known| family.ends_with(&format!("/{known}")));
        if family.is_some_and(|family| !fits(family) || (known.time == Time::Sleep && !reconciled)) {
            return Err(Refusal::invalid("INVALID_DATA_POINT_DATA_SOURCE_FAMILY"));
        }
        let bounds = match query.get("filter") {
            Some(text) => filter::read(known, text, &account.zone)?,
            None => Bounds::ALL,
        };
        let usual = known.page().min(1440);
        let size = match query.get("pageSize") {
            Some(text) => text.parse::<usize>().map_err(|_| Refusal::invalid(""))?,
            None => usual,
        };
        let size = if size == 0 { usual } else { size }.min(known.page()).min(config.largest_page);
        let question = format!(
            "{}{reconciled}{:?}{family:?}{:?}",
            known.name,
            query.get("filter"),
            query.get("pageSize")
        );
        let digest = HEXLOWER.encode(Sha256::digest(question).get(..6).unwrap_or_default());
        let (mut start, mut empty) = (0, 0);
        if let Some(token) = query.get("pageToken") {
            let mut parts = token.split('.');
            let ours = parts.next() == Some(digest.as_str());
            let mut number = || parts.next().and_then(|text| text.parse().ok());
            let place = number().zip(number()).filter(|_| ours);
            (start, empty) = place.ok_or(Refusal::invalid("INVALID_PAGE_TOKEN"))?;
        }
        Ok(Self { known, reconciled, bounds, size, start, empty, digest })
    }

    fn meant(&self, account: &Account, point: &Point) -> bool {
        let at = match (self.known.time, point.content.end) {
            (Time::Sleep, Some(end)) => end,
            // Of a day its first second.
            (Time::Daily, _) => {
                let date = account.date(point.content.start);
                date.to_zoned(account.zone.clone()).map_or(0, |midnight| midnight.timestamp().as_second())
            }
            _ => point.content.start,
        };
        (self.bounds.from..self.bounds.before).contains(&at) && (point.content.merged || !self.reconciled)
    }

    /// One page, the latest first.
    pub(super) fn page(&self, state: &mut State, person: u64) -> Result<String, Refusal> {
        if state.faults.slow > 0 && self.size > state.faults.slow {
            return Err(Refusal::DEADLINE);
        }
        let token = |start: usize, empty: usize| format!("{}.{start}.{empty}", self.digest);
        if take(&mut state.faults.empty) {
            return Ok(json!({ "nextPageToken": token(self.start, self.empty + 1) }).to_string());
        }
        let Some(account) = state.persons.get(&person) else { return Err(Refusal::UNAUTHENTICATED) };
        let all = account.of(self.known.name).iter().filter(|point| self.meant(account, point));
        let mut rest = all.skip(self.start).peekable();
        let mut page: Vec<String> = Vec::new();
        while page.len() < self.size
            && let Some(point) = rest.next()
        {
            page.push(written(account, self.known, point, self.reconciled));
        }
        let next = rest.peek().map_or_else(String::new, |_| token(self.start + self.size, 0));
        if let Some(first) = page.first_mut()
            && take(&mut state.faults.wrong_type)
        {
            *first = format!(r#"{{"{}":"broken"}}"#, self.known.member());
        }
        let mut text = format!(r#"{{"dataPoints":[{}],"nextPageToken":"{next}"}}"#, page.join(","));
        if take(&mut state.faults.truncate) {
            text.truncate(text.len() / 2);
        }
        Ok(text)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Question {
    range: Range,
    window_size_days: i32,
    #[serde(default)]
    page_size: Option<i32>,
}

#[derive(Deserialize)]
struct Range {
    start: CivilTime,
    end: CivilTime,
}

#[derive(Deserialize)]
struct CivilTime {
    date: Ymd,
}

#[derive(Deserialize)]
struct Ymd {
    year: i16,
    month: i8,
    day: i8,
}

/// Totals of civil days, from the first day of the range on. A day without anything is left out.
///
/// # Errors
/// 400, as Google answers.
pub(super) fn daily_roll_up(account: &Account, known: &Type, body: &[u8]) -> Result<String, Refusal> {
    let wrong = Refusal::invalid("");
    // "DailyRollup is not supported for data type sleep"
    let (name, int64) = known.sum().filter(|_| known.rolls_up()).ok_or(wrong)?;
    let question: Question = serde_json::from_slice(body).map_err(|_| wrong)?;
    let date =
        |time: &CivilTime| Date::new(time.date.year, time.date.month, time.date.day).map_err(|_| wrong);
    let (start, end) = (date(&question.range.start)?, date(&question.range.end)?);
    let days = start.until((Unit::Day, end)).map_err(|_| wrong)?.get_days();
    if question.window_size_days != 1 {
        return Err(wrong);
    }
    if days <= 0 || days > known.longest() {
        return Err(Refusal::invalid("INVALID_TIME_RANGE"));
    }
    // Seen live: a page size is refused for this type.
    if question.page_size.is_some_and(|size| known.name == "total-calories" || size > known.longest()) {
        return Err(wrong);
    }
    let mut totals: BTreeMap<Date, i64> = BTreeMap::new();
    for point in account.of(known.name).iter().filter(|point| point.content.merged) {
        let date = account.date(point.content.start);
        if (start..end).contains(&date) {
            *totals.entry(date).or_insert(0) += amount(point).unwrap_or(0);
        }
    }
    let rolled = totals.into_iter().rev().map(|(date, total)| {
        let value = if int64 { json!(total.to_string()) } else { json!(total) };
        let next = date.checked_add(1.day()).unwrap_or(date);
        json!({
            "civilStartTime": { "date": date_of(date) }, "civilEndTime": { "date": date_of(next) },
            known.member(): { name: value },
        })
    });
    Ok(json!({ "rollupDataPoints": rolled.collect::<Vec<_>>() }).to_string())
}

/// The whole number that a point counts.
pub(super) fn amount(point: &Point) -> Option<i64> {
    let value: Value = serde_json::from_str(point.content.value.get()).ok()?;
    ["count", "millimeters", "kcal"].iter().find_map(|name| {
        let number = value.get(*name)?;
        number.as_i64().or_else(|| number.as_str()?.parse().ok())
    })
}
