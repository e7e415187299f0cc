//! Evaluates a compiled expression over a page.
//!
//! The same results as the `jmespath` crate's interpreter (a test holds them against each other), with two
//! differences that are meant: numbers are exact, and the work is bounded by the steps of a [`Scope`].

use std::cmp::Ordering;
use std::rc::Rc;

use super::scope::{Failed, KEPT, Scope};
use super::value::{Items, Shape, Val};
use super::{Compare, Expr};

impl Expr {
    /// The expression's value for `current`.
    #[cfg(test)]
    pub(crate) fn eval<'t>(&'t self, current: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
        let value = self.value(current, scope);
        if scope.has_failed() { Err(Failed) } else { Ok(value) }
    }

    /// The expression's value for `current`; null where it has none.
    pub(crate) fn eval_or_null<'t>(&'t self, current: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
        let mut value = self.value(current, scope);
        if scope.has_failed() {
            value = Val::Null;
        }
        value
    }

    // A value is written where the caller wants it: wrapped in a `Result` on its way, or bound to a name in one of
    // many arms, it would be copied at each level, and copying costs more than finding it. What fails therefore says
    // so in the scope, and whatever comes of it is thrown away at the end.

    /// The value, which counts for nothing once the scope has failed.
    pub(crate) fn value<'t>(&'t self, current: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
        if scope.spend(1).is_err() {
            return scope.fail();
        }
        match self {
            Self::Identity => identity(current, scope),
            Self::Field(name) => field(current, name, scope),
            Self::Sub(lhs, rhs) => rhs.value(&lhs.value(current, scope), scope),
            Self::Literal(node) => Val::Ref(node),
            Self::Or(lhs, rhs) => either(lhs, rhs, false, current, scope),
            Self::And(lhs, rhs) => either(lhs, rhs, true, current, scope),
            Self::Not(inner) => Val::Bool(!inner.value(current, scope).truthy()),
            Self::Condition(predicate, then) => {
                if predicate.value(current, scope).truthy() {
                    then.value(current, scope)
                } else {
                    Val::Null
                }
            }
            Self::Compare(how, lhs, rhs) => {
                compare(*how, &lhs.value(current, scope), &rhs.value(current, scope), scope)
            }
            Self::Call(function, arguments) => function.call(arguments, current, scope),
            other => other.made(current, scope).unwrap_or_else(|Failed| scope.fail()),
        }
    }

    /// The value of an expression that makes lists or objects.
    #[inline(never)]
    fn made<'t>(&'t self, current: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
        Ok(match self {
            Self::Index(at) => match current.items() {
                Some(items) => {
                    let value = from_end(*at, items.len()).and_then(|at| items.get(at)).unwrap_or(Val::Null);
                    scope.note(&value);
                    value
                }
                None => Val::Null,
            },
            Self::Values(inner) => match inner.value(current, scope).members(scope)? {
                Some(members) => {
                    scope.spend(KEPT * members.len())?;
                    list(members.into_iter().map(|(_, v)| v).collect())
                }
                None => Val::Null,
            },
            Self::Project(lhs, rhs) => {
                let left = lhs.value(current, scope);
                let Some(items) = left.items() else { return Ok(Val::Null) };
                let mut out = Vec::new();
                for item in items.iter() {
                    let value = rhs.value(&item, scope);
                    scope.running()?;
                    if !value.is_null() {
                        scope.spend(KEPT)?;
                        out.push(value);
                    }
                }
                list(out)
            }
            Self::Flatten(inner) => {
                let value = inner.value(current, scope);
                let Some(items) = value.items() else { return Ok(Val::Null) };
                let mut out = Vec::new();
                for item in items.iter() {
                    scope.spend(1 + KEPT)?;
                    match item.items() {
                        Some(within) => {
                            scope.spend(KEPT * within.len())?;
                            out.extend(within.iter());
                        }
                        None => out.push(item),
                    }
                }
                list(out)
            }
            Self::List(elements) => {
                if current.is_null() {
                    return Ok(Val::Null);
                }
                scope.spend(KEPT * elements.len())?;
                list(elements.iter().map(|e| e.value(current, scope)).collect())
            }
            Self::Hash(members) => {
                if current.is_null() {
                    return Ok(Val::Null);
                }
                scope.spend(2 * KEPT * members.len())?;
                let mut out: Vec<(&'t str, Val<'t>)> = Vec::with_capacity(members.len());
                for (name, value) in members {
                    out.push((name, value.value(current, scope)));
                }
                Val::Map(Rc::new(out))
            }
            Self::Slice { start, stop, step } => match current.items() {
                Some(items) => list(slice(&items, *start, *stop, *step, scope)?),
                None => Val::Null,
            },
            // What makes nothing is above.
            Self::Identity
            | Self::Field(_)
            | Self::Sub(..)
            | Self::Literal(_)
            | Self::Or(..)
            | Self::And(..)
            | Self::Not(_)
            | Self::Condition(..)
            | Self::Compare(..)
            | Self::Call(..) => return Err(Failed),
        })
    }
}

#[inline(never)]
fn identity<'t>(current: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
    let value = current.clone();
    scope.note(&value);
    value
}

#[inline(never)]
fn field<'t>(current: &Val<'t>, name: &str, scope: &Scope<'t>) -> Val<'t> {
    let value = current.field(name, scope);
    scope.note(&value);
    value
}

/// `&&` and `||`: the right side where the left one is as true as `wanted`.
#[inline(never)]
fn either<'t>(lhs: &'t Expr, rhs: &'t Expr, wanted: bool, current: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
    let mut value = lhs.value(current, scope);
    if value.truthy() == wanted {
        value = rhs.value(current, scope);
    }
    value
}

pub(super) fn list(items: Vec<Val<'_>>) -> Val<'_> {
    Val::List(Rc::new(items))
}

/// An index that may count from the end.
fn from_end(at: i32, len: usize) -> Option<usize> {
    let back = usize::try_from(at.unsigned_abs()).ok()?;
    if at >= 0 { Some(back) } else { len.checked_sub(back) }
}

fn compare<'t>(how: Compare, lhs: &Val<'t>, rhs: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
    let order = |wanted: fn(Ordering) -> bool| {
        // Only numbers have an order.
        if lhs.shape() != Shape::Number || rhs.shape() != Shape::Number {
            return Val::Null;
        }
        scope.weigh(lhs);
        scope.weigh(rhs);
        lhs.compare_numbers(rhs).map_or(Val::Null, |order| Val::Bool(wanted(order)))
    };
    let equal = |wanted: bool| match lhs.equals(rhs, scope) {
        Ok(equal) => Val::Bool(equal == wanted),
        Err(Failed) => scope.fail(),
    };
    match how {
        Compare::Equal => equal(true),
        Compare::NotEqual => equal(false),
        Compare::Less => order(Ordering::is_lt),
        Compare::LessOrEqual => order(Ordering::is_le),
        Compare::Greater => order(Ordering::is_gt),
        Compare::GreaterOrEqual => order(Ordering::is_ge),
    }
}

/// JMESPath slices are Python's.
fn slice<'t>(
    items: &Items<'_, 't>,
    start: Option<i32>,
    stop: Option<i32>,
    step: i32,
    scope: &Scope<'t>,
) -> Result<Vec<Val<'t>>, Failed> {
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
        scope.spend(1 + KEPT)?;
        out.extend(usize::try_from(at).ok().and_then(|at| items.get(at)));
        at += step;
    }
    Ok(out)
}
