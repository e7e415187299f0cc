//! Runs a plan over a page. Linear in the page; what is wrong with one value stays with that value.

use std::borrow::Cow;
use std::collections::HashMap;

use jiff::tz::TimeZone;
use ohx_domain::decimal::Exact;
use ohx_domain::{Identifier, Instant, content_digest};
use serde_json::value::RawValue;

use crate::error::MapError;
use crate::expr::Expr;
use crate::expr::eval::Fuel;
use crate::expr::value::Val;
use crate::json::{Node, write_string};
use crate::mapped::{Context, DeviceFacts, Mapped, MappedObservation};
use crate::plan::{BASE, ItemsPlan, Key, MAX_SLOTS, Mapping, Use};
use crate::{time, units};

/// Steps that one expression may take over one record or item.
const RECORD_FUEL: usize = 100_000;

/// The most Observations that one record may become.
const OUTPUTS_PER_RECORD: usize = 200;

impl Mapping {
    /// Maps a provider's page (or a piece of one, cut between records) to Observations.
    ///
    /// Linear in the size of the page. A value, a measure or a record that cannot be used is left out and counted in
    /// [`Mapped::skipped`]; it changes nothing else. Of two readings with the same identity, the one that was issued
    /// later stays, else the first.
    ///
    /// # Errors
    /// [`MapError`] where the page as a whole is not what the document describes.
    pub fn map(&self, page: &[u8], context: &Context) -> Result<Mapped, MapError> {
        if page.len() > crate::MAX_PAGE_BYTES {
            return Err(MapError::TooLarge { bytes: page.len() });
        }
        let tree = Node::parse(page)?;
        let root = Val::Ref(&tree);
        // What looks at the whole page may take steps in proportion to it.
        let page_fuel = RECORD_FUEL + page.len().saturating_mul(16);
        let zone = self.zone.as_ref().and_then(|e| e.eval(&root, &Fuel::new(page_fuel)).ok());
        let zone = time::zone(zone.as_ref().and_then(Val::text).as_deref());
        let each = self.each.eval(&root, &Fuel::new(page_fuel)).unwrap_or(Val::Null);
        let mut run = Run {
            mapping: self,
            ready: self.kinds.iter().map(|_| None).collect(),
            names: Names::new(self, context),
            zone,
            seen: HashMap::new(),
            found: Vec::new(),
            out: Mapped::default(),
        };
        match (each.items(), each.kind()) {
            (Some(records), _) => records.iter().for_each(|record| run.record(&record)),
            // A single record may come without its list.
            (None, "object") => run.record(&each),
            (None, "null") => run.out.skip("no-records"),
            (None, found) => return Err(MapError::NotRecords { mapping: self.name.clone(), found }),
        }
        Ok(run.out)
    }
}

/// The texts that are the same in every Observation of a run.
struct Names {
    /// The identifier base, escaped for JSON.
    base: String,
    /// The identifier system.
    system: String,
    /// `"<system>","value":"<account>.`
    identifier: String,
    /// `,"subject":{…},"effectiveDateTime":"`
    subject: String,
    /// `,"performer":[…]`
    performer: String,
    account: String,
}

impl Names {
    fn new(mapping: &Mapping, context: &Context) -> Self {
        let quoted = |text: &str| {
            let mut out = String::new();
            write_string(&mut out, text);
            out
        };
        let base = context.identifier_base.trim_end_matches('/');
        let system = format!("{base}/{}/{}", context.provider, mapping.system);
        let patient = quoted(context.subject.as_str());
        let escaped = quoted(base);
        Self {
            base: escaped.get(1..escaped.len() - 1).unwrap_or_default().to_owned(),
            identifier: format!("{},\"value\":\"", quoted(&system)),
            subject: format!(",\"subject\":{{\"reference\":{patient}}},\"effectiveDateTime\":\""),
            performer: format!(",\"performer\":[{{\"reference\":{patient}}}]"),
            account: context.account.as_str().to_owned(),
            system,
        }
    }
}

/// The JSON text of a kind, made ready for this run's context.
struct Ready {
    /// Up to the identifier's value.
    head: String,
    /// From behind the identifier's value to `"effectiveDateTime":"`.
    body: String,
    /// Before each decimal.
    before: Vec<String>,
}

/// A value that was found in a record.
struct Found {
    kind: usize,
    position: Option<u16>,
    slot: usize,
    /// None where it was there, but unreadable.
    value: Option<Exact>,
}

/// The readings that are in already: by record id, kind and position, to their place and the time they were issued.
type Seen<'t> = HashMap<(Cow<'t, str>, usize, Option<u16>), usize>;

struct Run<'t> {
    mapping: &'t Mapping,
    names: Names,
    ready: Vec<Option<Ready>>,
    zone: TimeZone,
    seen: Seen<'t>,
    found: Vec<Found>,
    out: Mapped,
}

/// What the readings of one record have in common.
struct Record<'t> {
    id: Cow<'t, str>,
    taken: Instant,
    taken_text: String,
    issued: Option<(Instant, String)>,
    manual: bool,
    device: Option<DeviceFacts>,
}

/// An expression's value over one record or item; null where it fails.
fn eval<'t>(expr: &'t Expr, current: &Val<'t>) -> Val<'t> {
    expr.eval(current, &Fuel::new(RECORD_FUEL)).unwrap_or(Val::Null)
}

/// A string, or a number as it was written.
fn scalar<'t>(value: &Val<'t>) -> Option<Cow<'t, str>> {
    match value {
        Val::Ref(Node::Number(text) | Node::Text(text)) => Some(Cow::Borrowed(text.as_ref())),
        Val::Exact(number) => Some(Cow::Owned(number.to_string())),
        other => other.text().map(|t| Cow::Owned(t.into_owned())),
    }
}

/// A record id: what may stand in an identifier without being taken for something else.
fn record_id<'t>(value: &Val<'t>) -> Option<Cow<'t, str>> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    scalar(value).filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(safe))
}

impl<'t> Run<'t> {
    fn record(&mut self, record: &Val<'t>) {
        let mapping = self.mapping;
        self.out.records += 1;
        if let Some((_, reason)) = mapping.skip.iter().find(|(when, _)| eval(when, record).truthy()) {
            return self.out.skip(reason);
        }
        let Some(common) = self.common(record) else { return self.out.skip("unreadable") };
        self.found.clear();
        if let Some(items) = &mapping.items {
            self.items(items, record);
        }
        for direct in &mapping.direct {
            let value = eval(&direct.number, record);
            if !value.is_null() {
                self.find(direct.to, None, value.numeric());
            }
        }
        let mut found = std::mem::take(&mut self.found);
        // Stable: of equal ones, the page's order remains.
        found.sort_by_key(|f| (f.kind, f.position, f.slot));
        let readings = found.chunk_by(|a, b| (a.kind, a.position) == (b.kind, b.position));
        for (n, reading) in readings.enumerate() {
            if n < OUTPUTS_PER_RECORD {
                self.reading(&common, reading);
            } else {
                self.out.skip("over-limit");
            }
        }
        self.found = found;
    }

    /// None where the record has no usable id or time.
    fn common(&self, record: &Val<'t>) -> Option<Record<'t>> {
        let mapping = self.mapping;
        let instant = |expr: &'t Expr| match eval(expr, record) {
            Val::Instant(at) => time::written(at, &self.zone).map(|text| (at, text)),
            _ => None,
        };
        let id = record_id(&eval(&mapping.id, record))?;
        let (taken, taken_text) = instant(&mapping.time)?;
        let manual = mapping.manual.as_ref().is_some_and(|m| eval(&m.when, record).truthy());
        let text =
            |expr: &'t Expr| scalar(&eval(expr, record)).filter(|t| !t.is_empty()).map(Cow::into_owned);
        let device = mapping.device.as_ref().filter(|_| !manual).and_then(|d| {
            let id = text(&d.id)?;
            Some(DeviceFacts {
                id,
                model: d.model.as_ref().and_then(text),
                model_id: d.model_id.as_ref().and_then(text),
            })
        });
        let issued = mapping.issued.as_ref().and_then(instant);
        Some(Record { id, taken, taken_text, issued, manual, device })
    }

    /// Notes every item of the record that a kind uses, and counts the others.
    fn items(&mut self, plan: &'t ItemsPlan, record: &Val<'t>) {
        let list = eval(&plan.at, record);
        let Some(items) = list.items() else {
            // No list of items: a record without readings, unless something else stands there.
            if !list.is_null() {
                self.out.skip("unreadable");
            }
            return;
        };
        for item in items.iter() {
            let Some(key) = key(&eval(&plan.key, &item)) else {
                self.out.skip("unreadable");
                continue;
            };
            let Some(uses) = plan.uses.get(&key) else {
                self.unmapped(&key);
                continue;
            };
            let position = match plan.position.as_ref().map(|e| eval(e, &item)) {
                None => None,
                Some(none) if none.is_null() => None,
                Some(value) => match scalar(&value).and_then(|t| t.parse::<u16>().ok()) {
                    Some(position) => Some(position),
                    None => {
                        self.out.skip("unreadable");
                        continue;
                    }
                },
            };
            let value = eval(&plan.number, &item).numeric();
            let mut used = false;
            for to in uses {
                let whole = self.mapping.kinds.get(to.kind).and_then(|k| k.whole.as_ref());
                if whole.is_none_or(|w| w.contains(&position)) {
                    self.find(*to, position.filter(|_| whole.is_none()), value);
                    used = true;
                }
            }
            if !used {
                self.unmapped(&key);
            }
        }
    }

    fn unmapped(&mut self, key: &Key) {
        match key {
            // Bounded, so that the reasons stay few whatever a page holds.
            Key::Number(number @ 0..=9999) => self.out.skip(&format!("unmapped:{number}")),
            _ => self.out.skip("unmapped"),
        }
    }

    fn find(&mut self, to: Use, position: Option<u16>, value: Option<Exact>) {
        let value = value.and_then(|v| units::shifted(v, to.shift));
        self.found.push(Found { kind: to.kind, position, slot: to.slot, value });
    }

    /// Makes one Observation of what was found for a kind at a position.
    fn reading(&mut self, record: &Record<'t>, found: &[Found]) {
        let mapping = self.mapping;
        let Some((first, kind)) = found.first().and_then(|f| Some((f, mapping.kinds.get(f.kind)?))) else {
            return;
        };
        let mut values: [Option<Exact>; MAX_SLOTS] = [None; MAX_SLOTS];
        let mut unreadable = 0;
        let mut conflicting = false;
        for f in found {
            let Some(place) = values.get_mut(f.slot) else { continue };
            match (*place, f.value) {
                (_, None) => unreadable += 1,
                (None, Some(value)) => *place = Some(value),
                // The same value twice: the one that is written with more digits stays.
                (Some(before), Some(value)) if before == value => {
                    if value.scale() > before.scale() {
                        *place = Some(value);
                    }
                }
                (Some(_), Some(_)) => conflicting = true,
            }
        }
        let values = values.get(..kind.slots.len()).unwrap_or_default();
        let complete = values.iter().all(Option::is_some);
        let believed = kind.slots.iter().zip(values).all(|(slot, value)| {
            slot.range.is_none_or(|(low, high)| value.is_none_or(|v| (low..=high).contains(&v)))
        });
        let refused = match (conflicting, complete, believed) {
            (true, ..) => Some("conflicting"),
            (_, false, _) if unreadable > 0 => Some("unreadable"),
            (_, false, _) => Some("incomplete"),
            (.., false) => Some("out-of-range"),
            _ => None,
        };
        match refused {
            Some(reason) => self.out.skip(reason),
            None => {
                // An unreadable copy of a value that was also there readably is counted, and does no harm.
                (0..unreadable).for_each(|_| self.out.skip("unreadable"));
                let values: Vec<String> = values.iter().flatten().map(Exact::to_string).collect();
                self.observation(record, first.kind, first.position, &values);
            }
        }
    }

    fn observation(&mut self, record: &Record<'t>, at: usize, position: Option<u16>, values: &[String]) {
        let issued = record.issued.as_ref().map(|(at, _)| *at);
        let seen = self.seen.get(&(record.id.clone(), at, position)).copied();
        if let Some(before) = seen {
            // This one or the one before: either way, one of the two is left out.
            self.out.skip("repeated");
            if self.out.observations.get(before).is_none_or(|o| o.issued >= issued) {
                return;
            }
        }
        let Some(made) = self.make(record, at, position, values) else { return self.out.skip("unreadable") };
        match seen.and_then(|before| self.out.observations.get_mut(before)) {
            Some(before) => *before = made,
            None => {
                self.seen.insert((record.id.clone(), at, position), self.out.observations.len());
                self.out.observations.push(made);
            }
        }
    }

    fn make(
        &mut self,
        record: &Record<'t>,
        at: usize,
        position: Option<u16>,
        values: &[String],
    ) -> Option<MappedObservation> {
        let kind = self.mapping.kinds.get(at)?;
        let names = &self.names;
        let ready = self.ready.get_mut(at)?.get_or_insert_with(|| Ready {
            head: format!("{}{}", kind.head.replace(BASE, &names.base), names.identifier),
            body: format!("{}{}", kind.body.replace(BASE, &names.base), names.subject),
            before: kind.slots.iter().map(|s| s.before.replace(BASE, &names.base)).collect(),
        });
        let mut identity = String::with_capacity(names.account.len() + record.id.len() + kind.name.len() + 8);
        for (n, part) in [names.account.as_str(), &record.id, &kind.name].into_iter().enumerate() {
            identity.push_str(if n > 0 { "." } else { "" });
            identity.push_str(part);
        }
        if let Some(position) = position {
            identity.push('.');
            identity.push_str(&position.to_string());
        }
        let issued = record.issued.as_ref();
        let note = self.mapping.manual.as_ref().filter(|_| record.manual);
        let mut parts: Vec<&str> = vec![&ready.head, &identity, &ready.body, &record.taken_text, "\""];
        if let Some((_, text)) = issued {
            parts.extend([",\"issued\":\"", text, "\""]);
        }
        parts.push(&names.performer);
        parts.extend(note.map(|n| n.note.as_str()));
        parts.extend([",", kind.around.0]);
        for (n, ((slot, before), value)) in kind.slots.iter().zip(&ready.before).zip(values).enumerate() {
            parts.extend([if n > 0 { "," } else { "" }, before, value, &slot.after]);
        }
        parts.extend([kind.around.1, "}"]);
        let resource = RawValue::from_string(parts.concat()).ok()?;

        let taken = record.taken.as_microsecond().to_be_bytes();
        let mut says: Vec<&[u8]> = vec![kind.name.as_bytes()];
        for (slot, value) in kind.slots.iter().zip(values) {
            says.extend([value.as_bytes(), slot.unit.as_bytes()]);
        }
        let manual: &[u8] = if record.manual { b"manual" } else { b"" };
        let device = record.device.as_ref().map(|d| d.id.as_bytes()).unwrap_or_default();
        says.extend([taken.as_slice(), manual, device]);
        Some(MappedObservation {
            identifier: Identifier { system: names.system.clone(), value: identity },
            digest: content_digest(&says),
            kind: kind.name.clone(),
            issued: issued.map(|(at, _)| *at),
            taken: record.taken,
            device: record.device.clone(),
            resource,
        })
    }
}

/// An item's key: a whole number, or a short text.
fn key(value: &Val<'_>) -> Option<Key> {
    match value {
        Val::Ref(Node::Text(text)) if (1..=64).contains(&text.len()) => Some(Key::of(text)),
        _ => {
            let number = value.number()?.normalize();
            if number.scale() > 0 {
                return None;
            }
            i64::try_from(number.mantissa()).ok().map(Key::Number)
        }
    }
}
