//! One record: what its readings have in common, and the values that are in it.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ohx_domain::Instant;

use super::reading::{Found, Taken};
use super::seen::Id;
use super::{OUTPUTS_PER_RECORD, Run, When, samples, scalar};
use crate::expr::Expr;
use crate::expr::scope::{COSTLY, Failed};
use crate::expr::value::{Items, Val};
use crate::json::Node;
use crate::mapped::DeviceFacts;
use crate::plan::{From, Holds, ItemsPlan, Key, Use, When as WhenPlan};
use crate::time::{self, Zone};
use crate::units;

/// The steps that a value takes which is kept to be written later.
pub(super) const FOUND: usize = 12;

/// What the readings of one record have in common.
pub(super) struct Record<'t> {
    pub(super) id: Id<'t>,
    pub(super) when: When,
    pub(super) issued: Option<(Instant, String)>,
    pub(super) preliminary: bool,
    pub(super) manual: bool,
    /// The way it came, where that is not the provider's own.
    pub(super) origin: Option<String>,
    pub(super) device: Option<Arc<DeviceFacts>>,
    pub(super) zone: Option<Rc<Zone>>,
    /// Its number by its id.
    pub(super) number: usize,
    /// Whether its id has not come before.
    pub(super) fresh: bool,
}

impl<'t> Run<'t> {
    /// One record.
    ///
    /// # Errors
    /// [`Failed`] where the steps ran out.
    pub(super) fn record(&mut self, record: &Val<'t>) -> Result<(), Failed> {
        self.visit()?;
        let before = (self.out.left_out, self.out.observations.len(), self.gathered.len());
        self.readings(record);
        let after = (self.out.left_out, self.out.observations.len(), self.gathered.len());
        self.records.note(record, before != after);
        if self.scope.ran_out() { Err(Failed) } else { Ok(()) }
    }

    fn readings(&mut self, record: &Val<'t>) {
        let extract = self.extract;
        if let Some((_, reason)) = extract.skip.iter().find(|(when, _)| self.eval(when, record).truthy()) {
            return self.out.skip(reason);
        }
        self.found.clear();
        self.directs(record);
        // Most samples have one of many values: what is the same for all is worked out where there is any.
        let nothing = self.found.is_empty() && extract.items.is_none() && extract.timed.is_empty();
        if nothing && record.kind() == "object" {
            return;
        }
        let Some(common) = self.common(record) else { return self.out.skip("unreadable") };
        if let Some(items) = &extract.items {
            self.items(items, record);
        }
        for timed in &extract.timed {
            self.timed(timed, record, &common);
        }
        let first = self.seen.what.len();
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
        self.seen.close(&common, first);
    }

    /// None where the record has no usable id or time.
    fn common(&mut self, record: &Val<'t>) -> Option<Record<'t>> {
        let extract = self.extract;
        let id = Id::of(&self.eval(&extract.id, record))?;
        let (number, fresh) = self.seen.number(&id);
        let zone = self.zone(record);
        let when = self.when(record, zone.as_deref())?;
        let truthy = |run: &Self, expr: Option<&'t Expr>| expr.is_some_and(|e| run.eval(e, record).truthy());
        let manual = truthy(self, extract.manual.as_ref().map(|m| &m.when));
        let preliminary = truthy(self, extract.preliminary.as_ref());
        let issued = extract.issued.as_ref().and_then(|e| self.instant(e, record, zone.as_deref()));
        let origin = extract.origin.as_ref().and_then(|e| origin(&self.eval(e, record)));
        let device = if manual { None } else { self.device(record) };
        Some(Record { id, when, issued, preliminary, manual, origin, device, zone, number, fresh })
    }

    /// The record's own zone, or the page's.
    fn zone(&mut self, record: &Val<'t>) -> Option<Rc<Zone>> {
        let named = self.extract.record_zone.as_ref().map(|e| self.eval(e, record));
        let Some(name) = named.as_ref().and_then(Val::text) else { return self.page_zone.clone() };
        match &self.record_zone {
            Some((last, zone)) if *last == *name => zone.clone(),
            _ => {
                self.charge(COSTLY);
                let zone = Zone::named(Some(&name));
                self.record_zone = Some((name.into_owned(), zone.clone()));
                zone
            }
        }
    }

    fn instant(&self, expr: &'t Expr, record: &Val<'t>, zone: Option<&Zone>) -> Option<(Instant, String)> {
        match self.eval(expr, record) {
            Val::Instant(at) => Some((at, zone.unwrap_or(&self.utc).written(at)?)),
            _ => None,
        }
    }

    fn when(&self, record: &Val<'t>, zone: Option<&Zone>) -> Option<When> {
        match &self.extract.when {
            WhenPlan::Time(at) => {
                let (start, start_text) = self.instant(at, record, zone)?;
                Some(When { start, start_text, end: None })
            }
            WhenPlan::Period(start, end) => {
                let (start, start_text) = self.instant(start, record, zone)?;
                let end = self.instant(end, record, zone).filter(|(end, _)| *end > start);
                Some(When { start, start_text, end })
            }
            WhenPlan::Day(day) => {
                let value = self.eval(day, record);
                let text = value.text()?;
                match zone {
                    Some(zone) => {
                        let (start, end) = time::day(&text, zone.time_zone())?;
                        let end = (end, zone.written(end)?);
                        Some(When { start, start_text: zone.written(start)?, end: Some(end) })
                    }
                    // Which instants it was is not known: the date is all that can be said.
                    None => {
                        let (start, _) = time::day(&text, &TimeZone::UTC)?;
                        Some(When { start, start_text: text.into_owned(), end: None })
                    }
                }
            }
        }
    }

    fn device(&mut self, record: &Val<'t>) -> Option<Arc<DeviceFacts>> {
        let plan = self.extract.device.as_ref()?;
        let text = |run: &Self, expr: &'t Expr| scalar(&run.eval(expr, record)).filter(|t| is_fit(t));
        let id = text(self, &plan.id)?;
        let model = plan.model.as_ref().and_then(|e| text(self, e));
        let model_id = plan.model_id.as_ref().and_then(|e| text(self, e));
        let same = |last: &&Arc<DeviceFacts>| {
            last.id == id
                && last.model.as_deref() == model.as_deref()
                && last.model_id.as_deref() == model_id.as_deref()
        };
        if let Some(last) = self.last_device.as_ref().filter(same) {
            return Some(Arc::clone(last));
        }
        let facts = Arc::new(DeviceFacts {
            id: id.into_owned(),
            model: model.map(Cow::into_owned),
            model_id: model_id.map(Cow::into_owned),
        });
        self.last_device = Some(Arc::clone(&facts));
        Some(facts)
    }

    /// Notes every item of the record that a kind uses, and counts the others.
    fn items(&mut self, plan: &'t ItemsPlan, record: &Val<'t>) {
        let list = self.eval(&plan.at, record);
        let Some(items) = list.items() else {
            // No list of items: a record without readings, unless something else stands there.
            if !list.is_null() {
                self.out.skip("unreadable");
            }
            return;
        };
        let outer = self.scope.parent;
        if let Val::Ref(node) = record {
            self.scope.parent = Some(*node);
        }
        self.each_item(plan, &items);
        self.scope.parent = outer;
    }

    fn each_item(&mut self, plan: &'t ItemsPlan, items: &Items<'_, 't>) {
        for item in items.iter() {
            if self.visit().is_err() {
                return;
            }
            if let Some((_, reason)) = plan.skip.iter().find(|(when, _)| self.eval(when, &item).truthy()) {
                self.out.skip(reason);
                continue;
            }
            let Some(key) = key(&self.eval(&plan.key, &item)) else {
                self.out.skip("unreadable");
                continue;
            };
            let Some(uses) = plan.uses(&key) else {
                match plan.ignore.get(&key) {
                    Some(reason) => self.out.skip(reason),
                    None => self.unmapped(&key),
                }
                continue;
            };
            let position = match plan.position.as_ref().map(|e| self.eval(e, &item)) {
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
            let value = self.eval(&plan.number, &item);
            let mut used = false;
            for to in uses {
                let whole = self.mapping.kinds.get(to.kind).and_then(|k| k.whole.as_ref());
                self.charge(whole.map_or(0, |w| w.len() / 8));
                if whole.is_none_or(|w| w.contains(&position)) {
                    self.find(*to, position.filter(|_| whole.is_none()), &value);
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

    /// Notes a number or a code. Whatever is there, but cannot be read, is noted as that.
    fn find(&mut self, to: Use, position: Option<u16>, value: &Val<'t>) {
        let slot = self.mapping.kinds.get(to.kind).and_then(|k| k.slots.get(to.slot));
        let value = match slot.map(|s| &s.holds) {
            Some(Holds::Code { table }) => match scalar(value) {
                Some(code) => {
                    let code = table.codes.get(code.as_ref()).or(table.other.as_ref());
                    code.map(Taken::Code).ok_or("unknown-code")
                }
                None => Err("unreadable"),
            },
            _ => {
                let number =
                    value.numeric().and_then(|v| to.convert.apply(v)).filter(|v| units::is_written(*v));
                number.map(Taken::Number).ok_or("unreadable")
            }
        };
        self.push(Found { kind: to.kind, position, slot: to.slot, value });
    }

    pub(super) fn push(&mut self, found: Found<'t>) {
        self.charge(FOUND);
        self.found.push(found);
    }

    /// Looks for every value that the record can have.
    fn directs(&mut self, record: &Val<'t>) {
        let extract = self.extract;
        let direct = |run: &mut Self, at: usize| {
            if let Some(direct) = extract.direct.get(at) {
                run.direct(direct.to, &direct.from, record);
            }
        };
        extract.wanted.always.iter().for_each(|at| direct(self, *at));
        match record {
            Val::Ref(Node::Object(members)) => {
                self.charge(members.len() / 4);
                self.records_seen += 1;
                for (name, _) in members.iter() {
                    for at in extract.wanted.by(name) {
                        // Where a name repeats, its value is the last one's, and counts once.
                        if let Some(last) = self.looked_for.get_mut(at).filter(|l| **l < self.records_seen) {
                            *last = self.records_seen;
                            direct(self, at);
                        }
                    }
                }
            }
            Val::Map(_) => extract.wanted.named.iter().for_each(|at| direct(self, *at)),
            _ => {}
        }
    }

    fn direct(&mut self, to: Use, from: &'t From, record: &Val<'t>) {
        match from {
            From::Number(expr) | From::Code(expr) => {
                let value = self.eval(expr, record);
                if !value.is_null() {
                    self.find(to, None, &value);
                }
            }
            From::Measured(expr, unit, known) => {
                let value = self.eval(expr, record);
                if value.is_null() {
                    return;
                }
                let unit = self.eval(unit, record);
                let convert = match scalar(&unit).filter(|t| !t.is_empty()) {
                    Some(word) => known.get(word.as_ref()).copied().ok_or("unknown-unit"),
                    None => Err("no-unit"),
                };
                match convert {
                    Ok(convert) => self.find(Use { convert, ..to }, None, &value),
                    Err(why) => {
                        let value = Err(why);
                        self.push(Found { kind: to.kind, position: None, slot: to.slot, value });
                    }
                }
            }
            From::Series(list, interval) => {
                let list = self.eval(list, record);
                let interval = self.eval(interval, record);
                self.charge(samples::cost(&list));
                if self.scope.ran_out() {
                    return;
                }
                self.sampled(to, samples::series(&list, &interval, self.range(to)));
            }
        }
    }
}

/// The name of a way, where it is one: what stands in a tag is short and bounded.
fn origin(value: &Val<'_>) -> Option<String> {
    let fit = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    value.text().filter(|t| (1..=40).contains(&t.len()) && t.bytes().all(fit)).map(Cow::into_owned)
}

/// Whether a text can stand in a FHIR string: not empty, and without control characters.
fn is_fit(text: &str) -> bool {
    !text.is_empty()
        && match text.is_ascii() {
            true => text.bytes().all(|b| !b.is_ascii_control()),
            false => !text.contains(char::is_control),
        }
}

/// An item's key: a whole number, or a short text.
fn key(value: &Val<'_>) -> Option<Key> {
    match value {
        Val::Ref(Node::Text(text)) if (1..=64).contains(&text.len()) => Some(Key::of(text)),
        Val::Ref(Node::Number(_)) if let Some(number) = value.short_whole() => Some(Key::Number(number)),
        _ => {
            let number = value.number()?.normalize();
            if number.scale() > 0 {
                return None;
            }
            i64::try_from(number.mantissa()).ok().map(Key::Number)
        }
    }
}
