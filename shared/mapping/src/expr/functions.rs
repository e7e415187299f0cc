//! The functions that an expression may call. A document cannot define one; adding one is a change here, with a test.

use std::borrow::Cow;

use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, scale10};

use super::Expr;
use super::arithmetic::{arithmetic, divide, scaled, sum, whole};
use super::eval::list;
use super::scope::{COSTLY, Failed, KEPT, KEPT_BYTES, Scope};
use super::value::{Shape, Val, exact};
use crate::json::Node;
use crate::run::is_id;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Contains,
    Digest,
    Divide,
    EndsWith,
    FromIso,
    FromUnix,
    IdOf,
    Join,
    Key,
    Keys,
    Length,
    Lookup,
    Lower,
    Minus,
    Nonzero,
    NotNull,
    Page,
    Parent,
    Plus,
    Scale10,
    StartsWith,
    Substring,
    Sum,
    Times,
    ToArray,
    ToNumber,
    ToString,
    Type,
    Values,
}

/// Every function: its name, and how many arguments it takes (at least, at most).
pub(crate) const FUNCTIONS: &[(&str, Function, usize, usize)] = &[
    ("contains", Function::Contains, 2, 2),
    ("digest", Function::Digest, 1, usize::MAX),
    ("divide", Function::Divide, 3, 3),
    ("ends_with", Function::EndsWith, 2, 2),
    ("from_iso", Function::FromIso, 1, 2),
    ("from_unix", Function::FromUnix, 1, 1),
    ("id_of", Function::IdOf, 1, 1),
    ("join", Function::Join, 2, 2),
    ("key", Function::Key, 0, 0),
    ("keys", Function::Keys, 1, 1),
    ("length", Function::Length, 1, 1),
    ("lookup", Function::Lookup, 2, 2),
    ("lower", Function::Lower, 1, 1),
    ("minus", Function::Minus, 2, 2),
    ("nonzero", Function::Nonzero, 1, 1),
    ("not_null", Function::NotNull, 1, usize::MAX),
    ("page", Function::Page, 0, 0),
    ("parent", Function::Parent, 0, 0),
    ("plus", Function::Plus, 2, 2),
    ("scale10", Function::Scale10, 2, 2),
    ("starts_with", Function::StartsWith, 2, 2),
    ("substring", Function::Substring, 3, 3),
    ("sum", Function::Sum, 1, 1),
    ("times", Function::Times, 2, 2),
    ("to_array", Function::ToArray, 1, 1),
    ("to_number", Function::ToNumber, 1, 1),
    ("to_string", Function::ToString, 1, 1),
    ("type", Function::Type, 1, 1),
    ("values", Function::Values, 1, 1),
];

impl Function {
    pub(crate) fn call<'t>(self, arguments: &'t [Expr], current: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
        // Every argument is evaluated, as in JMESPath: one that fails fails the call.
        let arg = |n: usize| argument(arguments, n, current, scope);
        match self {
            Self::Key => scope.key.map_or(Val::Null, Val::Name),
            Self::Parent => scope.parent.map_or(Val::Null, Val::Ref),
            Self::Page => scope.page.map_or(Val::Null, Val::Ref),
            Self::FromUnix => from_unix(&arg(0)).map_or(Val::Null, Val::Instant),
            Self::Plus => arithmetic(&arg(0), &arg(1), Exact::checked_add, u32::max),
            Self::Minus => arithmetic(&arg(0), &arg(1), Exact::checked_sub, u32::max),
            Self::Times => arithmetic(&arg(0), &arg(1), Exact::checked_mul, u32::saturating_add),
            Self::Scale10 => scaled(&arg(0), &arg(1)).map_or(Val::Null, Val::Exact),
            Self::Nonzero => nonzero(arg),
            Self::ToNumber => to_number(arg),
            Self::Type => Val::Name(arg(0).kind()),
            other => other.rare(arguments, current, scope).unwrap_or_else(|Failed| scope.fail()),
        }
    }

    /// The functions that are seldom called once a value.
    #[inline(never)]
    fn rare<'t>(
        self,
        arguments: &'t [Expr],
        current: &Val<'t>,
        scope: &Scope<'t>,
    ) -> Result<Val<'t>, Failed> {
        let arg = |n: usize| {
            let value = argument(arguments, n, current, scope);
            scope.running().map(|()| value)
        };
        match self {
            Self::Contains => contains(&arg(0)?, &arg(1)?, scope),
            Self::EndsWith => affix(&arg(0)?, &arg(1)?, |text, end| text.ends_with(end)),
            Self::StartsWith => affix(&arg(0)?, &arg(1)?, |text, start| text.starts_with(start)),
            Self::Divide => Ok(divide(&arg(0)?, &arg(1)?, &arg(2)?).map_or(Val::Null, Val::Exact)),
            Self::Sum => sum(&arg(0)?, scope),
            Self::Lookup => {
                let (table, key) = (arg(0)?, arg(1)?);
                let key = match &key {
                    Val::Ref(Node::Number(text)) => Cow::Borrowed(text.as_ref()),
                    Val::Exact(number) => Cow::Owned(number.to_string()),
                    other => match other.text() {
                        Some(text) => text,
                        None => return Ok(Val::Null),
                    },
                };
                Ok(table.field(&key, scope))
            }
            Self::Lower => {
                let value = arg(0)?;
                let text = value.text().ok_or(Failed)?;
                scope.keep(4 * text.len())?;
                Ok(Val::Text(text.to_lowercase().into()))
            }
            Self::Substring => substring(&arg(0)?, &arg(1)?, &arg(2)?, scope),
            Self::Digest => {
                scope.spend(COSTLY)?;
                let mut fields = Vec::with_capacity(arguments.len());
                for n in 0..arguments.len() {
                    let mut out = String::new();
                    arg(n)?.write_json(&mut out, scope)?;
                    fields.push(out);
                }
                let fields: Vec<&[u8]> = fields.iter().map(String::as_bytes).collect();
                Ok(Val::Text(ohx_domain::content_digest(&fields).into()))
            }
            Self::FromIso => {
                scope.spend(COSTLY)?;
                let zone = if arguments.len() > 1 { Some(arg(1)?) } else { None };
                Ok(from_iso(&arg(0)?, zone.as_ref()).map_or(Val::Null, Val::Instant))
            }
            Self::IdOf => {
                scope.spend(COSTLY)?;
                Ok(id_of(&arg(0)?).map_or(Val::Null, |id| Val::Text(id.into())))
            }
            Self::Join => match arguments.get(1) {
                // A list that is written out needs not be made first.
                Some(Expr::List(elements)) if !current.is_null() => {
                    let glue = arg(0)?;
                    let item = |n: usize| argument(elements, n, current, scope);
                    join(&glue, elements.len(), item, scope)
                }
                _ => {
                    let (glue, list) = (arg(0)?, arg(1)?);
                    let items = list.items().ok_or(Failed)?;
                    join(&glue, items.len(), |n| items.get(n).unwrap_or(Val::Null), scope)
                }
            },
            Self::Keys => {
                let members = arg(0)?.members(scope)?.ok_or(Failed)?;
                scope.spend(KEPT * members.len())?;
                Ok(list(members.into_iter().map(|(name, _)| Val::Name(name)).collect()))
            }
            Self::Values => {
                let members = arg(0)?.members(scope)?.ok_or(Failed)?;
                scope.spend(KEPT * members.len())?;
                Ok(list(members.into_iter().map(|(_, value)| value).collect()))
            }
            Self::Length => length(&arg(0)?, scope),
            Self::NotNull => {
                let mut found = Val::Null;
                for n in 0..arguments.len() {
                    let value = arg(n)?;
                    if found.is_null() {
                        found = value;
                    }
                }
                Ok(found)
            }
            Self::ToArray => {
                let value = arg(0)?;
                scope.spend(KEPT)?;
                Ok(if value.items().is_some() { value } else { list(vec![value]) })
            }
            Self::ToString => {
                let value = arg(0)?;
                if value.shape() == Shape::Text {
                    return Ok(value);
                }
                if let Val::Ref(Node::Number(text)) = value {
                    return Ok(Val::Name(text));
                }
                let mut out = String::new();
                value.write_json(&mut out, scope)?;
                Ok(Val::Text(out.into()))
            }
            // What is called often is above.
            Self::Key
            | Self::Parent
            | Self::Page
            | Self::FromUnix
            | Self::Plus
            | Self::Minus
            | Self::Times
            | Self::Scale10
            | Self::Nonzero
            | Self::ToNumber
            | Self::Type => Err(Failed),
        }
    }
}

/// An argument, whose text or digits the function is about to read.
#[inline]
fn argument<'t>(arguments: &'t [Expr], n: usize, current: &Val<'t>, scope: &Scope<'t>) -> Val<'t> {
    let Some(expr) = arguments.get(n) else { return scope.fail() };
    let value = expr.value(current, scope);
    scope.weigh(&value);
    value
}

#[inline(never)]
fn nonzero<'t>(arg: impl Fn(usize) -> Val<'t>) -> Val<'t> {
    let mut value = arg(0);
    if value.numeric().is_some_and(|n| n.is_zero()) {
        value = Val::Null;
    }
    value
}

#[inline(never)]
fn to_number<'t>(arg: impl Fn(usize) -> Val<'t>) -> Val<'t> {
    let mut value = arg(0);
    if value.shape() != Shape::Number {
        let number = value.text().and_then(|text| exact(&text));
        value = number.map_or(Val::Null, Val::Exact);
    }
    value
}

fn contains<'t>(within: &Val<'t>, wanted: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
    if let Some(items) = within.items() {
        for item in items.iter() {
            if item.equals(wanted, scope)? {
                return Ok(Val::Bool(true));
            }
        }
        return Ok(Val::Bool(false));
    }
    let text = within.text().ok_or(Failed)?;
    Ok(Val::Bool(wanted.text().is_some_and(|wanted| text.contains(wanted.as_ref()))))
}

fn affix<'t>(text: &Val<'t>, affix: &Val<'t>, test: fn(&str, &str) -> bool) -> Result<Val<'t>, Failed> {
    let (text, affix) = text.text().zip(affix.text()).ok_or(Failed)?;
    Ok(Val::Bool(test(&text, &affix)))
}

fn join<'t>(
    glue: &Val<'t>,
    len: usize,
    item: impl Fn(usize) -> Val<'t>,
    scope: &Scope<'t>,
) -> Result<Val<'t>, Failed> {
    let glue = glue.text().ok_or(Failed)?;
    let mut out = String::with_capacity(64);
    for n in 0..len {
        let item = item(n);
        scope.running()?;
        let text = item.text().ok_or(Failed)?;
        // Spent before the text grows: joining a list with itself doubles it.
        scope.spend(1 + (glue.len() + text.len()) / KEPT_BYTES)?;
        if n > 0 {
            out.push_str(&glue);
        }
        out.push_str(&text);
    }
    Ok(Val::Text(out.into()))
}

fn length<'t>(value: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
    let length = match (value.items(), value.text()) {
        (Some(items), _) => items.len(),
        (None, Some(text)) => text.chars().count(),
        (None, None) => value.members(scope)?.ok_or(Failed)?.len(),
    };
    Ok(Val::Exact(Exact::from(length)))
}

/// The instant that is so many seconds after 1970 began in UTC, to the microsecond. None where it is not a number, is
/// finer than a microsecond, or is not within the years that FHIR can write.
pub(crate) fn from_unix(value: &Val<'_>) -> Option<Instant> {
    if let Some(seconds) = value.short_whole() {
        return Instant::from_second(seconds).ok();
    }
    let micros = scale10(value.numeric()?, 6)?.normalize();
    if micros.scale() > 0 {
        return None;
    }
    Instant::from_microsecond(i64::try_from(micros.mantissa()).ok()?).ok()
}

/// So many characters of a text, from one on; a negative start counts from the end.
fn substring<'t>(
    text: &Val<'t>,
    start: &Val<'t>,
    count: &Val<'t>,
    scope: &Scope<'t>,
) -> Result<Val<'t>, Failed> {
    let text = text.text().ok_or(Failed)?;
    scope.keep(text.len())?;
    let (start, count) =
        start.numeric().and_then(whole).zip(count.numeric().and_then(whole)).ok_or(Failed)?;
    let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let back = size(start.unsigned_abs());
    let start = if start < 0 { text.chars().count().saturating_sub(back) } else { back };
    Ok(Val::Text(text.chars().skip(start).take(size(count.max(0).unsigned_abs())).collect::<String>().into()))
}

/// An instant in ISO 8601 with an offset or `Z`; without one, in the zone that is named. Null where it is none, or
/// where neither says what zone it is in.
fn from_iso(text: &Val<'_>, zone: Option<&Val<'_>>) -> Option<Instant> {
    let text = text.text()?;
    if let Ok(at) = text.parse::<Instant>() {
        return Some(at);
    }
    let zone = crate::time::zone(zone?.text().as_deref())?;
    zone.to_timestamp(text.parse::<jiff::civil::DateTime>().ok()?).ok()
}

/// What the name of a resource ends in, behind its last `/`, where an id may have it; else a digest of that. Null
/// where there is nothing.
fn id_of(name: &Val<'_>) -> Option<String> {
    let name = name.text()?;
    let end = name.rsplit('/').next().filter(|end| !end.is_empty())?;
    Some(if is_id(end) { end.to_owned() } else { ohx_domain::content_digest(&[end.as_bytes()]) })
}
