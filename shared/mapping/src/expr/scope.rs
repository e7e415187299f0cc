//! What an evaluation knows beside the current value, and the steps of a run: one budget for the whole page.
//!
//! JMESPath cannot loop, but a short expression can look at the whole page for every record, and sharing lets it name an
//! exponentially large value. So whatever takes time or memory takes steps before it is done: one for an expression,
//! for each item looked at, for every 16 bytes of a text that are read, and for every 8 bytes that are kept. They are
//! enough for every document that looks at what is its own; once they are gone, nothing of the page counts.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use super::value::Val;
use crate::json::Node;

/// The steps that a run has, but for those that visits bring.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    /// Over an empty page.
    pub(crate) base: usize,
    /// For every byte of the page.
    pub(crate) per_byte: usize,
}

/// Well above what documents take that look at each record alone: the built-in ones take less than a fifth.
pub(crate) const ALLOWANCE: Allowance = Allowance { base: 1_000_000, per_byte: 32 };

/// The most steps that a visit to a record or an item brings. The largest built-in document needs less than half.
pub(crate) const MAX_VISIT_STEPS: usize = 1_000;

/// How many bytes of memory a step pays for.
pub(crate) const KEPT_BYTES: usize = 8;

/// What a value in a list costs, and what a list does.
pub(crate) const KEPT: usize = size_of::<Val<'_>>() / KEPT_BYTES;

/// What looking up a time zone or making a digest takes.
pub(crate) const COSTLY: usize = 32;

/// Why an expression has no value: a function got an argument of the wrong type, or the steps ran out, which
/// [`Scope::ran_out`] tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// The parts of a page that were looked at, by their address: for finding what no rule reads.
#[derive(Default)]
pub(crate) struct Reads(RefCell<HashSet<usize>>);

impl Reads {
    fn note(&self, node: &Node<'_>) {
        self.0.borrow_mut().insert(std::ptr::from_ref(node).addr());
    }

    /// Whether this very part of the page was looked at.
    pub(crate) fn has(&self, node: &Node<'_>) -> bool {
        self.0.borrow().contains(&std::ptr::from_ref(node).addr())
    }
}

/// The steps of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Those that there were.
    pub(crate) granted: usize,
    /// Those that were taken.
    pub(crate) used: usize,
}

/// What an evaluation knows beside the current value, and the steps that may still be taken.
pub(crate) struct Scope<'t> {
    left: Cell<usize>,
    granted: Cell<usize>,
    /// How many visits still bring steps.
    visits: Cell<usize>,
    ran_out: Cell<bool>,
    /// Whether the expression has no value, and the steps that are set aside until its evaluation has ended.
    failed: Cell<bool>,
    aside: Cell<usize>,
    /// The name of the member that the current record is the value of: `key()`.
    pub(crate) key: Option<&'t str>,
    /// What the current record was found in: `parent()`.
    pub(crate) parent: Option<&'t Node<'t>>,
    /// The whole page: `page()`.
    pub(crate) page: Option<&'t Node<'t>>,
    /// Where it is noted what was looked at.
    pub(crate) reads: Option<&'t Reads>,
}

impl<'t> Scope<'t> {
    /// A scope with so many steps, to which visits add nothing.
    pub(crate) fn new(steps: usize) -> Self {
        Self {
            left: Cell::new(steps),
            granted: Cell::new(steps),
            visits: Cell::new(0),
            ran_out: Cell::new(false),
            failed: Cell::new(false),
            aside: Cell::new(0),
            key: None,
            parent: None,
            page: None,
            reads: None,
        }
    }

    /// The scope of a run over a page of so many bytes.
    pub(crate) fn of_page(allowed: Allowance, bytes: usize, blocks: usize) -> Self {
        let scope = Self::new(allowed.base.saturating_add(bytes.saturating_mul(allowed.per_byte)));
        // A page has no more values than half its bytes: visits beyond are to some of them again.
        scope.visits.set((bytes / 2 + 1).saturating_mul(blocks.min(16)));
        scope
    }

    /// Takes steps, before doing what they are for.
    #[inline]
    pub(crate) fn spend(&self, steps: usize) -> Result<(), Failed> {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => self.refuse(),
        }
    }

    #[cold]
    fn refuse(&self) -> Result<(), Failed> {
        // What has failed already takes no steps, and says nothing of whether they would have been there.
        if !self.failed.get() {
            self.ran_out.set(true);
            self.left.set(0);
        }
        Err(Failed)
    }

    /// Takes the steps for reading a value's text or digits.
    #[inline]
    pub(crate) fn weigh(&self, value: &Val<'_>) {
        let bytes = value.weight();
        if bytes >= 16 {
            // Where they are not there, the next step finds out.
            let _ = self.spend(bytes / 16);
        }
    }

    /// Takes the steps for having looked through so many members for one of that name.
    #[inline]
    pub(crate) fn looked_through(&self, members: usize, name: &str) {
        let cost = members.saturating_mul(16 + name.len()) / 64;
        if cost > 0 {
            let _ = self.spend(cost);
        }
    }

    /// Takes the steps for so many bytes that are kept.
    pub(crate) fn keep(&self, bytes: usize) -> Result<(), Failed> {
        self.spend(bytes / KEPT_BYTES)
    }

    /// A record or an item is visited: that takes a step and brings some, unless there have been more visits than the
    /// page can have records and items.
    pub(crate) fn visit(&self, brings: usize) -> Result<(), Failed> {
        if let Some(visits) = self.visits.get().checked_sub(1)
            && !self.ran_out.get()
        {
            self.visits.set(visits);
            self.left.set(self.left.get().saturating_add(brings));
            self.granted.set(self.granted.get().saturating_add(brings));
        }
        self.spend(1)
    }

    /// Whether the steps ran out: then nothing that was made counts.
    pub(crate) fn ran_out(&self) -> bool {
        self.ran_out.get()
    }

    /// Those that there were, and those that were taken.
    pub(crate) fn steps(&self) -> Steps {
        let granted = self.granted.get();
        Steps { granted, used: granted - self.left.get() }
    }

    /// Notes that the expression has no value, and that no further step is to be taken for it.
    pub(crate) fn fail(&self) -> Val<'t> {
        if !self.failed.replace(true) {
            self.aside.set(self.left.replace(0));
        }
        Val::Null
    }

    /// Whether the expression may still have a value.
    pub(crate) fn running(&self) -> Result<(), Failed> {
        if self.failed.get() { Err(Failed) } else { Ok(()) }
    }

    /// The evaluation of an expression has ended: whether it failed.
    pub(super) fn has_failed(&self) -> bool {
        let failed = self.failed.replace(false);
        if failed {
            self.left.set(self.aside.get());
        }
        failed
    }

    /// Notes that a value was looked at.
    pub(crate) fn note(&self, value: &Val<'_>) {
        if let (Some(reads), Val::Ref(node)) = (self.reads, value) {
            reads.note(node);
        }
    }
}
