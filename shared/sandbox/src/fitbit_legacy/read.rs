//! The records: each with its own path, its own longest range and its own shape.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use url::form_urlencoded;

use super::Simulator;
use super::data::{Account, Entry};
use super::faults::Faults;
use super::oauth::Caller;
use super::wire::{Answer, Refusal};
use crate::faults::take;

/// The paths of ranges: what stands between `/user/-/` and `/date/`, the record, its scope, its list's name and the most
/// days at once.
const RANGES: [(&str, &str, &str, &str, &str, i32); 10] = [
    ("1", "body/log/weight", "weight", "weight", "weight", 31),
    ("1", "body/log/fat", "fat", "weight", "fat", 31),
    ("1", "activities/heart", "heart", "heartrate", "activities-heart", 366),
    ("1", "hrv", "hrv", "heartrate", "hrv", 30),
    ("1", "spo2", "spo2", "oxygen_saturation", "", 30),
    ("1", "br", "br", "respiratory_rate", "br", 30),
    ("1", "temp/skin", "temp-skin", "temperature", "tempSkin", 30),
    ("1", "temp/core", "temp-core", "temperature", "tempCore", 30),
    ("1", "cardioscore", "cardioscore", "cardio_fitness", "cardioScore", 30),
    ("1.2", "sleep", "sleep", "sleep", "sleep", 100),
];
/// Series of day totals.
const SERIES: [&str; 5] = ["steps", "distance", "floors", "calories", "activityCalories"];
/// Three years.
const SERIES_DAYS: i32 = 1_095;
/// Lists: path, record, scope, list's name, and the most on one page.
const LISTS: [(&str, &str, &str, &str, usize); 2] = [
    ("activities/list.json", "exercise", "activity", "activities", 100),
    ("ecg/list.json", "ecg", "electrocardiogram", "ecgReadings", 10),
];

/// What a path asks for, for the statistics.
pub(super) fn kind_of(path: &str) -> &'static str {
    let Some((version, rest)) = path.split_once("/user/-/") else { return "other" };
    if rest.contains("apiSubscriptions") {
        return "apiSubscriptions";
    }
    if let Some((.., record, _, _, _)) = LISTS.iter().find(|(known, ..)| *known == rest) {
        return record;
    }
    match (rest, rest.split_once("/date/")) {
        ("profile.json", _) => "profile",
        ("devices.json", _) => "devices",
        (_, Some((path, days))) if path == "activities/heart" && days.contains("/1d/") => "heart-intraday",
        (_, Some((path, _))) if SERIES.iter().any(|s| path == format!("activities/{s}")) => "activities",
        (_, Some((path, _))) => {
            let range = RANGES.iter().find(|(v, known, ..)| *v == version && *known == path);
            range.map_or("other", |(_, _, record, ..)| record)
        }
        _ => "other",
    }
}

/// A JSON object of members that are JSON already.
fn object(members: &[(&str, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

fn text(value: impl std::fmt::Display) -> String {
    serde_json::Value::from(value.to_string()).to_string()
}

/// A local time as most records write it, to the millisecond.
fn local(at: jiff::civil::DateTime) -> String {
    text(at.strftime("%Y-%m-%dT%H:%M:%S.000"))
}

/// `GET`.
pub(super) fn read(sim: &Simulator, caller: &Caller, path: &str, query: &str) -> Result<Answer, Refusal> {
    let (version, rest) = path.split_once("/user/-/").ok_or_else(Refusal::not_found)?;
    let now = sim.now();
    let page_size = sim.0.config.page_size;
    let mut guard = sim.state();
    let state = &mut *guard;
    let account = state.persons.get(&caller.person).ok_or_else(Refusal::not_found)?;
    let faults = &mut state.faults;
    if rest == "profile.json" {
        caller.needs("profile")?;
        let millis = account.zone().to_offset(now).seconds() * 1000;
        let user = object(&[
            ("encodedId", text(&account.person.id)),
            ("timezone", text(&account.person.timezone)),
            ("offsetFromUTCMillis", millis.to_string()),
            ("weightUnit", text("en_US")),
        ]);
        return Ok(Answer::Json(object(&[("user", user)])));
    }
    if rest == "devices.json" {
        caller.needs("settings")?;
        let device = |device: &super::Device| {
            object(&[
                ("battery", text(if device.battery > 50 { "High" } else { "Low" })),
                ("batteryLevel", device.battery.to_string()),
                ("deviceVersion", text(&device.model)),
                ("features", "[]".to_owned()),
                ("id", text(&device.id)),
                ("lastSyncTime", local(device.last_sync)),
                ("mac", text("AABBCCDDEEFF")),
                ("type", text(&device.kind)),
            ])
        };
        let devices: Vec<String> = account.devices.iter().map(device).collect();
        return Ok(Answer::Json(format!("[{}]", devices.join(","))));
    }
    if let Some((path, record, scope, list, most)) = LISTS.iter().find(|(known, ..)| *known == rest) {
        caller.needs(scope)?;
        return page(account, faults, query, (path, record, list), (*most).min(page_size));
    }
    let (path, days) = rest.split_once("/date/").ok_or_else(Refusal::not_found)?;
    let days = days.strip_suffix(".json").ok_or_else(Refusal::not_found)?;
    if path == "activities/heart"
        && let Some((day, "1d/1min")) = days.split_once('/')
    {
        caller.needs("heartrate")?;
        return minutes(account, day.parse().map_err(|_| Refusal::validation())?);
    }
    if let Some(series) = SERIES.iter().find(|series| path == format!("activities/{series}")) {
        caller.needs("activity")?;
        let (from, to) = dates(days, SERIES_DAYS)?;
        return Ok(Answer::Json(series_of(account, series, from, to)));
    }
    let range = RANGES.iter().find(|(v, known, ..)| *v == version && *known == path);
    let (_, _, record, scope, list, most) = range.ok_or_else(Refusal::not_found)?;
    caller.needs(scope)?;
    let (from, to) = dates(days, *most)?;
    let found = account.entries(record).filter(|entry| (from..=to).contains(&entry.date()));
    let mut entries: Vec<String> = found.map(|entry| written(record, entry, &account.zone())).collect();
    if !entries.is_empty() && take(&mut faults.unreadable) {
        entries.push("\"surprise\"".to_owned());
    }
    let entries = format!("[{}]", entries.join(","));
    Ok(Answer::Json(if list.is_empty() { entries } else { object(&[(*list, entries)]) }))
}

/// Both ends of a range, which may have so many days.
fn dates(days: &str, most: i32) -> Result<(Date, Date), Refusal> {
    let (from, to) = days.split_once('/').ok_or_else(Refusal::validation)?;
    let day = |text: &str| text.parse::<Date>().map_err(|_| Refusal::validation());
    let (from, to) = (day(from)?, day(to)?);
    let days = from.until(to).map_err(|_| Refusal::validation())?.get_days() + 1;
    if (1..=most).contains(&days) { Ok((from, to)) } else { Err(Refusal::validation()) }
}

/// Every day of the range has an entry, also one of which nothing is known.
fn series_of(account: &Account, series: &str, from: Date, to: Date) -> String {
    let mut all = Vec::new();
    let mut day = from;
    while day <= to {
        let entry = account.entries("activities").find(|entry| entry.at.date() == day);
        let value = entry.and_then(|entry| entry.figures.get(series)).map_or("0", |figure| figure.as_str());
        all.push(object(&[("dateTime", text(day)), ("value", text(value))]));
        let Ok(next) = day.tomorrow() else { break };
        day = next;
    }
    let list = format!("activities-{series}");
    object(&[(&list, format!("[{}]", all.join(",")))])
}

fn minutes(account: &Account, day: Date) -> Result<Answer, Refusal> {
    let entry = account.entries("heart-intraday").find(|entry| entry.at.date() == day);
    let samples = entry.map(|entry| entry.samples.as_slice()).unwrap_or_default();
    let minute = |(n, value): (usize, &i64)| {
        let time = text(format!("{:02}:{:02}:00", n / 60, n % 60));
        object(&[("time", time), ("value", value.to_string())])
    };
    let dataset: Vec<String> = samples.iter().enumerate().filter(|(_, v)| **v > 0).map(minute).collect();
    let dataset = object(&[
        ("dataset", format!("[{}]", dataset.join(","))),
        ("datasetInterval", "1".to_owned()),
        ("datasetType", text("minute")),
    ]);
    let summary = object(&[("dateTime", text(day)), ("value", "{\"heartRateZones\":[]}".to_owned())]);
    Ok(Answer::Json(object(&[
        ("activities-heart", format!("[{summary}]")),
        ("activities-heart-intraday", dataset),
    ])))
}

/// A page of a list, ascending; the next one is named by a URL.
fn page(
    account: &Account,
    faults: &mut Faults,
    query: &str,
    (path, record, list): (&str, &str, &str),
    most: usize,
) -> Result<Answer, Refusal> {
    let get = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let after = get("afterDate").ok_or_else(Refusal::validation)?;
    let date: Date = after.get(..10).and_then(|d| d.parse().ok()).ok_or_else(Refusal::validation)?;
    let number = |name| get(name).and_then(|text| text.parse::<usize>().ok()).ok_or_else(Refusal::validation);
    let (limit, offset) = (number("limit")?, number("offset")?);
    if get("sort").as_deref() != Some("asc") || limit > if record == "ecg" { 10 } else { 100 } {
        return Err(Refusal::validation());
    }
    let found: Vec<&Entry> = account.entries(record).filter(|entry| entry.at.date() >= date).collect();
    let end = (offset + limit.min(most)).min(found.len());
    let page = found.get(offset..end).unwrap_or_default();
    let mut entries: Vec<String> = page.iter().map(|entry| written(record, entry, &account.zone())).collect();
    if !entries.is_empty() && take(&mut faults.unreadable) {
        entries.push("7".to_owned());
    }
    let host = if take(&mut faults.foreign) { "http://evil.example" } else { "https://api.fitbit.com" };
    let next = if end < found.len() {
        format!("{host}/1/user/-/{path}?offset={end}&limit={limit}&sort=asc&afterDate={after}")
    } else {
        String::new()
    };
    let pagination = object(&[
        ("next", text(next)),
        ("previous", text("")),
        ("limit", limit.to_string()),
        ("offset", offset.to_string()),
        ("sort", text("asc")),
    ]);
    let entries = format!("[{}]", entries.join(","));
    Ok(Answer::Json(object(&[(list, entries), ("pagination", pagination)])))
}

/// An entry as the API writes it.
fn written(record: &str, entry: &Entry, zone: &TimeZone) -> String {
    let figure = |name: &str| entry.figures.get(name).map(|figure| figure.as_str().to_owned());
    let all = |entry: &Entry| {
        let members: Vec<(&str, String)> =
            entry.figures.iter().map(|(name, figure)| (name.as_str(), figure.as_str().to_owned())).collect();
        object(&members)
    };
    let id = ("logId", entry.id.to_string());
    match record {
        "weight" | "fat" => {
            let mut members: Vec<(&str, String)> = entry
                .figures
                .iter()
                .map(|(name, figure)| (name.as_str(), figure.as_str().to_owned()))
                .collect();
            members.extend([id, ("date", text(entry.at.date())), ("time", text(entry.at.time()))]);
            object(&members)
        }
        "temp-core" => object(&[
            ("dateTime", text(entry.at.strftime("%Y-%m-%dT%H:%M:%S"))),
            ("value", figure("value").unwrap_or_default()),
        ]),
        "temp-skin" => object(&[
            ("dateTime", text(entry.at.date())),
            ("value", all(entry)),
            ("logType", text("dedicated_temp_sensor")),
        ]),
        "sleep" => sleep(entry),
        "exercise" => {
            let mut members: Vec<(&str, String)> = entry
                .figures
                .iter()
                .map(|(name, figure)| (name.as_str(), figure.as_str().to_owned()))
                .collect();
            let began =
                entry.at.to_zoned(zone.clone()).map(|at| at.strftime("%Y-%m-%dT%H:%M:%S.000%:z").to_string());
            members.extend([id, ("startTime", text(began.unwrap_or_default()))]);
            object(&members)
        }
        "ecg" => {
            let mut members: Vec<(&str, String)> = entry
                .figures
                .iter()
                .map(|(name, figure)| (name.as_str(), figure.as_str().to_owned()))
                .collect();
            let samples: Vec<String> = entry.samples.iter().map(i64::to_string).collect();
            members.extend([
                ("startTime", local(entry.at)),
                ("waveformSamples", format!("[{}]", samples.join(","))),
                ("numberOfWaveformSamples", samples.len().to_string()),
            ]);
            object(&members)
        }
        _ => object(&[("dateTime", text(entry.at.date())), ("value", all(entry))]),
    }
}

/// Figures named `deep.minutes` are members of the summary of levels.
fn sleep(entry: &Entry) -> String {
    let until = entry.until.unwrap_or(entry.at);
    let mut members = vec![
        ("logId", entry.id.to_string()),
        ("dateOfSleep", text(until.date())),
        ("startTime", local(entry.at)),
        ("endTime", local(until)),
    ];
    let mut summary: Vec<(&str, Vec<(&str, String)>)> = Vec::new();
    for (name, figure) in &entry.figures {
        let value = figure.as_str().to_owned();
        match name.split_once('.') {
            None => members.push((name, value)),
            Some((level, member)) => match summary.iter_mut().find(|(known, _)| *known == level) {
                Some((_, held)) => held.push((member, value)),
                None => summary.push((level, vec![(member, value)])),
            },
        }
    }
    let summary: Vec<(&str, String)> =
        summary.iter().map(|(level, members)| (*level, object(members))).collect();
    let first =
        object(&[("dateTime", local(entry.at)), ("level", text("light")), ("seconds", "1200".to_owned())]);
    let short = object(&[
        ("dateTime", local(entry.at.checked_add(50.minutes()).unwrap_or(entry.at))),
        ("level", text("wake")),
        ("seconds", "60".to_owned()),
    ]);
    let levels =
        [("data", format!("[{first}]")), ("shortData", format!("[{short}]")), ("summary", object(&summary))];
    members.push(("levels", object(&levels)));
    object(&members)
}
