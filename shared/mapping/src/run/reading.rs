//! One reading: which of the values found for it count, and whether they are believed.

use ohx_domain::decimal::Exact;

use super::record::Record;
use super::samples::Sampled;
use super::{Run, Seen};
use crate::plan::{Holds, Kind, MAX_SLOTS};

/// A value that was found in a record.
pub(super) struct Found<'t> {
    pub(super) kind: usize,
    pub(super) position: Option<u16>,
    pub(super) slot: usize,
    /// Or why it is none.
    pub(super) value: Result<Taken<'t>, &'static str>,
}

/// A value.
#[derive(Clone)]
pub(super) enum Taken<'t> {
    Number(Exact),
    /// The JSON text of a CodeableConcept, and the code.
    Code(&'t (String, String)),
    Samples(Sampled),
}

impl Taken<'_> {
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Code(a), Self::Code(b)) => a.1 == b.1,
            (Self::Samples(a), Self::Samples(b)) => a == b,
            _ => false,
        }
    }
}

impl<'t> Run<'t> {
    /// Makes one Observation of what was found for a kind at a position.
    pub(super) fn reading(&mut self, record: &Record<'t>, found: &[Found<'t>]) {
        let mapping = self.mapping;
        let Some((first, kind)) = found.first().and_then(|f| Some((f, mapping.kinds.get(f.kind)?))) else {
            return;
        };
        let mut values: [Option<&Taken<'t>>; MAX_SLOTS] = [None; MAX_SLOTS];
        let mut problem = None;
        let mut unreadable = 0;
        let mut conflicting = false;
        for f in found {
            let Some(place) = values.get_mut(f.slot) else { continue };
            match (*place, &f.value) {
                (_, Err("unreadable")) => unreadable += 1,
                (_, Err(why)) => problem = Some(*why),
                (None, Ok(value)) => *place = Some(value),
                // The same value twice: the one that is written with more digits stays.
                (Some(before), Ok(value)) if before.same(value) => {
                    if let (Taken::Number(a), Taken::Number(b)) = (before, value)
                        && b.scale() > a.scale()
                    {
                        *place = Some(value);
                    }
                }
                (Some(_), Ok(_)) => conflicting = true,
            }
        }
        if let Some((span, _)) = kind.gather {
            let refused = if conflicting { Some("conflicting") } else { problem };
            let refused = refused.or((unreadable > 0).then_some("unreadable"));
            return match (refused, values[0]) {
                (Some(reason), _) => self.out.skip(reason),
                (None, Some(Taken::Number(value))) => self.gather(record, first.kind, span, *value),
                _ => self.out.skip("incomplete"),
            };
        }
        let values = values.get(..kind.slots.len()).unwrap_or_default();
        let refused = match (conflicting, problem) {
            (true, _) => Some("conflicting"),
            (_, Some(why)) => Some(why),
            _ if !complete(kind, values) => Some(if unreadable > 0 { "unreadable" } else { "incomplete" }),
            _ if !believed(kind, values) => Some("out-of-range"),
            _ => None,
        };
        match refused {
            Some(reason) => self.out.skip(reason),
            None => {
                // An unreadable copy of a value that was also there readably is counted, and does no harm.
                self.skip_times("unreadable", unreadable);
                self.observation(record, first.kind, first.position, values);
            }
        }
    }

    pub(super) fn observation(
        &mut self,
        record: &Record<'t>,
        at: usize,
        position: Option<u16>,
        values: &[Option<&Taken<'t>>],
    ) {
        let issued = record.issued.as_ref().map(|(at, _)| *at);
        let seen = if record.fresh { None } else { self.seen.find(&record.id, at, position) };
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
                self.seen.what.push((at, position));
                self.out.observations.push(made);
            }
        }
    }
}

/// Whether everything that must be there is, and anything at all.
fn complete(kind: &Kind, values: &[Option<&Taken<'_>>]) -> bool {
    kind.slots.iter().zip(values).all(|(slot, value)| slot.optional || value.is_some())
        && values.iter().any(Option::is_some)
}

fn believed(kind: &Kind, values: &[Option<&Taken<'_>>]) -> bool {
    kind.slots.iter().zip(values).all(|(slot, value)| match (&slot.holds, value) {
        (Holds::Quantity { range: Some((low, high)), .. }, Some(Taken::Number(v))) => {
            (low..=high).contains(&v)
        }
        _ => true,
    })
}

impl<'t> Seen<'t> {
    /// Where the observation of a record whose id has come before, of a kind and position, is.
    fn find(&self, id: &str, kind: usize, position: Option<u16>) -> Option<usize> {
        self.again.get(id)?.get(&(kind, position)).copied()
    }

    /// Notes that the observations from `first` on are those of a record.
    pub(super) fn close(&mut self, record: Record<'t>, first: usize) {
        let end = self.what.len();
        if record.fresh {
            if end > first {
                self.first.insert(record.id, (first, end));
            }
        } else if let Some(again) = self.again.get_mut(record.id.as_ref()) {
            let what = self.what.iter().enumerate().skip(first);
            again.extend(what.map(|(at, what)| (*what, at)));
        }
    }

    /// Whether an id has not come before. Once it has, its observations are found by kind and position.
    pub(super) fn is_new(&mut self, id: &str) -> bool {
        let Some((known, (from, to))) = self.first.get_key_value(id) else { return true };
        if !self.again.contains_key(id) {
            let what = self.what.iter().enumerate().take(*to).skip(*from);
            self.again.insert(known.clone(), what.map(|(at, what)| (*what, at)).collect());
        }
        false
    }
}
