//! What an expression yields: a part of the page, by reference, or something made from it.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::rc::Rc;

use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, parse_json_number};

use super::scope::{Failed, KEPT_BYTES, Scope};
use crate::json::{Node, write_string};

/// A value during evaluation. Cheap to clone: lists and objects that an expression makes are shared.
#[derive(Clone)]
pub(crate) enum Val<'t> {
    /// A part of the page, or a literal of the document.
    Ref(&'t Node<'t>),
    Null,
    Bool(bool),
    /// A computed number.
    Exact(Exact),
    /// A computed instant; to JMESPath, the string of its RFC 3339 form.
    Instant(Instant),
    Text(Rc<str>),
    /// A text with a life of its own in the program or the plan, such as the name of a type.
    Name(&'t str),
    List(Rc<Vec<Val<'t>>>),
    Map(Rc<Vec<(&'t str, Val<'t>)>>),
}

/// A member of an object.
pub(crate) type Member<'t> = (&'t str, Val<'t>);

/// The types of JMESPath.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Null,
    Bool,
    Number,
    Text,
    List,
    Object,
}

/// The items of a list, wherever they live.
pub(crate) enum Items<'v, 't> {
    Nodes(&'t [Node<'t>]),
    Vals(&'v [Val<'t>]),
}

impl<'v, 't> Items<'v, 't> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Nodes(n) => n.len(),
            Self::Vals(v) => v.len(),
        }
    }

    pub(crate) fn get(&self, at: usize) -> Option<Val<'t>> {
        match self {
            Self::Nodes(n) => n.get(at).map(Val::Ref),
            Self::Vals(v) => v.get(at).cloned(),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Val<'t>> + '_ {
        (0..self.len()).filter_map(|at| self.get(at))
    }
}

impl<'t> Val<'t> {
    /// The JMESPath name of its type.
    pub(crate) fn kind(&self) -> &'static str {
        match self.shape() {
            Shape::Null => "null",
            Shape::Bool => "boolean",
            Shape::Number => "number",
            Shape::Text => "string",
            Shape::List => "array",
            Shape::Object => "object",
        }
    }

    /// Its type.
    pub(crate) fn shape(&self) -> Shape {
        match self {
            Self::Null | Self::Ref(Node::Null) => Shape::Null,
            Self::Bool(_) | Self::Ref(Node::Bool(_)) => Shape::Bool,
            Self::Exact(_) | Self::Ref(Node::Number(_)) => Shape::Number,
            Self::Instant(_) | Self::Text(_) | Self::Name(_) | Self::Ref(Node::Text(_)) => Shape::Text,
            Self::List(_) | Self::Ref(Node::Array(_)) => Shape::List,
            Self::Map(_) | Self::Ref(Node::Object(_)) => Shape::Object,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Ref(Node::Null))
    }

    /// JMESPath: null, false, and whatever is empty are not true. Zero is.
    pub(crate) fn truthy(&self) -> bool {
        match self {
            Self::Null | Self::Ref(Node::Null) => false,
            Self::Bool(b) | Self::Ref(Node::Bool(b)) => *b,
            Self::Exact(_) | Self::Instant(_) | Self::Ref(Node::Number(_)) => true,
            Self::Text(t) => !t.is_empty(),
            Self::Name(t) => !t.is_empty(),
            Self::Ref(Node::Text(t)) => !t.is_empty(),
            Self::List(l) => !l.is_empty(),
            Self::Ref(Node::Array(l)) => !l.is_empty(),
            Self::Map(m) => !m.is_empty(),
            Self::Ref(Node::Object(m)) => !m.is_empty(),
        }
    }

    /// The member of that name; of several the last one. Costs steps for those looked through.
    pub(crate) fn field(&self, name: &str, scope: &Scope<'t>) -> Val<'t> {
        match self {
            Self::Ref(Node::Object(members)) => {
                let at = members.iter().rposition(|(n, _)| n == name);
                scope.looked_through(members.len() - at.unwrap_or(0), name);
                at.and_then(|at| members.get(at)).map_or(Val::Null, |(_, value)| Val::Ref(value))
            }
            Self::Map(m) => {
                scope.looked_through(m.len(), name);
                m.iter().rev().find(|(n, _)| *n == name).map_or(Val::Null, |(_, v)| v.clone())
            }
            _ => Val::Null,
        }
    }

    /// How many bytes of text or digits it has.
    #[inline]
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Ref(Node::Number(t) | Node::Text(t)) => t.len(),
            Self::Text(t) => t.len(),
            Self::Name(t) => t.len(),
            _ => 0,
        }
    }

    pub(crate) fn items(&self) -> Option<Items<'_, 't>> {
        match self {
            Self::Ref(Node::Array(items)) => Some(Items::Nodes(items)),
            Self::List(items) => Some(Items::Vals(items)),
            _ => None,
        }
    }

    /// The members of an object, sorted by name, each name once. Costs steps for sorting and keeping them.
    pub(crate) fn members(&self, scope: &Scope<'t>) -> Result<Option<Vec<Member<'t>>>, Failed> {
        let cost = |count: usize, letters: usize| {
            let sorted = (count + letters / 32) * (count.checked_ilog2().unwrap_or(0) as usize + 1);
            scope.spend(sorted)?;
            scope.keep(count * size_of::<Member<'_>>())
        };
        let mut members: Vec<Member<'t>> = match self {
            Self::Ref(Node::Object(m)) => {
                cost(m.len(), m.iter().map(|(name, _)| name.len()).sum())?;
                m.iter().map(|(n, v)| (n.as_ref(), Val::Ref(v))).collect()
            }
            Self::Map(m) => {
                cost(m.len(), m.iter().map(|(name, _)| name.len()).sum())?;
                m.as_ref().clone()
            }
            _ => return Ok(None),
        };
        // Of equal names the last one counts: the sort is stable, so it comes first once reversed.
        members.reverse();
        members.sort_by_key(|(name, _)| *name);
        members.dedup_by(|(a, _), (b, _)| a == b);
        Ok(Some(members))
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Ref(Node::Text(t)) => Some(Cow::Borrowed(t)),
            Self::Text(t) => Some(Cow::Borrowed(t)),
            Self::Name(t) => Some(Cow::Borrowed(t)),
            Self::Instant(at) => Some(Cow::Owned(at.to_string())),
            _ => None,
        }
    }

    /// The exact value of a number, if it has at most 28 digits.
    pub(crate) fn number(&self) -> Option<Exact> {
        match self {
            Self::Exact(n) => Some(*n),
            Self::Ref(Node::Number(t)) => exact(t),
            _ => None,
        }
    }

    /// The exact value of a number, or of a string that spells one: the wire has both.
    pub(crate) fn numeric(&self) -> Option<Exact> {
        match self {
            Self::Ref(Node::Text(t)) => exact(t),
            Self::Name(t) => exact(t),
            Self::Text(t) => exact(t),
            _ => self.number(),
        }
    }

    /// JMESPath equality: equal types and equal contents; numbers by value. Costs steps for everything looked at.
    pub(crate) fn equals(&self, other: &Val<'t>, scope: &Scope<'t>) -> Result<bool, Failed> {
        scope.spend(2)?;
        let of = self.shape();
        if of != other.shape() {
            return Ok(false);
        }
        scope.weigh(self);
        scope.weigh(other);
        if of == Shape::Number {
            return Ok(self.equal_numbers(other));
        }
        if let (Some(a), Some(b)) = (self.items(), other.items()) {
            if a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !a.equals(&b, scope)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        if let (Some(a), Some(b)) = (self.members(scope)?, other.members(scope)?) {
            if a.len() != b.len() {
                return Ok(false);
            }
            for ((name_a, a), (name_b, b)) in a.iter().zip(&b) {
                if name_a != name_b || !a.equals(b, scope)? {
                    return Ok(false);
                }
            }
            return Ok(true);
        }
        Ok(match of {
            Shape::Text => self.text() == other.text(),
            Shape::Bool => self.truthy() == other.truthy(),
            _ => true,
        })
    }

    fn equal_numbers(&self, other: &Val<'t>) -> bool {
        if let (Self::Ref(Node::Number(a)), Self::Ref(Node::Number(b))) = (self, other) {
            let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
            // Whole numbers are written in one way only.
            if a == b || (digits(a) && digits(b)) {
                return a == b;
            }
        }
        self.compare_numbers(other) == Some(Ordering::Equal)
    }

    /// The whole number of up to 18 digits that it is, or that it spells.
    pub(crate) fn short_whole(&self) -> Option<i64> {
        match self {
            Self::Ref(Node::Number(t) | Node::Text(t)) => signed(t),
            Self::Name(t) => signed(t),
            Self::Text(t) => signed(t),
            _ => None,
        }
    }

    /// How two numbers compare: exactly, or where one is beyond 28 digits, as binary floats.
    pub(crate) fn compare_numbers(&self, other: &Val<'t>) -> Option<Ordering> {
        if let (Self::Ref(Node::Number(a)), Self::Ref(Node::Number(b))) = (self, other) {
            if a == b {
                return Some(Ordering::Equal);
            }
            if let (Some(a), Some(b)) = (small(a), small(b)) {
                return Some(a.cmp(&b));
            }
        }
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => Some(a.cmp(&b)),
            _ => self.float()?.partial_cmp(&other.float()?),
        }
    }

    fn float(&self) -> Option<f64> {
        match self {
            Self::Exact(n) => n.to_string().parse().ok(),
            Self::Ref(Node::Number(t)) => t.parse().ok(),
            _ => None,
        }
    }

    /// Appends the value as JSON. Costs steps for everything written.
    pub(crate) fn write_json(&self, out: &mut String, scope: &Scope<'t>) -> Result<(), Failed> {
        // A number that was computed, the longest of what has no weight, has up to 30 bytes.
        scope.spend(4)?;
        scope.keep(self.weight())?;
        if let Some(items) = self.items() {
            out.push('[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                item.write_json(out, scope)?;
            }
            out.push(']');
        } else if let Some(members) = self.members(scope)? {
            out.push('{');
            for (n, (name, value)) in members.iter().enumerate() {
                scope.keep(KEPT_BYTES + name.len())?;
                if n > 0 {
                    out.push(',');
                }
                write_string(out, name);
                out.push(':');
                value.write_json(out, scope)?;
            }
            out.push('}');
        } else if let Some(text) = self.text() {
            write_string(out, &text);
        } else {
            match self {
                Self::Ref(Node::Number(t)) => out.push_str(t),
                Self::Exact(n) => out.push_str(&n.to_string()),
                Self::Bool(b) | Self::Ref(Node::Bool(b)) => out.push_str(if *b { "true" } else { "false" }),
                _ => out.push_str("null"),
            }
        }
        Ok(())
    }
}

/// What is longer is taken for no number: 28 digits with a point, a sign and an exponent are a quarter of it.
const MOST_DIGITS: usize = 200;

/// A whole number of up to 18 digits without a sign.
fn small(text: &str) -> Option<u64> {
    if text.len() > 18 {
        return None;
    }
    text.bytes().try_fold(0_u64, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u64::from(b - b'0')))
}

/// The same with a sign before it.
fn signed(text: &str) -> Option<i64> {
    let digits = text.strip_prefix('-');
    let whole = Some(digits.unwrap_or(text)).filter(|t| !t.is_empty()).and_then(small)?;
    let whole = i64::try_from(whole).ok()?;
    Some(if digits.is_some() { -whole } else { whole })
}

/// A number's exact value. Whole numbers of up to 18 digits, which is nearly all of them, take a short way.
pub(crate) fn exact(text: &str) -> Option<Exact> {
    if text.len() > MOST_DIGITS {
        return None;
    }
    let digits = text.strip_prefix('-');
    match small(digits.unwrap_or(text)) {
        // A minus zero keeps its sign only as a decimal.
        Some(whole) if whole != 0 => {
            let whole = Exact::from(whole);
            Some(if digits.is_some() { -whole } else { whole })
        }
        _ => parse_json_number(text),
    }
}
