//! The functions that an expression may call. A document cannot define one; adding one is a change here, with a test.

use std::rc::Rc;

use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, scale10};

use super::Expr;
use super::eval::{Failed, Fuel};
use super::value::{Val, exact};
use crate::json::Node;

/// A function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Function {
    Contains,
    EndsWith,
    FromUnix,
    Join,
    Keys,
    Length,
    NotNull,
    Scale10,
    StartsWith,
    ToArray,
    ToNumber,
    ToString,
    Type,
    Values,
}

/// Every function: its name, and how many arguments it takes (at least, at most).
pub(crate) const FUNCTIONS: &[(&str, Function, usize, usize)] = &[
    ("contains", Function::Contains, 2, 2),
    ("ends_with", Function::EndsWith, 2, 2),
    ("from_unix", Function::FromUnix, 1, 1),
    ("join", Function::Join, 2, 2),
    ("keys", Function::Keys, 1, 1),
    ("length", Function::Length, 1, 1),
    ("not_null", Function::NotNull, 1, usize::MAX),
    ("scale10", Function::Scale10, 2, 2),
    ("starts_with", Function::StartsWith, 2, 2),
    ("to_array", Function::ToArray, 1, 1),
    ("to_number", Function::ToNumber, 1, 1),
    ("to_string", Function::ToString, 1, 1),
    ("type", Function::Type, 1, 1),
    ("values", Function::Values, 1, 1),
];

impl Function {
    pub(crate) fn call<'t>(
        self,
        arguments: &'t [Expr],
        current: &Val<'t>,
        fuel: &Fuel,
    ) -> Result<Val<'t>, Failed> {
        // Every argument is evaluated, as in JMESPath: one that fails fails the call.
        let arg = |n: usize| arguments.get(n).ok_or(Failed)?.eval(current, fuel);
        match self {
            Self::Contains => contains(&arg(0)?, &arg(1)?, fuel),
            Self::EndsWith => affix(&arg(0)?, &arg(1)?, |text, end| text.ends_with(end)),
            Self::StartsWith => affix(&arg(0)?, &arg(1)?, |text, start| text.starts_with(start)),
            Self::FromUnix => Ok(from_unix(&arg(0)?).map_or(Val::Null, Val::Instant)),
            Self::Join => join(&arg(0)?, &arg(1)?, fuel),
            Self::Keys => {
                let members = arg(0)?.members().ok_or(Failed)?;
                fuel.spend(members.len())?;
                Ok(Val::List(Rc::new(members.into_iter().map(|(name, _)| Val::Name(name)).collect())))
            }
            Self::Values => {
                let members = arg(0)?.members().ok_or(Failed)?;
                fuel.spend(members.len())?;
                Ok(Val::List(Rc::new(members.into_iter().map(|(_, value)| value).collect())))
            }
            Self::Length => length(&arg(0)?),
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
            Self::Scale10 => {
                let (value, exponent) = (arg(0)?.numeric(), arg(1)?.numeric());
                let scaled = value.zip(exponent.and_then(whole)).and_then(|(v, e)| scale10(v, e));
                Ok(scaled.map_or(Val::Null, Val::Exact))
            }
            Self::ToArray => {
                let value = arg(0)?;
                Ok(if value.items().is_some() { value } else { Val::List(Rc::new(vec![value])) })
            }
            Self::ToNumber => {
                let value = arg(0)?;
                Ok(match value.text() {
                    Some(text) => exact(&text).map_or(Val::Null, Val::Exact),
                    None if value.kind() == "number" => value,
                    None => Val::Null,
                })
            }
            Self::ToString => {
                let value = arg(0)?;
                if value.kind() == "string" {
                    return Ok(value);
                }
                if let Val::Ref(Node::Number(text)) = value {
                    return Ok(Val::Name(text));
                }
                let mut out = String::new();
                value.write_json(&mut out, fuel)?;
                Ok(Val::Text(out.into()))
            }
            Self::Type => Ok(Val::Name(arg(0)?.kind())),
        }
    }
}

fn contains<'t>(within: &Val<'t>, wanted: &Val<'t>, fuel: &Fuel) -> Result<Val<'t>, Failed> {
    if let Some(items) = within.items() {
        for item in items.iter() {
            if item.equals(wanted, fuel)? {
                return Ok(Val::Bool(true));
            }
        }
        return Ok(Val::Bool(false));
    }
    let text = within.text().ok_or(Failed)?;
    fuel.spend(text.len() / 16)?;
    Ok(Val::Bool(wanted.text().is_some_and(|wanted| text.contains(wanted.as_ref()))))
}

fn affix<'t>(text: &Val<'t>, affix: &Val<'t>, test: fn(&str, &str) -> bool) -> Result<Val<'t>, Failed> {
    let (text, affix) = text.text().zip(affix.text()).ok_or(Failed)?;
    Ok(Val::Bool(test(&text, &affix)))
}

fn join<'t>(glue: &Val<'t>, list: &Val<'t>, fuel: &Fuel) -> Result<Val<'t>, Failed> {
    let (glue, items) = glue.text().zip(list.items()).ok_or(Failed)?;
    let mut out = String::new();
    for (n, item) in items.iter().enumerate() {
        let text = item.text().ok_or(Failed)?;
        // Spent before the text grows: joining a list with itself doubles it.
        fuel.spend(1 + (glue.len() + text.len()) / 16)?;
        if n > 0 {
            out.push_str(&glue);
        }
        out.push_str(&text);
    }
    Ok(Val::Text(out.into()))
}

fn length<'t>(value: &Val<'t>) -> Result<Val<'t>, Failed> {
    let length = match (value.items(), value.text()) {
        (Some(items), _) => items.len(),
        (None, Some(text)) => text.chars().count(),
        (None, None) => value.members().ok_or(Failed)?.len(),
    };
    Ok(Val::Exact(Exact::from(length)))
}

/// The instant that is so many seconds after 1970 began in UTC, to the microsecond. None where it is not a number, is
/// finer than a microsecond, or is not within the years that FHIR can write.
pub(crate) fn from_unix(value: &Val<'_>) -> Option<Instant> {
    let micros = scale10(value.numeric()?, 6)?.normalize();
    if micros.scale() > 0 {
        return None;
    }
    Instant::from_microsecond(i64::try_from(micros.mantissa()).ok()?).ok()
}

/// A whole number that fits.
fn whole(value: Exact) -> Option<i32> {
    let value = if value.scale() == 0 { value } else { value.normalize() };
    if value.scale() == 0 { i32::try_from(value.mantissa()).ok() } else { None }
}
