//! Evaluates a compiled expression over a page.
//!
//! The same results as the `jmespath` crate's interpreter (a test holds them against each other), with two
//! differences that are meant: numbers are exact, and the work is bounded. JMESPath cannot loop, but sharing lets a
//! short expression name an exponentially large value; comparing or printing such a value runs out of a [`Scope`]'s steps.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::HashSet;
use std::rc::Rc;

use super::value::{Items, Val};
use super::{Compare, Expr};
use crate::json::Node;

/// Why an expression has no value: a function got an argument of the wrong type, or the steps ran out.
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

/// What an evaluation knows beside the current value, and the steps that it may still take.
pub(crate) struct Scope<'t> {
    left: Cell<usize>,
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
    pub(crate) fn new(steps: usize) -> Self {
        Self { left: Cell::new(steps), key: None, parent: None, page: None, reads: None }
    }

    pub(crate) fn spend(&self, steps: usize) -> Result<(), Failed> {
        let left = self.left.get().checked_sub(steps).ok_or(Failed)?;
        self.left.set(left);
        Ok(())
    }

    /// Fills up the steps.
    pub(crate) fn refill(&self, steps: usize) {
        self.left.set(steps);
    }

    /// Notes that a value was looked at.
    pub(crate) fn note<'v>(&self, value: Val<'v>) -> Val<'v> {
        if let (Some(reads), Val::Ref(node)) = (self.reads, &value) {
            reads.note(node);
        }
        value
    }
}

impl Expr {
    /// The expression's value for `current`.
    pub(crate) fn eval<'t>(&'t self, current: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
        scope.spend(1)?;
        Ok(match self {
            Self::Identity => scope.note(current.clone()),
            Self::Field(name) => scope.note(current.field(name)),
            Self::Sub(lhs, rhs) => rhs.eval(&lhs.eval(current, scope)?, scope)?,
            Self::Literal(node) => Val::Ref(node),
            Self::Index(at) => match current.items() {
                Some(items) => {
                    scope.note(from_end(*at, items.len()).and_then(|at| items.get(at)).unwrap_or(Val::Null))
                }
                None => Val::Null,
            },
            Self::Or(lhs, rhs) => {
                let left = lhs.eval(current, scope)?;
                if left.truthy() { left } else { rhs.eval(current, scope)? }
            }
            Self::And(lhs, rhs) => {
                let left = lhs.eval(current, scope)?;
                if left.truthy() { rhs.eval(current, scope)? } else { left }
            }
            Self::Not(inner) => Val::Bool(!inner.eval(current, scope)?.truthy()),
            Self::Condition(predicate, then) => {
                if predicate.eval(current, scope)?.truthy() {
                    then.eval(current, scope)?
                } else {
                    Val::Null
                }
            }
            Self::Compare(how, lhs, rhs) => {
                compare(*how, &lhs.eval(current, scope)?, &rhs.eval(current, scope)?, scope)?
            }
            Self::Values(inner) => match inner.eval(current, scope)?.members() {
                Some(members) => {
                    scope.spend(members.len())?;
                    list(members.into_iter().map(|(_, v)| v).collect())
                }
                None => Val::Null,
            },
            Self::Project(lhs, rhs) => {
                let left = lhs.eval(current, scope)?;
                let Some(items) = left.items() else { return Ok(Val::Null) };
                let mut out = Vec::new();
                for item in items.iter() {
                    let value = rhs.eval(&item, scope)?;
                    if !value.is_null() {
                        out.push(value);
                    }
                }
                list(out)
            }
            Self::Flatten(inner) => {
                let value = inner.eval(current, scope)?;
                let Some(items) = value.items() else { return Ok(Val::Null) };
                let mut out = Vec::new();
                for item in items.iter() {
                    match item.items() {
                        Some(within) => {
                            scope.spend(within.len())?;
                            out.extend(within.iter());
                        }
                        None => out.push(item),
                    }
                }
                scope.spend(items.len())?;
                list(out)
            }
            Self::List(elements) => {
                if current.is_null() {
                    return Ok(Val::Null);
                }
                list(elements.iter().map(|e| e.eval(current, scope)).collect::<Result<_, _>>()?)
            }
            Self::Hash(members) => {
                if current.is_null() {
                    return Ok(Val::Null);
                }
                let mut out: Vec<(&'t str, Val<'t>)> = Vec::with_capacity(members.len());
                for (name, value) in members {
                    out.push((name, value.eval(current, scope)?));
                }
                Val::Map(Rc::new(out))
            }
            Self::Slice { start, stop, step } => match current.items() {
                Some(items) => {
                    scope.spend(items.len())?;
                    list(slice(&items, *start, *stop, *step))
                }
                None => Val::Null,
            },
            Self::Call(function, arguments) => function.call(arguments, current, scope)?,
        })
    }
}

fn list(items: Vec<Val<'_>>) -> Val<'_> {
    Val::List(Rc::new(items))
}

/// An index that may count from the end.
fn from_end(at: i32, len: usize) -> Option<usize> {
    let back = usize::try_from(at.unsigned_abs()).ok()?;
    if at >= 0 { Some(back) } else { len.checked_sub(back) }
}

fn compare<'t>(how: Compare, lhs: &Val<'t>, rhs: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
    let order = |wanted: fn(Ordering) -> bool| {
        // Only numbers have an order.
        if lhs.kind() != "number" || rhs.kind() != "number" {
            return Val::Null;
        }
        lhs.compare_numbers(rhs).map_or(Val::Null, |order| Val::Bool(wanted(order)))
    };
    Ok(match how {
        Compare::Equal => Val::Bool(lhs.equals(rhs, scope)?),
        Compare::NotEqual => Val::Bool(!lhs.equals(rhs, scope)?),
        Compare::Less => order(Ordering::is_lt),
        Compare::LessOrEqual => order(Ordering::is_le),
        Compare::Greater => order(Ordering::is_gt),
        Compare::GreaterOrEqual => order(Ordering::is_ge),
    })
}

/// JMESPath slices are Python's.
fn slice<'t>(items: &Items<'_, 't>, start: Option<i32>, stop: Option<i32>, step: i32) -> Vec<Val<'t>> {
    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let step = i64::from(step);
    // Forwards, ends are clamped to [0, len]; backwards, to [-1, len - 1].
    let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
    let clamp = |end: i32| {
        let end = i64::from(end);
        let end = if end < 0 { end + len } else { end };
        end.clamp(low, high.max(low))
    };
    let mut at = start.map_or(if step > 0 { low } else { high }, clamp);
    let end = stop.map_or(if step > 0 { high } else { low }, clamp);
    let mut out = Vec::new();
    while (step > 0 && at < end) || (step < 0 && at > end) {
        out.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
        at += step;
    }
    out
}
