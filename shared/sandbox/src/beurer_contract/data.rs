//! What persons have measured, page by page as the contract says.

use std::collections::BTreeMap;

use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::Instant;
use serde_json::{Map, Value, json};

use super::{Call, Fault, Simulator, bare, oauth};

/// A device.
#[derive(Debug, Clone)]
pub struct Device {
    /// Its id.
    pub id: String,
    /// Its product name.
    pub model: String,
}

/// A record of a person.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Whose.
    pub person: String,
    /// Of which record.
    pub record: String,
    /// When.
    pub at: Instant,
    /// When the cloud learned of it.
    pub changed: Instant,
    /// Its id.
    pub id: String,
    /// The zone of the place.
    pub zone: String,
    /// What measured.
    pub device: Option<Device>,
    /// Names, numbers with the digits that they are sent with, and units as the normalised shape has them.
    pub values: Vec<(&'static str, &'static str, &'static str)>,
}

/// Puts a value where a JSON pointer leads.
pub(super) fn set(object: &mut Value, pointer: &str, value: Value) {
    let mut at = object;
    for segment in pointer.split('/').skip(1) {
        let name = segment.replace("~1", "/").replace("~0", "~");
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = &mut at[name];
    }
    *at = value;
}

/// A number in a text that becomes itself when the page is written: JSON values would lose its digits.
fn digits(number: &str) -> Value {
    json!(format!("\u{e000}{number}\u{e001}"))
}

/// The page as text, with its numbers.
fn written(page: &Value) -> String {
    page.to_string().replace("\"\u{e000}", "").replace("\u{e001}\"", "")
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Measured {
    /// The record as the contract has it.
    fn item(&self, of: &Value) -> Value {
        let mut item = json!({});
        let zone = TimeZone::get(&self.zone).unwrap_or(TimeZone::UTC);
        let time = of.get("time").unwrap_or(&Value::Null);
        let local = zone.to_datetime(self.at);
        let at = match text(time, "format") {
            "unix-seconds" => json!(self.at.as_second()),
            "unix-milliseconds" => json!(self.at.as_millisecond()),
            "local" => json!(local.to_string()),
            "rfc3339" => json!(self.at.display_with_offset(zone.to_offset(self.at)).to_string()),
            pattern => json!(local.strftime(pattern).to_string()),
        };
        set(&mut item, text(time, "at"), at);
        if let Some(place) = time.get("zone_at").and_then(Value::as_str) {
            set(&mut item, place, json!(self.zone));
        }
        if let Some(place) = of.get("id").and_then(Value::as_str) {
            set(&mut item, place, json!(self.id));
        }
        if let (Some(device), Some(at)) = (&self.device, of.get("device")) {
            set(&mut item, text(at, "id"), json!(device.id));
            set(&mut item, text(at, "model"), json!(device.model));
        }
        for (name, number, unit) in &self.values {
            let Some(value) = of.get("values").and_then(|values| values.get(*name)) else { continue };
            set(&mut item, text(value, "at"), digits(number));
            if let Some(place) = value.get("unit_at").and_then(Value::as_str) {
                let theirs = value.get("units").and_then(Value::as_object).into_iter().flatten();
                let mut theirs =
                    theirs.filter(|(_, ours)| ours.as_str() == Some(*unit)).map(|(theirs, _)| theirs);
                let word = theirs.next_back().map(String::as_str).unwrap_or(unit);
                set(&mut item, place, json!(word));
            }
        }
        item
    }
}

/// Records that are not as the contract says, made of one that is.
fn malformed(good: &Value, of: &Value) -> Vec<Value> {
    let time = of.get("time").map(|time| text(time, "at")).unwrap_or_default();
    let first = of.get("values").and_then(Value::as_object).and_then(|values| values.values().next());
    let first = first.cloned().unwrap_or_default();
    let with = |pointer: &str, value: Value| {
        let mut item = good.clone();
        set(&mut item, pointer, value);
        item
    };
    let mut items =
        vec![json!("no record"), with(time, json!("yesterday")), with(text(&first, "at"), json!("high"))];
    if let Some(place) = first.get("unit_at").and_then(Value::as_str) {
        items.push(with(place, json!("stone")));
    }
    items
}

/// The instant of a parameter, in the contract's way.
fn instant(how: &str, text: &str) -> Option<Instant> {
    match how {
        "unix-seconds" => Instant::from_second(text.parse().ok()?).ok(),
        "unix-milliseconds" => Instant::from_millisecond(text.parse().ok()?).ok(),
        "date" => TimeZone::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok(),
        _ => text.parse().ok(),
    }
}

/// One page.
pub(super) fn page(sim: &Simulator, call: &Call<'_>) -> Response {
    let Some(of) = oauth::authenticate(sim, call.headers) else { return bare(401) };
    let records = sim.0.config.contract.get("records").and_then(Value::as_object);
    let found = records
        .into_iter()
        .flatten()
        .find_map(|(name, record)| sim.below(text(record, "url"), call.path).map(|at| (name, record, at)));
    let Some((name, record, at)) = found else { return bare(404) };
    let person = match (of, at.get("account")) {
        (Some(person), Some(named)) if *named != person => return bare(403),
        (Some(person), _) => person,
        (None, Some(named)) => named.clone(),
        (None, None) => return bare(403),
    };
    let fault = sim.state().faults.pop_front();
    if let Some(Fault::Status(status, after)) = fault {
        let mut answer = bare(status);
        if let Some(after) = after {
            answer.headers_mut().insert(header::RETRY_AFTER, after.into());
        }
        return answer;
    }
    if fault == Some(Fault::Html) {
        return Html("<html>128</html>").into_response();
    }
    let how = record.get("time_parameter").and_then(Value::as_str).unwrap_or("rfc3339");
    let parameter = |template: &str, placeholder: &str| {
        let named = record.get(template)?.as_object()?;
        let (name, _) = named.iter().find(|(_, value)| value.as_str() == Some(placeholder))?;
        instant(how, call.query.get(name)?)
    };
    let start = parameter("query", "{start}").unwrap_or(Instant::MIN);
    let end = parameter("query", "{end}").unwrap_or(Instant::MAX);
    let since = parameter("changes", "{since}");
    let mut rows: Vec<Measured> = sim.state().measured.clone();
    rows.retain(|row| {
        let asked = since.map_or(start <= row.at && row.at < end, |since| row.changed >= since);
        row.person == person && row.record == *name && asked
    });
    rows.sort_by_key(|row| row.at);
    let all: Vec<Value> = rows.iter().map(|row| row.item(record)).collect();
    let (mut items, next) =
        cut(record, call, &all, sim.0.config.page_size, fault == Some(Fault::StandsStill));
    if let (Some(Fault::Malformed), Some(good)) = (fault, items.first().cloned()) {
        items.extend(malformed(&good, record));
    }
    let mut body = json!({});
    set(&mut body, text(record, "items"), Value::Array(items));
    if let Some((place, cursor)) = next {
        set(&mut body, place, json!(cursor));
    }
    let mut body = written(&body);
    if fault == Some(Fault::Truncated) {
        body.truncate(body.len() / 2);
    }
    (StatusCode::OK, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// The page's own items, and the cursor to the next.
fn cut<'r>(
    record: &'r Value,
    call: &Call<'_>,
    all: &[Value],
    page_size: usize,
    stands_still: bool,
) -> (Vec<Value>, Option<(&'r str, String)>) {
    let asked: BTreeMap<_, _> = call.query.iter().collect();
    let number = |name: &str| -> usize {
        let text = asked.get(&name.to_owned()).map(|text| text.trim_start_matches("c-"));
        text.and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    let slice = |from: usize, size: usize| all.iter().skip(from).take(size).cloned().collect::<Vec<_>>();
    let paging = record.get("paging").unwrap_or(&Value::Null);
    if let Some(cursor) = paging.get("cursor") {
        let from = number(text(cursor, "parameter"));
        let next = if stands_still { from } else { from + page_size };
        let more = stands_still || next < all.len();
        return (slice(from, page_size), more.then(|| (text(cursor, "at"), format!("c-{next}"))));
    }
    if let Some(offset) = paging.get("offset") {
        let count = |name: &str| offset.get(name).and_then(Value::as_u64).unwrap_or_default();
        let (first, size) = (count("first") as usize, count("size") as usize);
        let at = number(text(offset, "parameter")).saturating_sub(first);
        let from = if text(offset, "counts") == "pages" { at * size } else { at };
        return (slice(if stands_still { 0 } else { from }, size), None);
    }
    (all.to_vec(), None)
}
