//! One reading: which of the values found for it count, and whether they are believed.

use ohx_domain::decimal::Exact;

use super::Run;
use super::record::Record;
use super::samples::Sampled;
use crate::expr::scope::KEPT_BYTES;
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
        if let Some((span, into)) = kind.gather {
            let refused = if conflicting { Some("conflicting") } else { problem };
            let refused = refused.or((unreadable > 0).then_some("unreadable"));
            let values = values.get(..kind.slots.len()).unwrap_or_default();
            return match refused {
                Some(reason) => self.out.skip(reason),
                None => self.gather(record, first.kind, (span, into), values),
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
        if self.scope.ran_out() {
            return;
        }
        let issued = record.issued.as_ref().map(|(at, _)| *at);
        let seen = if record.fresh { None } else { self.seen.find(record.number, at, position) };
        if let Some(before) = seen {
            // This one or the one before: either way, one of the two is left out.
            self.out.skip("repeated");
            if self.out.observations.get(before).is_none_or(|o| o.issued >= issued) {
                return;
            }
        }
        let Some(made) = self.make(record, at, position, values) else { return self.out.skip("unreadable") };
        let device = made.device.as_ref().map_or(0, |d| d.id.len());
        self.charge(made.resource.get().len() / KEPT_BYTES + device / 32);
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
