//! JMESPath, as the leaves of a mapping document.
//!
//! The `jmespath` crate parses; its syntax tree becomes an [`Expr`] of our own, which the threads of a function can
//! share, and which is evaluated over borrowed JSON ([`Expr::eval`]). Everything that can be wrong with an
//! expression is found when it is compiled.

mod arithmetic;
pub(crate) mod eval;
pub(crate) mod functions;
pub(crate) mod scope;
#[cfg(test)]
mod tests;
pub(crate) mod value;

use jmespath::ast::{Ast, Comparator};

use crate::json::Node;
use functions::{FUNCTIONS, Function};

/// The longest expression, in bytes.
pub(crate) const MAX_LENGTH: usize = 1000;
/// The deepest nesting of an expression's parts.
pub(crate) const MAX_DEPTH: usize = 32;
/// How many brackets, stars and prefixes may stand in one expression. Bounds how deep the parser recurses.
const MAX_NESTERS: usize = 100;

/// A compiled expression.
#[derive(Clone)]
pub(crate) enum Expr {
    Identity,
    Field(Box<str>),
    Sub(Box<Expr>, Box<Expr>),
    Literal(Node<'static>),
    Index(i32),
    Or(Box<Expr>, Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Not(Box<Expr>),
    Condition(Box<Expr>, Box<Expr>),
    Compare(Compare, Box<Expr>, Box<Expr>),
    Values(Box<Expr>),
    Project(Box<Expr>, Box<Expr>),
    Flatten(Box<Expr>),
    List(Vec<Expr>),
    Hash(Vec<(Box<str>, Expr)>),
    Slice { start: Option<i32>, stop: Option<i32>, step: i32 },
    Call(Function, Vec<Expr>),
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compare {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExprError {
    /// The byte offset in the expression.
    pub(crate) at: usize,
    /// What is wrong.
    pub(crate) what: String,
    /// What to do about it.
    pub(crate) hint: String,
}

impl ExprError {
    fn new(at: usize, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { at, what: what.into(), hint: hint.into() }
    }
}

impl Expr {
    /// Compiles an expression.
    pub(crate) fn compile(text: &str) -> Result<Self, ExprError> {
        if text.len() > MAX_LENGTH {
            return Err(ExprError::new(
                0,
                format!("an expression of {} bytes", text.len()),
                "at most 1000 are allowed",
            ));
        }
        let nesters = text.bytes().filter(|b| b"([{!&*".contains(b)).count();
        if nesters > MAX_NESTERS {
            return Err(ExprError::new(
                0,
                format!("an expression with {nesters} brackets and operators"),
                "at most 100 are allowed",
            ));
        }
        let ast = jmespath::parse(text).map_err(|e| {
            let what = match e.reason {
                jmespath::ErrorReason::Parse(what) => what,
                other => other.to_string(),
            };
            ExprError::new(
                e.offset,
                what,
                "see https://jmespath.org for the syntax; numbers are written `1`, strings 'a'",
            )
        })?;
        convert(&ast, text, 0)
    }
}

impl Expr {
    /// How many parts it has: no evaluation that looks at each of them once takes more steps, but for what they do.
    pub(crate) fn parts(&self) -> usize {
        let all = |list: &[Self]| list.iter().map(Self::parts).sum::<usize>();
        1 + match self {
            Self::Identity | Self::Field(_) | Self::Literal(_) | Self::Index(_) | Self::Slice { .. } => 0,
            Self::Not(a) | Self::Values(a) | Self::Flatten(a) => a.parts(),
            Self::Sub(a, b)
            | Self::Or(a, b)
            | Self::And(a, b)
            | Self::Condition(a, b)
            | Self::Compare(_, a, b)
            | Self::Project(a, b) => a.parts() + b.parts(),
            Self::List(elements) | Self::Call(_, elements) => all(elements),
            Self::Hash(members) => members.iter().map(|(_, value)| value.parts()).sum(),
        }
    }

    /// The member of the current object without which the expression is null, where there is one.
    pub(crate) fn needs(&self) -> Option<&str> {
        match self {
            Self::Field(name) => Some(name),
            Self::Sub(lhs, _) | Self::And(lhs, _) => lhs.needs(),
            Self::Call(Function::Nonzero, arguments) => arguments.first()?.needs(),
            _ => None,
        }
    }
}

fn convert(ast: &Ast, text: &str, depth: usize) -> Result<Expr, ExprError> {
    if depth >= MAX_DEPTH {
        return Err(ExprError::new(
            0,
            "an expression nested deeper than 32 levels",
            "split it, or simplify it",
        ));
    }
    let sub = |ast: &Ast| convert(ast, text, depth + 1).map(Box::new);
    let all = |list: &[Ast]| list.iter().map(|a| convert(a, text, depth + 1)).collect::<Result<Vec<_>, _>>();
    Ok(match ast {
        Ast::Identity { .. } => Expr::Identity,
        Ast::Field { name, .. } => Expr::Field(name.as_str().into()),
        Ast::Subexpr { lhs, rhs, .. } => Expr::Sub(sub(lhs)?, sub(rhs)?),
        Ast::Literal { offset, value } => Expr::Literal(literal(text, *offset, value)?),
        Ast::Index { idx, .. } => Expr::Index(*idx),
        Ast::Or { lhs, rhs, .. } => Expr::Or(sub(lhs)?, sub(rhs)?),
        Ast::And { lhs, rhs, .. } => Expr::And(sub(lhs)?, sub(rhs)?),
        Ast::Not { node, .. } => Expr::Not(sub(node)?),
        Ast::Condition { predicate, then, .. } => Expr::Condition(sub(predicate)?, sub(then)?),
        Ast::Comparison { comparator, lhs, rhs, .. } => {
            let how = match comparator {
                Comparator::Equal => Compare::Equal,
                Comparator::NotEqual => Compare::NotEqual,
                Comparator::LessThan => Compare::Less,
                Comparator::LessThanEqual => Compare::LessOrEqual,
                Comparator::GreaterThan => Compare::Greater,
                Comparator::GreaterThanEqual => Compare::GreaterOrEqual,
            };
            Expr::Compare(how, sub(lhs)?, sub(rhs)?)
        }
        Ast::ObjectValues { node, .. } => Expr::Values(sub(node)?),
        Ast::Projection { lhs, rhs, .. } => Expr::Project(sub(lhs)?, sub(rhs)?),
        Ast::Flatten { node, .. } => Expr::Flatten(sub(node)?),
        Ast::MultiList { elements, .. } => Expr::List(all(elements)?),
        Ast::MultiHash { elements, .. } => {
            let member = |e: &jmespath::ast::KeyValuePair| {
                convert(&e.value, text, depth + 1).map(|value| (e.key.as_str().into(), value))
            };
            Expr::Hash(elements.iter().map(member).collect::<Result<_, _>>()?)
        }
        Ast::Slice { offset, step: 0, .. } => {
            return Err(ExprError::new(
                *offset,
                "a slice with a step of 0",
                "a step is at least 1, or negative",
            ));
        }
        Ast::Slice { start, stop, step, .. } => Expr::Slice { start: *start, stop: *stop, step: *step },
        Ast::Expref { offset, .. } => {
            return Err(ExprError::new(
                *offset,
                "a reference to an expression (`&`)",
                "no function here takes one",
            ));
        }
        Ast::Function { offset, name, args } => {
            // The parser gives the position of the bracket; the name stands before it.
            let at = offset.saturating_sub(name.len());
            let Some((_, function, least, most)) = FUNCTIONS.iter().find(|(n, ..)| n == name) else {
                let known = FUNCTIONS.iter().map(|(n, ..)| *n).collect::<Vec<_>>().join(", ");
                return Err(ExprError::new(
                    at,
                    format!("no function is called {name:?}"),
                    format!("known are {known}"),
                ));
            };
            if !(*least..=*most).contains(&args.len()) {
                let wanted = if least == most { least.to_string() } else { format!("at least {least}") };
                return Err(ExprError::new(
                    at,
                    format!("{name} with {} arguments", args.len()),
                    format!("{name} takes {wanted}"),
                ));
            }
            Expr::Call(*function, all(args)?)
        }
    })
}

/// A literal, from the text itself: the parser's own value of a number is a binary float.
fn literal(text: &str, at: usize, parsed: &jmespath::Variable) -> Result<Node<'static>, ExprError> {
    if let Some(raw) = parsed.as_string() {
        return Ok(Node::Text(raw.clone().into()));
    }
    let inner = text.get(at + 1..).unwrap_or_default();
    let mut json = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '`' => break,
            '\\' => match chars.next() {
                Some('`') => json.push('`'),
                other => json.extend(std::iter::once(c).chain(other)),
            },
            c => json.push(c),
        }
    }
    Node::parse(json.as_bytes()).map(Node::into_owned).map_err(|e| {
        ExprError::new(at, format!("a literal that is not JSON: {}", e.what), "write `1` or 'text'")
    })
}
