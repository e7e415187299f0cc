//! SampledData: many numbers as one text.

use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, scale10};

use super::Run;
use super::reading::{Found, Taken};
use super::record::{FOUND, Record};
use crate::expr::Expr;
use crate::expr::value::Val;
use crate::json::Node;
use crate::plan::{Holds, Timed, Use};
use crate::units;

/// SampledData that lacks its unit: the numbers, and how they lie in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sampled {
    /// `"interval":…` or `"offsets":"…"`.
    pub(super) time: String,
    /// The numbers, with blanks between them; E where there was none.
    pub(super) data: String,
}

/// Samples, and what was left out of them.
pub(super) struct Counted {
    pub(super) sampled: Option<Sampled>,
    pub(super) unreadable: usize,
    pub(super) out_of_range: usize,
}

type Range = Option<(Exact, Exact)>;

impl Run<'_> {
    pub(super) fn range(&self, to: Use) -> Range {
        match self.mapping.kinds.get(to.kind).and_then(|k| k.slots.get(to.slot)).map(|s| &s.holds) {
            Some(Holds::Samples { range, .. } | Holds::Quantity { range, .. }) => *range,
            _ => None,
        }
    }

    /// The power of ten by which microseconds become the unit of time between samples.
    pub(super) fn scale(&self, to: Use) -> i32 {
        match self.mapping.kinds.get(to.kind).and_then(|k| k.slots.get(to.slot)).map(|s| &s.holds) {
            Some(Holds::Samples { scale, .. }) => *scale,
            _ => -6,
        }
    }
}

impl<'t> Run<'t> {
    /// Notes the samples of an object whose members each have a time of their own.
    pub(super) fn timed(&mut self, plan: &'t Timed, record: &Val<'t>, common: &Record<'t>) {
        let members = self.eval(&plan.members, record);
        let Some(values) = self.timed_values(&members, &plan.time, plan.number.as_ref()) else { return };
        let (scale, range) = (self.scale(plan.to), self.range(plan.to));
        self.sampled(plan.to, Some(timed(values, common.when.start, scale, range)));
    }

    /// Notes samples, and counts what was left out of them.
    pub(super) fn sampled(&mut self, to: Use, samples: Option<Counted>) {
        let Some(Counted { sampled, unreadable, out_of_range }) = samples else { return };
        self.skip_times("unreadable", unreadable);
        self.skip_times("out-of-range", out_of_range);
        if let Some(sampled) = sampled {
            let value = Ok(Taken::Samples(sampled));
            self.push(Found { kind: to.kind, position: None, slot: to.slot, value });
        }
    }

    /// The numbers of an object and when each was measured.
    fn timed_values(
        &mut self,
        members: &Val<'t>,
        at: &'t Expr,
        number: Option<&'t Expr>,
    ) -> Option<Vec<(Option<Instant>, Val<'t>)>> {
        let Val::Ref(Node::Object(members)) = members else { return None };
        let record_key = self.scope.key;
        let mut values = Vec::new();
        for (name, value) in members.iter() {
            self.visit().ok()?;
            self.charge(FOUND);
            self.scope.key = Some(name);
            let value = Val::Ref(value);
            let at = match self.eval(at, &value) {
                Val::Instant(at) => Some(at),
                _ => None,
            };
            match number.map(|e| self.eval(e, &value)) {
                Some(Val::Null) => {}
                Some(number) => values.push((at, number)),
                None => {
                    self.scope.weigh(&value);
                    values.push((at, value));
                }
            }
        }
        self.scope.key = record_key;
        Some(values)
    }
}

/// A number that FHIR can write.
fn number(value: &Val<'_>) -> Option<Exact> {
    value.numeric().filter(|v| units::is_written(*v))
}

fn believed(range: Range, value: Exact) -> bool {
    range.is_none_or(|(low, high)| (low..=high).contains(&value))
}

fn push(data: &mut String, text: &str) {
    if !data.is_empty() {
        data.push(' ');
    }
    data.push_str(text);
}

/// The steps that reading and writing a list of numbers takes.
pub(super) fn cost(list: &Val<'_>) -> usize {
    list.items().map_or(0, |items| items.iter().map(|item| 6 + item.weight() / 16).sum())
}

/// A list of numbers at one interval. What is no number, or not believed, keeps its place as E (error). None where
/// there is no list.
pub(super) fn series(list: &Val<'_>, interval: &Val<'_>, range: Range) -> Option<Counted> {
    let items = list.items()?;
    let mut counted = Counted { sampled: None, unreadable: 0, out_of_range: 0 };
    let Some(interval) = number(interval).filter(|i| i.is_sign_positive() && !i.is_zero()) else {
        counted.unreadable = 1;
        return Some(counted);
    };
    let mut data = String::with_capacity(items.len() * 4);
    for item in items.iter() {
        match number(&item) {
            Some(value) if believed(range, value) => push(&mut data, &value.to_string()),
            Some(_) => {
                counted.out_of_range += 1;
                push(&mut data, "E");
            }
            None => {
                counted.unreadable += 1;
                push(&mut data, "E");
            }
        }
    }
    if items.len() > counted.unreadable + counted.out_of_range {
        let time = format!("\"interval\":{}", interval.normalize());
        counted.sampled = Some(Sampled { time, data });
    }
    Some(counted)
}

/// Numbers with their times, in order of time; `scale` is the power of ten from microseconds to the unit of offsets.
/// What has no time, is no number or is not believed is left out.
pub(super) fn timed(
    values: Vec<(Option<Instant>, Val<'_>)>,
    start: Instant,
    scale: i32,
    range: Range,
) -> Counted {
    let mut counted = Counted { sampled: None, unreadable: 0, out_of_range: 0 };
    let mut found = Vec::with_capacity(values.len());
    for (at, value) in values {
        match at.zip(number(&value)) {
            Some((_, value)) if !believed(range, value) => counted.out_of_range += 1,
            Some(sample) => found.push(sample),
            None => counted.unreadable += 1,
        }
    }
    counted.sampled = offsets(&mut found, start, scale);
    counted
}

/// Samples in order of time, with their offsets. Equal ones count once. None where there are none.
pub(super) fn offsets(samples: &mut Vec<(Instant, Exact)>, start: Instant, scale: i32) -> Option<Sampled> {
    samples.sort();
    samples.dedup();
    let (mut data, mut offsets) = (String::new(), String::new());
    for (at, value) in samples.iter() {
        let micros = at.as_microsecond().saturating_sub(start.as_microsecond());
        let offset = scale10(Exact::from(micros), scale)?.normalize();
        push(&mut offsets, &offset.to_string());
        push(&mut data, &value.to_string());
    }
    if data.is_empty() {
        return None;
    }
    Some(Sampled { time: format!("\"offsets\":\"{offsets}\""), data })
}
