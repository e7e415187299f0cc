//! Which records and observations have come before.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::rc::Rc;

use super::record::Record;
use super::scalar;
use crate::expr::value::Val;

/// A record id: a piece of the page, or a text that an expression made.
#[derive(Clone)]
pub(super) enum Id<'t> {
    Page(&'t str),
    Made(Rc<str>),
}

impl<'t> Id<'t> {
    /// What may stand in an identifier without being taken for something else.
    pub(super) fn of(value: &Val<'t>) -> Option<Self> {
        let id = match value {
            Val::Text(text) => Self::Made(Rc::clone(text)),
            other => match scalar(other)? {
                Cow::Borrowed(text) => Self::Page(text),
                Cow::Owned(text) => Self::Made(text.into()),
            },
        };
        Some(id).filter(|id| is_id(id))
    }
}

/// Whether a text can be a record's id.
pub(crate) fn is_id(text: &str) -> bool {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(safe)
}

impl Deref for Id<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Self::Page(text) => text,
            Self::Made(text) => text,
        }
    }
}

impl PartialEq for Id<'_> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Id<'_> {}

impl Hash for Id<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// What tells the observations of a record apart: kind and position.
pub(super) type Place = (usize, Option<u16>);

/// The observations that are in already, by record.
#[derive(Default)]
pub(super) struct Seen<'t> {
    /// The number of a record by its id, which is hashed once: records with one id are one here.
    numbers: HashMap<Id<'t>, usize>,
    /// The observations that a record became when its id came first: from one to another (not included).
    first: Vec<(usize, usize)>,
    /// Where an id comes more than once: all of its observations, by kind and position.
    again: HashMap<usize, HashMap<Place, usize>>,
    /// The kind and position of every observation.
    pub(super) what: Vec<Place>,
}

impl<'t> Seen<'t> {
    /// Makes room for so many records.
    pub(super) fn reserve(&mut self, records: usize) {
        self.numbers.reserve(records);
    }

    /// Where the observation of a record whose id has come before, of a kind and position, is.
    pub(super) fn find(&self, record: usize, kind: usize, position: Option<u16>) -> Option<usize> {
        self.again.get(&record)?.get(&(kind, position)).copied()
    }

    /// Notes that the observations from `first` on are those of a record.
    pub(super) fn close(&mut self, record: &Record<'t>, first: usize) {
        let end = self.what.len();
        if record.fresh {
            if let Some(place) = self.first.get_mut(record.number) {
                *place = (first, end);
            }
        } else if let Some(again) = self.again.get_mut(&record.number) {
            let what = self.what.iter().enumerate().skip(first);
            again.extend(what.map(|(at, what)| (*what, at)));
        }
    }

    /// The number of the record with that id, and whether it has not come before. Once it has, its observations are
    /// found by kind and position.
    pub(super) fn number(&mut self, id: &Id<'t>) -> (usize, bool) {
        let next = self.first.len();
        let number = *self.numbers.entry(id.clone()).or_insert(next);
        let Some((from, to)) = self.first.get(number) else {
            self.first.push((0, 0));
            return (number, true);
        };
        let what = self.what.iter().enumerate().take(*to).skip(*from);
        self.again.entry(number).or_insert_with(|| what.map(|(at, what)| (*what, at)).collect());
        (number, false)
    }
}
