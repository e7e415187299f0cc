//! Runs a plan over a page. Linear in the page; what is wrong with one value stays with that value.

mod gather;
mod reading;
mod record;
mod samples;
mod write;

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ohx_domain::Instant;

use self::gather::Gathered;
use self::reading::Found;
use self::write::{Names, Ready};
use crate::error::MapError;
use crate::expr::Expr;
use crate::expr::eval::{Reads, Scope};
use crate::expr::value::Val;
use crate::json::Node;
use crate::mapped::{Context, DeviceFacts, Mapped};
use crate::plan::{Extract, Inner, Mapping};
use crate::time::Zone;

/// Steps that one expression may take over one record or item.
const RECORD_STEPS: usize = 100_000;

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
        self.run(&read(page)?, page.len(), context, None)
    }

    /// Maps a page of so many bytes that has been read; notes what was looked at.
    pub(crate) fn run<'t>(
        &'t self,
        tree: &'t Node<'t>,
        bytes: usize,
        context: &Context,
        reads: Option<&'t Reads>,
    ) -> Result<Mapped, MapError> {
        let Some(first) = self.extracts.first() else { return Ok(Mapped::default()) };
        let mut scope = Scope::new(RECORD_STEPS);
        (scope.page, scope.reads) = (Some(tree), reads);
        let mut run = Run {
            mapping: self,
            extract: first,
            ready: self.kinds.iter().map(|_| None).collect(),
            names: Names::new(self, context),
            page_zone: None,
            utc: Zone::new(TimeZone::UTC),
            record_zone: None,
            scope,
            seen: Seen::default(),
            found: Vec::new(),
            last_device: None,
            gathered: Gathered::new(context.covers),
            records: Records::new(self.extracts.len()),
            out: Mapped::default(),
        };
        // What looks at the whole page may take steps in proportion to it.
        let steps = RECORD_STEPS.saturating_add(bytes.saturating_mul(16));
        for extract in &self.extracts {
            run.extract = extract;
            run.block(tree, steps)?;
            run.records.next_block();
        }
        run.gathered_observations();
        let (records, empty) = run.records.counts();
        if empty > 0 {
            run.out.skipped.insert("empty".to_owned(), empty);
        }
        run.out.records = records;
        Ok(run.out)
    }
}

/// Reads a page.
pub(crate) fn read(page: &[u8]) -> Result<Node<'_>, MapError> {
    if page.len() > crate::MAX_PAGE_BYTES {
        return Err(MapError::TooLarge { bytes: page.len() });
    }
    Ok(Node::parse(page)?)
}

/// What tells the observations of a record apart: kind and position.
type Place = (usize, Option<u16>);

/// The observations that are in already, by record id.
#[derive(Default)]
struct Seen<'t> {
    /// The observations that a record became when its id came first: from one to another (not included).
    first: HashMap<Cow<'t, str>, (usize, usize)>,
    /// Where an id comes more than once: all of its observations, by kind and position.
    again: HashMap<Cow<'t, str>, HashMap<Place, usize>>,
    /// The kind and position of every observation.
    what: Vec<Place>,
}

/// The records of a page, and of which of them nothing became.
enum Records {
    /// One block sees each record once.
    Counted { records: u64, empty: u64 },
    /// Several blocks may see the same ones, mostly in the same order: each by its address, and whether anything became
    /// of it. `index` is only made where the order differs.
    Known { list: Vec<(usize, bool)>, first: bool, at: usize, index: HashMap<usize, usize> },
}

impl Records {
    fn new(blocks: usize) -> Self {
        match blocks {
            1 => Self::Counted { records: 0, empty: 0 },
            _ => Self::Known { list: Vec::new(), first: true, at: 0, index: HashMap::new() },
        }
    }

    /// A block is done.
    fn next_block(&mut self) {
        if let Self::Known { first, at, .. } = self {
            (*first, *at) = (false, 0);
        }
    }

    fn note(&mut self, record: &Val<'_>, yielded: bool) {
        let (list, first, at, index) = match self {
            Self::Counted { records, empty } => {
                *records += 1;
                *empty += u64::from(!yielded);
                return;
            }
            Self::Known { list, first, at, index } => (list, *first, at, index),
        };
        let address = match record {
            Val::Ref(node) => std::ptr::from_ref::<Node<'_>>(node).addr(),
            // Made by an expression: as many as there are.
            _ => usize::MAX - list.len(),
        };
        if first {
            return list.push((address, yielded));
        }
        if let Some((_, any)) = list.get_mut(*at).filter(|(known, _)| *known == address) {
            *any |= yielded;
            *at += 1;
            return;
        }
        if index.is_empty() {
            index.extend(list.iter().enumerate().map(|(n, (address, _))| (*address, n)));
        }
        match index.get(&address).and_then(|n| list.get_mut(*n)) {
            Some((_, any)) => *any |= yielded,
            None => {
                index.insert(address, list.len());
                list.push((address, yielded));
            }
        }
    }

    /// How many there are, and how many of them nothing became of.
    fn counts(&self) -> (u64, u64) {
        match self {
            Self::Counted { records, empty } => (*records, *empty),
            Self::Known { list, .. } => {
                let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
                (count(list.len()), count(list.iter().filter(|(_, yielded)| !yielded).count()))
            }
        }
    }
}

struct Run<'t> {
    mapping: &'t Mapping,
    extract: &'t Extract,
    names: Names,
    ready: Vec<Option<Ready>>,
    page_zone: Option<Rc<Zone>>,
    utc: Zone,
    /// The zone that the last record named.
    record_zone: Option<(String, Option<Rc<Zone>>)>,
    scope: Scope<'t>,
    seen: Seen<'t>,
    found: Vec<Found<'t>>,
    last_device: Option<Arc<DeviceFacts>>,
    gathered: Gathered,
    records: Records,
    out: Mapped,
}

impl<'t> Run<'t> {
    /// One block of extraction over the whole page.
    fn block(&mut self, tree: &'t Node<'t>, steps: usize) -> Result<(), MapError> {
        let extract = self.extract;
        let root = Val::Ref(tree);
        (self.scope.key, self.scope.parent) = (None, None);
        self.scope.refill(steps);
        let zone = extract.zone.as_ref().and_then(|e| e.eval(&root, &self.scope).ok());
        self.page_zone = Zone::named(zone.as_ref().and_then(Val::text).as_deref());
        self.scope.refill(steps);
        let each = extract.each.eval(&root, &self.scope).unwrap_or(Val::Null);
        match (each.items(), each.kind()) {
            (Some(elements), _) => elements.iter().for_each(|element| self.element(&element, steps)),
            // A single one may come without its list.
            (None, "object") => self.element(&each, steps),
            (None, "null") => self.out.skip("no-records"),
            (None, found) => {
                return Err(MapError::NotRecords { mapping: self.mapping.name.clone(), found });
            }
        }
        Ok(())
    }

    /// The records of an element of `each`.
    fn element(&mut self, element: &Val<'t>, steps: usize) {
        let inner = match &self.extract.inner {
            Inner::Itself => return self.record(element),
            Inner::Within(inner) | Inner::Members(inner) => inner,
        };
        self.scope.refill(steps);
        let inner = inner.eval(element, &self.scope).unwrap_or(Val::Null);
        self.scope.parent = match element {
            Val::Ref(node) => Some(*node),
            _ => None,
        };
        match (&self.extract.inner, &inner) {
            (Inner::Members(_), Val::Ref(Node::Object(members))) => {
                for (name, value) in members.iter() {
                    self.scope.key = Some(name);
                    self.record(&Val::Ref(value));
                }
            }
            (Inner::Within(_), list) if list.items().is_some() => {
                let items = list.items();
                items.iter().flat_map(|i| i.iter()).for_each(|item| self.record(&item));
            }
            // An empty object may come as an empty list, and none at all is none.
            (_, other) if !other.truthy() => {}
            _ => self.out.skip("unreadable"),
        }
        (self.scope.key, self.scope.parent) = (None, None);
    }

    /// An expression's value over one record or item; null where it fails.
    fn eval(&self, expr: &'t Expr, current: &Val<'t>) -> Val<'t> {
        if let Expr::Field(name) = expr {
            return self.scope.note(current.field(name));
        }
        self.scope.refill(RECORD_STEPS);
        expr.eval(current, &self.scope).unwrap_or(Val::Null)
    }

    fn skip_times(&mut self, reason: &str, times: usize) {
        (0..times).for_each(|_| self.out.skip(reason));
    }
}

/// A string, or a number as it was written.
fn scalar<'t>(value: &Val<'t>) -> Option<Cow<'t, str>> {
    match value {
        Val::Ref(Node::Number(text) | Node::Text(text)) => Some(Cow::Borrowed(text.as_ref())),
        Val::Name(text) => Some(Cow::Borrowed(text)),
        Val::Exact(number) => Some(Cow::Owned(number.to_string())),
        other => other.text().map(|t| Cow::Owned(t.into_owned())),
    }
}

/// A record id: what may stand in an identifier without being taken for something else.
fn record_id<'t>(value: &Val<'t>) -> Option<Cow<'t, str>> {
    let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    scalar(value).filter(|id| (1..=64).contains(&id.len()) && id.bytes().all(safe))
}

/// When a reading was measured.
#[derive(Clone)]
struct When {
    start: Instant,
    start_text: String,
    end: Option<(Instant, String)>,
}
