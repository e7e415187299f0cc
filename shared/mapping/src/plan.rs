//! A compiled document: everything that does not depend on the page, worked out once.

use std::collections::HashMap;

use ohx_domain::decimal::Exact;

use crate::expr::Expr;
use crate::json::write_string;
use crate::units;

/// Stands for the identifier base in prepared JSON text. A JSON text never holds this character itself.
pub(crate) const BASE: char = '\u{0}';

/// The most components of one kind.
pub(crate) const MAX_SLOTS: usize = 8;

/// A compiled mapping document. Cheap to share between threads; see [`Mapping::parse`].
pub struct Mapping {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) system: String,
    pub(crate) zone: Option<Expr>,
    pub(crate) each: Expr,
    pub(crate) skip: Vec<(Expr, String)>,
    pub(crate) id: Expr,
    pub(crate) time: Expr,
    pub(crate) issued: Option<Expr>,
    pub(crate) device: Option<DevicePlan>,
    pub(crate) manual: Option<Manual>,
    pub(crate) items: Option<ItemsPlan>,
    pub(crate) direct: Vec<Direct>,
    pub(crate) kinds: Vec<Kind>,
    pub(crate) examples: Vec<Example>,
}

pub(crate) struct DevicePlan {
    pub(crate) id: Expr,
    pub(crate) model: Option<Expr>,
    pub(crate) model_id: Option<Expr>,
}

pub(crate) struct Manual {
    pub(crate) when: Expr,
    /// `,"note":[{"text":"…"}]`
    pub(crate) note: String,
}

pub(crate) struct ItemsPlan {
    pub(crate) at: Expr,
    pub(crate) key: Expr,
    pub(crate) position: Option<Expr>,
    pub(crate) number: Expr,
    pub(crate) uses: HashMap<Key, Vec<Use>>,
}

/// What tells the items of a record apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Number(i64),
    Text(String),
}

impl Key {
    /// A key, as text: `10` and `"10"` are the same.
    pub(crate) fn of(text: &str) -> Self {
        text.parse().map_or_else(|_| Self::Text(text.to_owned()), Self::Number)
    }
}

/// Which value of which kind an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) kind: usize,
    pub(crate) slot: usize,
    /// What to shift the point by, for the unit.
    pub(crate) shift: i32,
}

/// A value that is taken from the record itself.
pub(crate) struct Direct {
    pub(crate) to: Use,
    pub(crate) number: Expr,
}

/// A kind of reading, with the JSON text of its Observation prepared.
pub(crate) struct Kind {
    pub(crate) name: String,
    /// The positions that all mean the same reading. None: each position is a reading of its own.
    pub(crate) whole: Option<Vec<Option<u16>>>,
    /// From the beginning to the identifier's system.
    pub(crate) head: String,
    /// From behind the identifier to the code.
    pub(crate) body: String,
    /// `"component":[` and `]`, or nothing.
    pub(crate) around: (&'static str, &'static str),
    pub(crate) slots: Vec<Slot>,
}

/// A value of a kind: the only one, or a component.
pub(crate) struct Slot {
    pub(crate) name: String,
    /// The UCUM code.
    pub(crate) unit: String,
    /// The JSON text before the decimal.
    pub(crate) before: String,
    /// The JSON text after it.
    pub(crate) after: String,
    pub(crate) range: Option<(Exact, Exact)>,
}

/// A page and what must come of it.
pub(crate) struct Example {
    pub(crate) name: String,
    pub(crate) page: String,
    pub(crate) expect: String,
    pub(crate) skipped: Option<Vec<(String, u64)>>,
}

/// A coding to be written: the system may begin with [`BASE`].
pub(crate) struct WrittenCoding<'a> {
    pub(crate) system: String,
    pub(crate) code: &'a str,
    pub(crate) display: Option<&'a str>,
}

/// A JSON string in prepared text, where `system` may begin with [`BASE`].
pub(crate) fn write_system(out: &mut String, system: &str) {
    match system.strip_prefix(BASE) {
        Some(rest) => {
            let mut quoted = String::new();
            write_string(&mut quoted, rest);
            out.push('"');
            out.push(BASE);
            out.push_str(quoted.get(1..).unwrap_or_default());
        }
        None => write_string(out, system),
    }
}

/// `"code":{…}`
pub(crate) fn write_code(out: &mut String, codings: &[WrittenCoding<'_>], text: Option<&str>) {
    out.push_str("\"code\":{\"coding\":[");
    for (n, coding) in codings.iter().enumerate() {
        out.push_str(if n > 0 { ",{\"system\":" } else { "{\"system\":" });
        write_system(out, &coding.system);
        out.push_str(",\"code\":");
        write_string(out, coding.code);
        if let Some(display) = coding.display {
            out.push_str(",\"display\":");
            write_string(out, display);
        }
        out.push('}');
    }
    out.push(']');
    if let Some(text) = text {
        out.push_str(",\"text\":");
        write_string(out, text);
    }
    out.push('}');
}

/// The JSON text behind a decimal: `,"unit":…,"system":…,"code":…}`.
pub(crate) fn quantity_end(unit: &str, text: Option<&str>) -> String {
    let mut out = String::from(",\"unit\":");
    write_string(&mut out, text.or_else(|| units::text(unit)).unwrap_or(unit));
    out.push_str(",\"system\":\"http://unitsofmeasure.org\",\"code\":");
    write_string(&mut out, unit);
    out.push('}');
    out
}
