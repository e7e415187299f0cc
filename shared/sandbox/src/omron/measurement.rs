//! The one endpoint for data.
//!
//! `since` is a day of the patient's, and rows are those measured on it or later. A key is a place in the answer to the
//! same question. Both are guesses: neither is documented.

use std::collections::BTreeMap;

use axum::Form;
use axum::extract::State as Shared;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::civil::Date;
use jiff::tz::Offset;
use serde_json::{Value, json};

use super::data::{Account, Moment};
use super::faults::Instead;
use super::{Manner, Paging, Row, Simulator, State, Type};
use crate::faults::take;

/// Keys count from here: they look like milliseconds.
const FIRST_KEY: usize = 1_697_040_000_000;

/// An error in an HTTP 200.
fn in_body(status: i64, reason: &str, code: &str) -> Response {
    axum::Json(json!({ "status": status, "reason": reason, "errorCode": code, "result": null }))
        .into_response()
}

fn http_status(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY)
}

fn over_quota(sim: &Simulator) -> Response {
    sim.state().stats.over_quota += 1;
    (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "30")]).into_response()
}

/// `POST /api/measurement`.
pub(super) async fn measurement(
    Shared(sim): Shared<Simulator>,
    headers: HeaderMap,
    Form(form): Form<BTreeMap<String, String>>,
) -> Response {
    let latency = sim.state().faults.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let instead = {
        let mut state = sim.state();
        let of = form.get("type").and_then(|name| Type::by_name(name));
        state.count("measurement", of.map_or("other", Type::name));
        state.faults.instead.next()
    };
    match instead {
        Some(Instead::Html(status)) => {
            let page =
                "<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>";
            return (http_status(status), Html(page)).into_response();
        }
        Some(Instead::Http(status, after)) => {
            if status == 429 {
                sim.state().stats.over_quota += 1;
            }
            let mut response = http_status(status).into_response();
            if let Some(seconds) = after {
                response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
            }
            return response;
        }
        Some(Instead::InBody(status, reason, code)) => return in_body(status, &reason, &code),
        None if !sim.within_quota() => return over_quota(&sim),
        None => {}
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(grant) = sim.authenticate(bearer.and_then(|value| value.strip_prefix("Bearer "))) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let asked = match Asked::read(&form, sim.0.config.page_size) {
        Ok(asked) => asked,
        Err(reason) => return in_body(1, reason, "INVALID_PARAMETER"),
    };
    if asked.types.iter().any(|of| form.contains_key("type") && !grant.has(of.name())) {
        return in_body(2, "The scope was not granted", "SCOPE");
    }
    let mut state = sim.state();
    let (truncate, unreadable) = (take(&mut state.faults.truncate), take(&mut state.faults.unreadable));
    let Some(account) = state.persons.get(&grant.person) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let mut text = asked.answer(account, &state, unreadable, |of| grant.has(of.name()));
    if truncate {
        text.truncate(text.len() / 2);
    }
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text).into_response()
}

/// What is asked for.
struct Asked {
    since: Date,
    types: Vec<Type>,
    limit: usize,
    descending: bool,
    hourly: bool,
    keys: BTreeMap<Type, usize>,
}

impl Asked {
    fn read(form: &BTreeMap<String, String>, page_size: usize) -> Result<Self, &'static str> {
        let get = |name: &str| form.get(name).map(String::as_str).filter(|text| !text.is_empty());
        // A time behind the day is not looked at.
        let day = get("since").and_then(|text| text.get(..10)).and_then(|text| text.parse().ok());
        let types = match get("type") {
            Some(name) => vec![Type::by_name(name).ok_or("type is not known")?],
            None => Type::ALL.to_vec(),
        };
        let limit = get("limit").map(str::parse::<usize>).transpose().map_err(|_| "limit is no number")?;
        let descending = match get("sortOrder") {
            Some("asc") => false,
            Some("desc") | None => true,
            Some(_) => return Err("sortOrder is asc or desc"),
        };
        let mut keys = BTreeMap::new();
        for of in Type::ALL {
            if let Some(key) = get(&format!("{}PaginationKey", of.name())) {
                let place =
                    key.trim_start_matches("key-").parse().ok().and_then(|k: usize| k.checked_sub(FIRST_KEY));
                keys.insert(of, place.ok_or("the pagination key is not one of ours")?);
            }
        }
        Ok(Self {
            since: day.ok_or("since is required, and a date")?,
            types,
            limit: limit.unwrap_or(page_size).clamp(1, page_size),
            descending,
            hourly: get("includeHourlyActivity") == Some("true"),
            keys,
        })
    }

    fn answer(
        &self,
        account: &Account,
        state: &State,
        unreadable: bool,
        granted: impl Fn(Type) -> bool,
    ) -> String {
        let (manner, zone) = (state.manner, account.zone());
        let (mut lists, mut keys) = (Vec::new(), Vec::new());
        let (mut truncated, mut count) = (false, 0);
        for of in Type::ALL {
            if !self.types.contains(&of) || !granted(of) {
                if manner.null_lists {
                    lists.push(format!(r#""{}":null"#, of.list()));
                }
                continue;
            }
            let mut found: Vec<(&Row, Moment)> = account
                .rows
                .values()
                .filter(|row| row.content.of == of)
                .map(|row| (row, Moment::of(&row.content, &zone)))
                .filter(|(_, moment)| moment.date() >= self.since)
                .collect();
            found.sort_by_key(|(row, moment)| (moment.at, row.id));
            if self.descending {
                found.reverse();
            }
            let start = self.keys.get(&of).copied().unwrap_or(0).min(found.len());
            let end = (start + self.limit).min(found.len());
            let page = found.get(start..end).unwrap_or_default();
            let mut rows: Vec<String> =
                page.iter().map(|(row, moment)| render(row, *moment, manner, self.hourly)).collect();
            if unreadable {
                rows.insert(rows.len() / 2, "\"no row\"".to_owned());
                rows.push(r#"{"dateTime":"2026-10-01T00:00:00Z","pulse":60}"#.to_owned());
                rows.push(
                    r#"{"id":1,"dateTime":"2026-10-01T00:00:00Z","pulse":{},"temperature":{},"spo2":[]}"#
                        .to_owned(),
                );
            }
            count += rows.len();
            let stands_still = manner.paging == Paging::StandsStill;
            if end < found.len() || stands_still {
                truncated = true;
                keys.push((of, FIRST_KEY + if stands_still { start } else { end }));
            }
            lists.push(format!(r#""{}":[{}]"#, of.list(), rows.join(",")));
        }
        let mut fields =
            vec![format!(r#""truncated":{truncated}"#), format!(r#""measurementCount":{count}"#)];
        fields.extend(key(manner.paging, &keys));
        fields.extend(lists);
        format!(r#"{{"status":0,"result":{{{}}}}}"#, fields.join(","))
    }
}

/// The field that says where to go on.
fn key(paging: Paging, keys: &[(Type, usize)]) -> Option<String> {
    let by_type = |write: fn(usize) -> Value| {
        let keys: serde_json::Map<_, _> =
            keys.iter().map(|(of, key)| (format!("{}PaginationKey", of.name()), write(*key))).collect();
        Some(format!(r#""paginationKey":{}"#, Value::Object(keys)))
    };
    let first = keys.first().map(|(_, key)| *key);
    match paging {
        Paging::NumberByType => by_type(|key| json!(key)),
        Paging::TextByType => by_type(|key| json!(format!("key-{key}"))),
        Paging::Text | Paging::StandsStill => first.map(|key| format!(r#""paginationKey":"key-{key}""#)),
        Paging::NextText => {
            Some(format!(r#""nextPaginationKey":{}"#, json!(first.map(|key| format!("key-{key}")))))
        }
        Paging::None => Some(r#""paginationKey":null"#.to_owned()),
    }
}

/// A row as the wire has it, numbers with the digits that they were given with.
fn render(row: &Row, moment: Moment, manner: Manner, hourly: bool) -> String {
    let content = &row.content;
    let mut fields = Vec::new();
    let quoted = |text: &str| json!(text).to_string();
    fields.push(if manner.ids_as_text {
        format!(r#""id":"{}""#, row.id)
    } else {
        format!(r#""id":{}"#, row.id)
    });
    let offset = offset(moment.offset);
    let local = moment.offset.to_datetime(moment.at).strftime("%Y-%m-%dT%H:%M:%S").to_string();
    if manner.zone_in_local_time {
        fields.push(format!(r#""dateTimeLocal":"{local}{offset}""#));
    } else {
        fields.push(format!(r#""dateTime":"{}""#, moment.at.strftime("%Y-%m-%dT%H:%M:%SZ")));
        if !manner.no_offset || content.of == Type::Activity {
            fields.push(format!(r#""dateTimeLocal":"{local}""#));
            fields.push(format!(r#""dateTimeUtcOffset":"{offset}""#));
        }
    }
    let text = manner.numbers_as_text || content.of == Type::Weight;
    for (name, value) in &content.values {
        fields.push(format!("{}:{}", quoted(name), if text { quoted(value) } else { value.clone() }));
    }
    for (name, word) in &content.words {
        fields.push(format!("{}:{}", quoted(name), quoted(word)));
    }
    fields.push(format!(r#""deviceType":{}"#, quoted(&content.device)));
    if let Some(afib) = content.afib {
        fields.push(format!(
            r#""possibleAfib":{}"#,
            if manner.numbers_as_text { quoted(&afib.to_string()) } else { afib.to_string() }
        ));
    }
    if content.of == Type::Activity && hourly {
        let hours = content.hours.iter().map(|(hour, steps)| {
            let steps = if text { format!(r#""{steps}""#) } else { steps.to_string() };
            format!(r#"{{"hour":"{hour}","steps":{steps}}}"#)
        });
        fields.push(format!(r#""hourlyActivityData":[{}]"#, hours.collect::<Vec<_>>().join(",")));
    }
    format!("{{{}}}", fields.join(","))
}

fn offset(offset: Offset) -> String {
    let (sign, minutes) =
        (if offset.is_negative() { '-' } else { '+' }, offset.seconds().unsigned_abs() / 60);
    format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
}
