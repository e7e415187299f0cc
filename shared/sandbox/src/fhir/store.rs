//! The resources, their versions, and an index over their identifiers. Every operation is one step under one lock.

use std::collections::{BTreeMap, HashMap};

use axum::http::StatusCode;
use ohx_domain::Instant;
use serde_json::{Map, Value};

use super::check::check;
use super::faults::Faults;
use super::outcome::Refused;
use super::search::Condition;
use super::text::stamp;

/// A type and an id.
pub(super) type Key = (String, String);

/// The current version of a resource.
pub(super) struct Stored {
    /// As it is sent out.
    pub(super) text: String,
    pub(super) version: u64,
    pub(super) updated: Instant,
    /// System and value of each identifier; an absent one is empty.
    pub(super) identifiers: Vec<(String, String)>,
    pub(super) subject: Option<String>,
    /// System and code of each coding of `code`.
    pub(super) codes: Vec<(String, String)>,
    pub(super) status: Option<String>,
    /// From when to when it was measured, where it says so.
    pub(super) effective: Option<(Instant, Instant)>,
}

/// What a write did.
pub(super) struct Written {
    pub(super) status: StatusCode,
    pub(super) key: Key,
    pub(super) version: u64,
}

#[derive(Default)]
pub(super) struct Store {
    resources: BTreeMap<Key, Stored>,
    /// The resources of a type that have an identifier with this value.
    by_identifier: HashMap<(String, String), Vec<String>>,
    next_id: u64,
    /// Whether the server speaks R4 or R4B.
    pub(super) before_r5: bool,
    /// Versions ever written.
    pub(super) versions: u64,
    /// What to put back if a transaction fails.
    journal: Option<Vec<(Key, Option<Stored>)>>,
}

impl Store {
    pub(super) fn get(&self, key: &Key) -> Option<&Stored> {
        self.resources.get(key)
    }

    /// All resources, by type and id.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Key, &Stored)> {
        self.resources.iter()
    }

    /// The resources of a type that meet a condition, by id.
    pub(super) fn find(&self, kind: &str, condition: &Condition) -> Vec<(&Key, &Stored)> {
        let matching = |(key, stored): &(&Key, &Stored)| condition.matches(key, stored);
        if let Some(values) = condition.identifier_values() {
            let ids = values.filter_map(|value| self.by_identifier.get(&(kind.to_owned(), value.to_owned())));
            let mut keys: Vec<Key> = ids.flatten().map(|id| (kind.to_owned(), id.clone())).collect();
            keys.sort();
            keys.dedup();
            return keys
                .iter()
                .filter_map(|key| self.resources.get_key_value(key))
                .filter(matching)
                .collect();
        }
        let from = (kind.to_owned(), String::new());
        self.resources.range(from..).take_while(|(key, _)| key.0 == kind).filter(matching).collect()
    }

    /// An id that no resource has had.
    pub(super) fn new_id(&mut self) -> String {
        self.next_id += 1;
        format!("s{}", self.next_id)
    }

    /// Creates a resource, or finds the one that meets `condition` already.
    ///
    /// # Errors
    /// 400 and 422 for the resource, 412 where several meet the condition.
    pub(super) fn create(
        &mut self,
        kind: &str,
        text: &str,
        condition: Option<&Condition>,
        now: Instant,
        faults: &Faults,
    ) -> Result<Written, Refused> {
        let resource = check(kind, text, self.before_r5)?;
        if let Some(existing) =
            condition.map(|condition| self.only_match(kind, condition)).transpose()?.flatten()
        {
            return Ok(existing);
        }
        let id = self.new_id();
        self.write((kind.to_owned(), id), text, &resource, now, faults)
    }

    /// The one resource that meets a condition, if there is one.
    ///
    /// # Errors
    /// 412 where there are several.
    pub(super) fn only_match(&self, kind: &str, condition: &Condition) -> Result<Option<Written>, Refused> {
        match self.find(kind, condition).as_slice() {
            [] => Ok(None),
            [(key, stored)] => {
                Ok(Some(Written { status: StatusCode::OK, key: (*key).clone(), version: stored.version }))
            }
            _ => Err(Refused::multiple()),
        }
    }

    /// Updates a resource, or creates it with the id that the client chose.
    ///
    /// # Errors
    /// 400 where the id is none or not the body's, 412 where `if_match` is not the version, 422 for the resource.
    pub(super) fn update(
        &mut self,
        key: Key,
        text: &str,
        if_match: Option<&str>,
        now: Instant,
        faults: &Faults,
    ) -> Result<Written, Refused> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
        if !(1..=64).contains(&key.1.len()) || !key.1.bytes().all(allowed) {
            return Err(Refused::malformed("an id has 1 to 64 letters, digits, '-' and '.'"));
        }
        let resource = check(&key.0, text, self.before_r5)?;
        if resource.get("id").and_then(Value::as_str) != Some(&key.1) {
            return Err(Refused::malformed("the body's id must be the one in the URL"));
        }
        if let Some(expected) = if_match {
            let current = self.resources.get(&key).map(|stored| format!("W/\"{}\"", stored.version));
            if current.as_deref() != Some(expected) {
                let text = "the resource's version is not the one in If-Match";
                return Err(Refused::new(StatusCode::PRECONDITION_FAILED, "conflict", text));
            }
        }
        self.write(key, text, &resource, now, faults)
    }

    /// Writes a checked resource under a key, new or not.
    pub(super) fn write(
        &mut self,
        key: Key,
        text: &str,
        resource: &Map<String, Value>,
        now: Instant,
        faults: &Faults,
    ) -> Result<Written, Refused> {
        let identifiers = identifiers(resource);
        if let Some(status) = identifiers.iter().find_map(|(_, value)| faults.rejects(value)) {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::UNPROCESSABLE_ENTITY);
            let code = if status == StatusCode::PAYLOAD_TOO_LARGE { "too-long" } else { "business-rule" };
            return Err(Refused::new(status, code, "this server does not take this resource"));
        }
        let version = self.resources.get(&key).map_or(1, |stored| stored.version + 1);
        let stored = Stored {
            text: stamp(text, &key.1, version, &now.to_string())?,
            version,
            updated: now,
            identifiers,
            subject: text_at(resource, "subject", "reference"),
            codes: codes(resource),
            status: resource.get("status").and_then(Value::as_str).map(str::to_owned),
            effective: effective(resource),
        };
        let previous = self.put(key.clone(), Some(stored));
        if let Some(journal) = &mut self.journal {
            journal.push((key.clone(), previous));
        }
        self.versions += 1;
        let status = if version == 1 { StatusCode::CREATED } else { StatusCode::OK };
        Ok(Written { status, key, version })
    }

    /// From here on, [`Store::rollback`] can undo.
    pub(super) fn begin(&mut self) {
        self.journal = Some(Vec::new());
    }

    /// Keeps what was written since [`Store::begin`].
    pub(super) fn commit(&mut self) {
        self.journal = None;
    }

    /// Undoes what was written since [`Store::begin`].
    pub(super) fn rollback(&mut self) {
        for (key, previous) in self.journal.take().unwrap_or_default().into_iter().rev() {
            self.put(key, previous);
            self.versions -= 1;
        }
    }

    fn put(&mut self, key: Key, stored: Option<Stored>) -> Option<Stored> {
        let previous = self.resources.remove(&key);
        for (_, value) in previous.iter().flat_map(|stored| &stored.identifiers) {
            if let Some(ids) = self.by_identifier.get_mut(&(key.0.clone(), value.clone())) {
                ids.retain(|id| *id != key.1);
            }
        }
        if let Some(stored) = stored {
            for (_, value) in &stored.identifiers {
                self.by_identifier.entry((key.0.clone(), value.clone())).or_default().push(key.1.clone());
            }
            self.resources.insert(key, stored);
        }
        previous
    }
}

fn text_at(resource: &Map<String, Value>, outer: &str, inner: &str) -> Option<String> {
    resource.get(outer)?.get(inner)?.as_str().map(str::to_owned)
}

fn effective(resource: &Map<String, Value>) -> Option<(Instant, Instant)> {
    let at = |text: Option<&str>| text?.parse::<Instant>().ok();
    let one =
        ["effectiveDateTime", "effectiveInstant"].into_iter().find_map(|name| resource.get(name)?.as_str());
    match at(one) {
        Some(at) => Some((at, at)),
        None => {
            let start = at(resource.get("effectivePeriod")?.get("start")?.as_str())?;
            let end = at(text_at(resource, "effectivePeriod", "end").as_deref());
            Some((start, end.unwrap_or(start)))
        }
    }
}

fn pairs(list: Option<&Value>, first: &str, second: &str) -> Vec<(String, String)> {
    let text = |item: &Value, name| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let items = list.and_then(Value::as_array);
    items.into_iter().flatten().map(|item| (text(item, first), text(item, second))).collect()
}

fn identifiers(resource: &Map<String, Value>) -> Vec<(String, String)> {
    pairs(resource.get("identifier"), "system", "value")
}

fn codes(resource: &Map<String, Value>) -> Vec<(String, String)> {
    pairs(resource.get("code").and_then(|code| code.get("coding")), "system", "code")
}
