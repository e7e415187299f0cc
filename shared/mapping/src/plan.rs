//! A compiled document: everything that does not depend on the page, worked out once.

use std::collections::HashMap;
use std::sync::Arc;

use ohx_domain::decimal::Exact;

use crate::compile::Codes;
use crate::document::{Into, Span};
use crate::expr::Expr;
use crate::units::Conversion;

/// Stands for the identifier base in prepared JSON text. A JSON text never holds this character itself.
pub(crate) const BASE: char = '\u{0}';

/// The most values of one kind.
pub(crate) const MAX_SLOTS: usize = 32;

/// A compiled mapping document. Cheap to share between threads; see [`Mapping::parse`].
pub struct Mapping {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) system: String,
    pub(crate) extracts: Vec<Extract>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) examples: Vec<Example>,
    /// Codes of this deployment's own code systems: system, code, text.
    pub(crate) local_codes: Vec<(String, String, String)>,
}

/// A compiled first stage.
pub(crate) struct Extract {
    pub(crate) zone: Option<Expr>,
    pub(crate) each: Expr,
    pub(crate) inner: Inner,
    pub(crate) skip: Vec<(Expr, String)>,
    pub(crate) id: Expr,
    pub(crate) when: When,
    pub(crate) record_zone: Option<Expr>,
    pub(crate) issued: Option<Expr>,
    pub(crate) preliminary: Option<Expr>,
    pub(crate) device: Option<DevicePlan>,
    pub(crate) manual: Option<Manual>,
    pub(crate) origin: Option<Expr>,
    pub(crate) items: Option<ItemsPlan>,
    pub(crate) direct: Vec<Direct>,
    pub(crate) wanted: Wanted,
    pub(crate) timed: Vec<Timed>,
    /// How many parts all of its expressions have.
    pub(crate) parts: usize,
}

/// Which values of `direct` to look for, by the members that a record has: a sample has one of many.
#[derive(Default)]
pub(crate) struct Wanted {
    /// Those that are null unless the record has a member of that name, by the name's length and by name.
    by_length: Vec<Vec<(Box<str>, usize)>>,
    /// All of these.
    pub(crate) named: Vec<usize>,
    /// The others.
    pub(crate) always: Vec<usize>,
}

impl Wanted {
    pub(crate) fn of(direct: &[Direct]) -> Self {
        let mut wanted = Self::default();
        for (at, one) in direct.iter().enumerate() {
            let (From::Number(expr) | From::Measured(expr, ..) | From::Code(expr) | From::Series(expr, _)) =
                &one.from;
            match expr.needs() {
                Some(name) => {
                    wanted.named.push(at);
                    if wanted.by_length.len() <= name.len() {
                        wanted.by_length.resize_with(name.len() + 1, Vec::new);
                    }
                    if let Some(place) = wanted.by_length.get_mut(name.len()) {
                        place.push((name.into(), at));
                    }
                }
                None => wanted.always.push(at),
            }
        }
        for places in &mut wanted.by_length {
            places.sort();
        }
        wanted
    }

    /// The values that a member of this name may give.
    pub(crate) fn by(&self, name: &str) -> impl Iterator<Item = usize> {
        let known = self.by_length.get(name.len()).map(Vec::as_slice).unwrap_or_default();
        let from = known.partition_point(|(wanted, _)| **wanted < *name);
        known.iter().skip(from).take_while(move |(wanted, _)| **wanted == *name).map(|(_, at)| *at)
    }
}

/// What of an element of `each` the records are.
pub(crate) enum Inner {
    /// The element itself.
    Itself,
    /// The items of a list in it.
    Within(Expr),
    /// The values of an object in it.
    Members(Expr),
}

/// When a reading was measured.
pub(crate) enum When {
    Time(Expr),
    Period(Expr, Expr),
    Day(Expr),
}

pub(crate) struct DevicePlan {
    pub(crate) id: Expr,
    pub(crate) model: Option<Expr>,
    pub(crate) model_id: Option<Expr>,
}

pub(crate) struct Manual {
    pub(crate) when: Expr,
    /// `,"note":[{"text":"…"}]`
    pub(crate) note: String,
}

pub(crate) struct ItemsPlan {
    pub(crate) at: Expr,
    pub(crate) skip: Vec<(Expr, String)>,
    pub(crate) key: Expr,
    pub(crate) position: Option<Expr>,
    /// `,"bodySite":{…}` by position.
    pub(crate) sites: HashMap<u16, String>,
    pub(crate) number: Expr,
    pub(crate) uses: HashMap<Key, Vec<Use>>,
    /// The uses of small numbers, by the number: nearly all keys there are.
    pub(crate) small: Vec<Vec<Use>>,
    pub(crate) ignore: HashMap<Key, String>,
}

/// The keys of [`ItemsPlan::small`] are below this.
const SMALL: usize = 1024;

impl ItemsPlan {
    /// Makes the index of small numbers, once all uses are known.
    pub(crate) fn index(&mut self) {
        for (key, uses) in &self.uses {
            if let Key::Number(number) = key
                && let Some(at) = usize::try_from(*number).ok().filter(|n| *n < SMALL)
            {
                if self.small.len() <= at {
                    self.small.resize(at + 1, Vec::new());
                }
                if let Some(place) = self.small.get_mut(at) {
                    place.clone_from(uses);
                }
            }
        }
    }

    /// What an item with this key is used for. None where it is not used.
    pub(crate) fn uses(&self, key: &Key) -> Option<&[Use]> {
        let small = match key {
            Key::Number(number) => usize::try_from(*number).ok().filter(|n| *n < SMALL),
            Key::Text(_) => None,
        };
        match small {
            Some(at) => self.small.get(at).map(Vec::as_slice).filter(|uses| !uses.is_empty()),
            None => self.uses.get(key).map(Vec::as_slice),
        }
    }
}

/// What tells the items of a record apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Number(i64),
    Text(String),
}

impl Key {
    /// A key, as text: `10` and `"10"` are the same.
    pub(crate) fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Number)
    }
}

/// Which value of which kind something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) kind: usize,
    pub(crate) slot: usize,
    /// How it comes into the slot's unit.
    pub(crate) convert: Conversion,
}

/// A value that is taken from the record itself.
pub(crate) struct Direct {
    pub(crate) to: Use,
    pub(crate) from: From,
}

/// Where a value of the record is.
pub(crate) enum From {
    /// A number.
    Number(Expr),
    /// A number, and the provider's word for its unit with what to do then.
    Measured(Expr, Expr, HashMap<String, Conversion>),
    /// A code of the slot's table.
    Code(Expr),
    /// A list of numbers, and the time between two.
    Series(Expr, Expr),
}

/// Samples by time: an object, when each of its members was measured, and the number of each where it is not the
/// member's value itself.
pub(crate) struct Timed {
    pub(crate) to: Use,
    pub(crate) members: Expr,
    pub(crate) time: Expr,
    pub(crate) number: Option<Expr>,
}

/// A kind of reading, with the JSON text of its Observation prepared.
pub(crate) struct Kind {
    pub(crate) name: Arc<str>,
    /// The positions that all mean the same reading. None: each position is a reading of its own.
    pub(crate) whole: Option<Vec<Option<u16>>>,
    pub(crate) gather: Option<(Span, Into)>,
    /// From the beginning to the identifier's system.
    pub(crate) head: String,
    /// From behind the status to the subject.
    pub(crate) body: String,
    /// `,"method":{…}`, or nothing.
    pub(crate) method: String,
    pub(crate) slots: Vec<Slot>,
    /// Whether the first slot is the Observation's own value; the others are components.
    pub(crate) own: bool,
}

/// A value of a kind: its own, or a component.
pub(crate) struct Slot {
    pub(crate) name: String,
    pub(crate) holds: Holds,
    pub(crate) optional: bool,
    /// The JSON text before the value.
    pub(crate) before: String,
    /// The JSON text after it.
    pub(crate) after: String,
}

/// What a slot holds.
pub(crate) enum Holds {
    /// A decimal in a UCUM unit.
    Quantity { unit: String, digits: Option<u32>, range: Option<(Exact, Exact)> },
    /// A code of a table, which several slots may share.
    Code { table: Arc<Codes> },
    /// SampledData: the unit of time between samples, and the power of ten from microseconds to it.
    Samples { unit: String, interval: &'static str, scale: i32, range: Option<(Exact, Exact)> },
}

impl Holds {
    /// The UCUM code of its unit; for a code, nothing.
    pub(crate) fn unit(&self) -> &str {
        match self {
            Self::Quantity { unit, .. } | Self::Samples { unit, .. } => unit,
            Self::Code { .. } => "",
        }
    }
}

/// A page and what must come of it.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) page: String,
    pub(crate) expect: String,
    pub(crate) skipped: Option<Vec<(String, u64)>>,
}
