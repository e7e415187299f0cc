//! Batch and transaction (FHIR R5, "3.2.0.11 batch/transaction").

use std::collections::HashMap;

use axum::http::StatusCode;
use ohx_domain::Instant;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::State;
use super::check::check;
use super::outcome::Refused;
use super::search::{Condition, Search};
use super::store::{Key, Written};
use super::text::{Object, rewrite_references};

#[derive(Deserialize)]
struct Bundle<'a> {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow, default)]
    entry: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(rename = "fullUrl")]
    full_url: Option<String>,
    #[serde(borrow)]
    resource: Option<&'a RawValue>,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    if_none_exist: Option<String>,
    if_match: Option<String>,
}

/// What came of an entry.
enum Done {
    Written(Written),
    Read(String),
}

/// Carries a bundle out and returns the response bundle.
///
/// # Errors
/// For a batch only where the bundle itself is wrong; for a transaction, the first entry that fails, and nothing is
/// kept.
pub(super) fn run(state: &mut State, text: &str, base: &str, now: Instant) -> Result<String, Refused> {
    let bundle: Bundle<'_> = serde_json::from_str(text).map_err(|e| {
        Refused::malformed(format!(
            "not a Bundle that can be read (line {}, column {})",
            e.line(),
            e.column()
        ))
    })?;
    if bundle.resource_type != "Bundle" {
        return Err(Refused::unprocessable("invalid", "only a Bundle can be posted here"));
    }
    if state.faults.max_entries.is_some_and(|most| bundle.entry.len() > most) {
        let text = "the bundle has more entries than this server takes";
        return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "too-costly", text));
    }
    for request in bundle.entry.iter().filter_map(|entry| entry.request.as_ref()) {
        let method = match request.method.as_str() {
            method @ ("GET" | "POST" | "PUT") => method,
            _ => "other",
        };
        *state.stats.calls.entry(format!("{}/{method}", &bundle.kind)).or_insert(0) += 1;
    }
    let results = match bundle.kind.as_str() {
        "batch" => bundle.entry.iter().map(|entry| batch_entry(state, entry, base, now)).collect(),
        "transaction" => {
            state.store.begin();
            match transaction(state, &bundle.entry, base, now) {
                Ok(done) => {
                    state.store.commit();
                    done.into_iter().map(Ok).collect()
                }
                Err(refused) => {
                    state.store.rollback();
                    return Err(refused);
                }
            }
        }
        _ => {
            return Err(Refused::unprocessable(
                "not-supported",
                "the Bundle must be a batch or a transaction",
            ));
        }
    };
    Ok(render(&bundle.kind, results, base, now, state))
}

fn batch_entry(state: &mut State, entry: &Entry<'_>, base: &str, now: Instant) -> Result<Done, Refused> {
    let request = request(entry)?;
    let State { store, faults, .. } = state;
    match request.method.as_str() {
        "POST" => {
            let condition = request.if_none_exist.as_deref().map(Condition::parse).transpose()?;
            let kind = super::rest::known_type(&request.url)?;
            store.create(kind, resource(entry)?, condition.as_ref(), now, faults).map(Done::Written)
        }
        "PUT" => {
            let key = key_of(&request.url)?;
            store.update(key, resource(entry)?, request.if_match.as_deref(), now, faults).map(Done::Written)
        }
        _ => read(state, request, base),
    }
}

/// In two passes: first every resource gets its id, then references between them are written out.
fn transaction(
    state: &mut State,
    entries: &[Entry<'_>],
    base: &str,
    now: Instant,
) -> Result<Vec<Done>, Refused> {
    let mut references: HashMap<&str, String> = HashMap::new();
    // Conditions that an earlier entry of the same transaction already meets.
    let mut promised: HashMap<(&str, &str), Key> = HashMap::new();
    let mut planned: Vec<Option<(Key, bool)>> = Vec::new();
    for entry in entries {
        let request = request(entry)?;
        let plan = match request.method.as_str() {
            "POST" => Some(plan_post(state, request, &mut promised)?),
            "PUT" => Some((key_of(&request.url)?, true)),
            _ => None,
        };
        if let (Some(url), Some((key, _))) = (&entry.full_url, &plan) {
            references.insert(url, format!("{}/{}", key.0, key.1));
        }
        planned.push(plan);
    }
    let mut done: Vec<Option<Done>> = entries.iter().map(|_| None).collect();
    // POST before PUT before GET, whatever their order.
    for turn in ["POST", "PUT", "GET"] {
        for ((entry, plan), slot) in entries.iter().zip(&planned).zip(&mut done) {
            let request = request(entry)?;
            if request.method != turn {
                continue;
            }
            let Some((key, write)) = plan else {
                *slot = Some(read(state, request, base)?);
                continue;
            };
            let text = rewrite_references(resource(entry)?, &mut |text| resolve(state, &references, text))?;
            let checked = check(&key.0, &text, state.store.before_r5)?;
            let State { store, faults, .. } = &mut *state;
            let written = match (turn, write) {
                ("PUT", _) => store.update(key.clone(), &text, request.if_match.as_deref(), now, faults)?,
                (_, true) => store.write(key.clone(), &text, &checked, now, faults)?,
                (_, false) => {
                    let version = store.get(key).map_or(1, |stored| stored.version);
                    Written { status: StatusCode::OK, key: key.clone(), version }
                }
            };
            *slot = Some(Done::Written(written));
        }
    }
    let unsupported =
        || Refused::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", "only GET, POST and PUT");
    done.into_iter().map(|slot| slot.ok_or_else(unsupported)).collect()
}

/// The id that a POST gets, and whether it is written at all.
fn plan_post<'a>(
    state: &mut State,
    request: &'a Request,
    promised: &mut HashMap<(&'a str, &'a str), Key>,
) -> Result<(Key, bool), Refused> {
    let kind = super::rest::known_type(&request.url)?;
    if let Some(text) = &request.if_none_exist {
        if let Some(existing) = state.store.only_match(kind, &Condition::parse(text)?)? {
            return Ok((existing.key, false));
        }
        if let Some(key) = promised.get(&(kind, text.as_str())) {
            return Ok((key.clone(), false));
        }
    }
    let key = (kind.to_owned(), state.store.new_id());
    if let Some(text) = &request.if_none_exist {
        promised.insert((kind, text), key.clone());
    }
    Ok((key, true))
}

/// What a reference in a transaction means: a fullUrl of another entry, or a conditional reference.
fn resolve(state: &State, references: &HashMap<&str, String>, text: &str) -> Result<Option<String>, Refused> {
    if let Some(known) = references.get(text) {
        return Ok(Some(known.clone()));
    }
    if text.starts_with("urn:uuid:") {
        return Err(Refused::unprocessable("not-found", "a urn:uuid reference has no entry in the bundle"));
    }
    let Some((kind, query)) = text.split_once('?') else {
        return Ok(None);
    };
    let kind = super::rest::known_type(kind)?;
    let found = state.store.only_match(kind, &Condition::parse(query)?)?;
    let missing =
        || Refused::new(StatusCode::PRECONDITION_FAILED, "not-found", "a conditional reference has no match");
    let key = found.ok_or_else(missing)?.key;
    Ok(Some(format!("{}/{}", key.0, key.1)))
}

fn read(state: &State, request: &Request, base: &str) -> Result<Done, Refused> {
    if request.method != "GET" {
        let text = "only GET, POST and PUT";
        return Err(Refused::new(StatusCode::METHOD_NOT_ALLOWED, "not-supported", text));
    }
    let (path, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
    if path.contains('/') {
        let stored = state.store.get(&key_of(path)?).ok_or_else(Refused::not_found)?;
        return Ok(Done::Read(stored.text.clone()));
    }
    let kind = super::rest::known_type(path)?;
    let pairs = url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    Search::parse(pairs)?.run(&state.store, kind, base).map(Done::Read)
}

fn request<'a>(entry: &'a Entry<'_>) -> Result<&'a Request, Refused> {
    entry.request.as_ref().ok_or_else(|| Refused::unprocessable("required", "the entry has no request"))
}

fn resource<'a>(entry: &Entry<'a>) -> Result<&'a str, Refused> {
    let missing = || Refused::unprocessable("required", "the entry has no resource");
    entry.resource.map(RawValue::get).ok_or_else(missing)
}

/// The type and id in a relative URL.
fn key_of(url: &str) -> Result<Key, Refused> {
    let (kind, id) =
        url.split_once('/').ok_or_else(|| Refused::malformed("the entry's URL must be type/id"))?;
    super::rest::known_type(kind).map(|kind| (kind.to_owned(), id.to_owned()))
}

fn render(
    kind: &str,
    results: Vec<Result<Done, Refused>>,
    base: &str,
    now: Instant,
    state: &State,
) -> String {
    let entries: Vec<String> = results
        .into_iter()
        .map(|result| {
            let mut response = Object::new();
            let mut entry = Object::new();
            match result {
                Ok(Done::Read(text)) => {
                    response.text("status", "200 OK");
                    entry.raw("resource", &text);
                }
                Ok(Done::Written(Written { status, key, version })) => {
                    let updated = state.store.get(&key).map_or(now, |stored| stored.updated);
                    response
                        .text("status", &status.to_string())
                        .text("location", &format!("{base}/{}/{}/_history/{version}", key.0, key.1))
                        .text("etag", &format!("W/\"{version}\""))
                        .text("lastModified", &updated.to_string());
                }
                Err(refused) => {
                    response.text("status", &refused.status.to_string());
                    response.raw("outcome", &refused.outcome().to_string());
                }
            }
            entry.raw("response", &response.end()).end()
        })
        .collect();
    let mut out = Object::new();
    out.text("resourceType", "Bundle").text("type", &format!("{kind}-response"));
    if !entries.is_empty() {
        out.raw("entry", &format!("[{}]", entries.join(",")));
    }
    out.end()
}
