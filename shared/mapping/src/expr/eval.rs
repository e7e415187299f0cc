//! Evaluates a compiled expression over a page.
//!
//! The same results as the `jmespath` crate's interpreter (a test holds them against each other), with two
//! differences that are meant: numbers are exact, and the work is bounded. JMESPath cannot loop, but sharing lets a
//! short expression name an exponentially large value; comparing or printing such a value runs out of [`Fuel`].

use std::cell::Cell;
use std::cmp::Ordering;
use std::rc::Rc;

use super::value::{Items, Val};
use super::{Compare, Expr};

/// Why an expression has no value: a function got an argument of the wrong type, or the fuel ran out.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failed;

/// Steps that one evaluation may still take.
pub(crate) struct Fuel(Cell<usize>);

impl Fuel {
    pub(crate) fn new(steps: usize) -> Self {
        Self(Cell::new(steps))
    }

    pub(crate) fn spend(&self, steps: usize) -> Result<(), Failed> {
        let left = self.0.get().checked_sub(steps).ok_or(Failed)?;
        self.0.set(left);
        Ok(())
    }
}

impl Expr {
    /// The expression's value for `current`.
    pub(crate) fn eval<'t>(&'t self, current: &Val<'t>, fuel: &Fuel) -> Result<Val<'t>, Failed> {
        fuel.spend(1)?;
        Ok(match self {
            Self::Identity => current.clone(),
            Self::Field(name) => current.field(name),
            Self::Sub(lhs, rhs) => rhs.eval(&lhs.eval(current, fuel)?, fuel)?,
            Self::Literal(node) => Val::Ref(node),
            Self::Index(at) => match current.items() {
                Some(items) => from_end(*at, items.len()).and_then(|at| items.get(at)).unwrap_or(Val::Null),
                None => Val::Null,
            },
            Self::Or(lhs, rhs) => {
                let left = lhs.eval(current, fuel)?;
                if left.truthy() { left } else { rhs.eval(current, fuel)? }
            }
            Self::And(lhs, rhs) => {
                let left = lhs.eval(current, fuel)?;
                if left.truthy() { rhs.eval(current, fuel)? } else { left }
            }
            Self::Not(inner) => Val::Bool(!inner.eval(current, fuel)?.truthy()),
            Self::Condition(predicate, then) => {
                if predicate.eval(current, fuel)?.truthy() {
                    then.eval(current, fuel)?
                } else {
                    Val::Null
                }
            }
            Self::Compare(how, lhs, rhs) => {
                compare(*how, &lhs.eval(current, fuel)?, &rhs.eval(current, fuel)?, fuel)?
            }
            Self::Values(inner) => match inner.eval(current, fuel)?.members() {
                Some(members) => {
                    fuel.spend(members.len())?;
                    list(members.into_iter().map(|(_, v)| v).collect())
                }
                None => Val::Null,
            },
            Self::Project(lhs, rhs) => {
                let left = lhs.eval(current, fuel)?;
                let Some(items) = left.items() else { return Ok(Val::Null) };
                let mut out = Vec::new();
                for item in items.iter() {
                    let value = rhs.eval(&item, fuel)?;
                    if !value.is_null() {
                        out.push(value);
                    }
                }
                list(out)
            }
            Self::Flatten(inner) => {
                let value = inner.eval(current, fuel)?;
                let Some(items) = value.items() else { return Ok(Val::Null) };
                let mut out = Vec::new();
                for item in items.iter() {
                    match item.items() {
                        Some(within) => {
                            fuel.spend(within.len())?;
                            out.extend(within.iter());
                        }
                        None => out.push(item),
                    }
                }
                fuel.spend(items.len())?;
                list(out)
            }
            Self::List(elements) => {
                if current.is_null() {
                    return Ok(Val::Null);
                }
                list(elements.iter().map(|e| e.eval(current, fuel)).collect::<Result<_, _>>()?)
            }
            Self::Hash(members) => {
                if current.is_null() {
                    return Ok(Val::Null);
                }
                let mut out: Vec<(&'t str, Val<'t>)> = Vec::with_capacity(members.len());
                for (name, value) in members {
                    out.push((name, value.eval(current, fuel)?));
                }
                Val::Map(Rc::new(out))
            }
            Self::Slice { start, stop, step } => match current.items() {
                Some(items) => {
                    fuel.spend(items.len())?;
                    list(slice(&items, *start, *stop, *step))
                }
                None => Val::Null,
            },
            Self::Call(function, arguments) => function.call(arguments, current, fuel)?,
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

fn compare<'t>(how: Compare, lhs: &Val<'t>, rhs: &Val<'t>, fuel: &Fuel) -> Result<Val<'t>, Failed> {
    let order = |wanted: fn(Ordering) -> bool| {
        // Only numbers have an order.
        if lhs.kind() != "number" || rhs.kind() != "number" {
            return Val::Null;
        }
        lhs.compare_numbers(rhs).map_or(Val::Null, |order| Val::Bool(wanted(order)))
    };
    Ok(match how {
        Compare::Equal => Val::Bool(lhs.equals(rhs, fuel)?),
        Compare::NotEqual => Val::Bool(!lhs.equals(rhs, fuel)?),
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
