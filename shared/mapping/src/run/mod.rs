//! Runs a plan over a page. Linear in the page; what is wrong with one value stays with that value.

mod gather;
mod reading;
mod record;
mod samples;
mod seen;
#[cfg(test)]
#[path = "steps_tests.rs"]
mod steps_tests;
mod write;

pub(crate) use self::seen::is_id;

use std::borrow::Cow;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ohx_domain::Instant;

use self::gather::Gathered;
use self::reading::Found;
use self::seen::Seen;
use self::write::{Names, Ready};
use crate::error::MapError;
use crate::expr::Expr;
use crate::expr::scope::{ALLOWANCE, Allowance, Failed, MAX_VISIT_STEPS, Reads, Scope, Steps};
use crate::expr::value::Val;
use crate::json::Node;
use crate::mapped::{Context, DeviceFacts, Mapped};
use crate::plan::{Extract, Inner, Mapping};
use crate::time::Zone;

/// The most Observations that one record may become.
const OUTPUTS_PER_RECORD: usize = 200;

impl Mapping {
    /// Maps a provider's page (or a piece of one, cut between records) to Observations.
    ///
    /// Linear in the size of the page: a document that makes more work of it is refused. A value, a measure or a record
    /// that cannot be used is left out and counted in [`Mapped::skipped`]; it changes nothing else. Of two readings
    /// with the same identity, the one that was issued later stays, else the first.
    ///
    /// # Errors
    /// [`MapError`] where the page as a whole is not what the document describes, or the document is too costly.
    pub fn map(&self, page: &[u8], context: &Context) -> Result<Mapped, MapError> {
        self.run(&read(page)?, page.len(), context, None, ALLOWANCE).0
    }

    /// Maps a page of so many bytes that has been read; notes what was looked at. Also says what steps it took.
    pub(crate) fn run<'t>(
        &'t self,
        tree: &'t Node<'t>,
        bytes: usize,
        context: &Context,
        reads: Option<&'t Reads>,
        allowed: Allowance,
    ) -> (Result<Mapped, MapError>, Steps) {
        let mut scope = Scope::of_page(allowed, bytes, self.extracts.len());
        (scope.page, scope.reads) = (Some(tree), reads);
        let Some(first) = self.extracts.first() else { return (Ok(Mapped::default()), scope.steps()) };
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
            room: bytes / 64,
            found: Vec::new(),
            records_seen: 0,
            looked_for: Vec::new(),
            last_device: None,
            gathered: Gathered::new(context.covers),
            records: Records::new(self.extracts.len()),
            out: Mapped::default(),
        };
        let done = self.extracts.iter().try_for_each(|extract| run.block(extract, tree));
        run.gathered_observations();
        let (ran_out, steps) = (run.scope.ran_out(), run.scope.steps());
        let result = match done {
            _ if ran_out => Err(MapError::TooCostly { mapping: self.name.clone() }),
            Ok(()) => Ok(run.result()),
            Err(error) => Err(error),
        };
        (result, steps)
    }
}

/// Reads a page.
pub(crate) fn read(page: &[u8]) -> Result<Node<'_>, MapError> {
    if page.len() > crate::MAX_PAGE_BYTES {
        return Err(MapError::TooLarge { bytes: page.len() });
    }
    Ok(Node::parse(page)?)
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
    /// For how many records of some size there is room in the page.
    room: usize,
    found: Vec<Found<'t>>,
    /// How many records there were, and in which of them each value of `direct` was last looked for.
    records_seen: usize,
    looked_for: Vec<usize>,
    last_device: Option<Arc<DeviceFacts>>,
    gathered: Gathered,
    records: Records,
    out: Mapped,
}

impl<'t> Run<'t> {
    /// One block of extraction over the whole page. Ends early where the steps run out.
    fn block(&mut self, extract: &'t Extract, tree: &'t Node<'t>) -> Result<(), MapError> {
        self.extract = extract;
        self.looked_for.clear();
        self.looked_for.resize(extract.direct.len(), 0);
        let root = Val::Ref(tree);
        (self.scope.key, self.scope.parent) = (None, None);
        let zone = extract.zone.as_ref().map(|e| self.eval(e, &root));
        self.page_zone = Zone::named(zone.as_ref().and_then(Val::text).as_deref());
        let each = self.eval(&extract.each, &root);
        match (each.items(), each.kind()) {
            (Some(elements), _) => {
                self.seen.reserve(elements.len().min(self.room));
                let _ = elements.iter().try_for_each(|element| self.element(&element));
            }
            // A single one may come without its list.
            (None, "object") => {
                let _ = self.element(&each);
            }
            (None, "null") => self.out.skip("no-records"),
            (None, found) => {
                return Err(MapError::NotRecords { mapping: self.mapping.name.clone(), found });
            }
        }
        self.records.next_block();
        Ok(())
    }

    /// The records of an element of `each`.
    ///
    /// # Errors
    /// [`Failed`] where the steps ran out.
    fn element(&mut self, element: &Val<'t>) -> Result<(), Failed> {
        let inner = match &self.extract.inner {
            Inner::Itself => return self.record(element),
            Inner::Within(inner) | Inner::Members(inner) => inner,
        };
        self.visit()?;
        let inner = self.eval(inner, element);
        self.scope.parent = match element {
            Val::Ref(node) => Some(*node),
            _ => None,
        };
        match (&self.extract.inner, &inner) {
            (Inner::Members(_), Val::Ref(Node::Object(members))) => {
                self.seen.reserve(members.len().min(self.room));
                for (name, value) in members.iter() {
                    self.scope.key = Some(name);
                    self.record(&Val::Ref(value))?;
                }
            }
            (Inner::Within(_), list) if list.items().is_some() => {
                let items = list.items();
                items.iter().flat_map(|i| i.iter()).try_for_each(|item| self.record(&item))?;
            }
            // An empty object may come as an empty list, and none at all is none.
            (_, other) if !other.truthy() => {}
            _ => self.out.skip("unreadable"),
        }
        (self.scope.key, self.scope.parent) = (None, None);
        Ok(())
    }

    /// A record, an item or a sample is looked at.
    fn visit(&self) -> Result<(), Failed> {
        self.scope.visit(self.extract.parts.min(MAX_VISIT_STEPS))
    }

    /// An expression's value, which is about to be read; null where it fails.
    fn eval(&self, expr: &'t Expr, current: &Val<'t>) -> Val<'t> {
        let value = expr.eval_or_null(current, &self.scope);
        self.scope.weigh(&value);
        value
    }

    /// Takes steps for something that is already done, and small against all there were.
    fn charge(&self, steps: usize) {
        // Where they are not there, the run ends with the record.
        let _ = self.scope.spend(steps);
    }

    /// What came of the page.
    fn result(mut self) -> Mapped {
        let (records, empty) = self.records.counts();
        if empty > 0 {
            self.out.skipped.insert("empty".to_owned(), empty);
        }
        self.out.records = records;
        self.out
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

/// When a reading was measured.
#[derive(Clone)]
struct When {
    start: Instant,
    start_text: String,
    end: Option<(Instant, String)>,
}
