//! Values of primitive types: the JSON kind, the specification's expression, and what an expression cannot say.

use jiff::civil::Date;

use crate::definitions::{Kind, Structure};
use crate::json::Json;

/// What is wrong with a value of the primitive type `code`. None: nothing.
pub(crate) fn problem(value: &Json, code: &str, structure: &Structure) -> Option<String> {
    let text = match (code, value) {
        ("boolean", Json::Bool(_)) => return None,
        ("decimal" | "integer" | "positiveInt" | "unsignedInt", Json::Number(text)) => text,
        ("boolean" | "decimal" | "integer" | "positiveInt" | "unsignedInt", _) => {
            return Some(format!("is not the JSON value of a {code}"));
        }
        (_, Json::Text(text)) => text,
        _ => return Some(format!("is not a string, and so no {code}")),
    };
    let Kind::Primitive(format) = &structure.kind else {
        return Some(format!("{code} is no primitive type"));
    };
    if format.as_ref().is_some_and(|f| !f.is_match(text)) {
        return Some(format!("{text:?} is no {code}"));
    }
    match code {
        "dateTime" | "instant" | "date" => calendar(text),
        "integer" | "positiveInt" | "unsignedInt" => {
            text.parse::<i32>().err().map(|_| format!("{text} is beyond 32 bits"))
        }
        "xhtml" => (!text.starts_with("<div")).then(|| "is not a div".to_owned()),
        "string" | "markdown" => {
            let control = |c: char| c < ' ' && !['\t', '\n', '\r'].contains(&c);
            (text.trim().is_empty() || text.contains(control))
                .then(|| format!("{text:?} is blank or has a control character"))
        }
        "uri" | "url" | "canonical" | "oid" | "uuid" => text.is_empty().then(|| "is empty".to_owned()),
        _ => None,
    }
}

/// A day that is in the calendar; a time has an offset.
fn calendar(text: &str) -> Option<String> {
    let (date, time) = text.split_once('T').map_or((text, None), |(date, time)| (date, Some(time)));
    if date.len() == 10 && date.parse::<Date>().is_err() {
        return Some(format!("{text}: there is no such day"));
    }
    match time {
        Some(time) => (!time.contains(['Z', '+', '-'])).then(|| format!("{text}: the time has no offset")),
        None => date.contains(['Z', '+']).then(|| format!("{text}: an offset without a time")),
    }
}
