//! Pages that are still JSON, but not what a provider sends: a recorded page with a few changes.

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use crate::{MARKED_NUMBER, MARKED_TEXT};

/// What may stand where a page has something else.
const ODD: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "-1",
    "1.50",
    "1e3",
    "1E-7",
    "1e400",
    "-1e-400",
    "0.000",
    "99999999999999999999",
    "79228162514264337593543950335",
    "79228162514264337593543950336",
    "0.0000000000000000000000000001",
    "123456789012345678901234567890.1",
    "253402300799",
    "253402300800",
    "-62135596801",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "4294967296",
    "65535",
    "65536",
    "\"\"",
    "\"1\"",
    "\"-7.10\"",
    "\"1e2\"",
    "\"NaN\"",
    "\" 1\"",
    "\"2023-02-30\"",
    "\"2024-01-09\"",
    "\"0001-01-01\"",
    "\"9999-12-31\"",
    "\"-000001-01-01\"",
    "\"Europe/Amsterdam\"",
    "\"America/Sao_Paulo\"",
    "\"../etc\"",
    "\"a.b-c_d\"",
    "\"\\u0000\"",
    "\"\\ud83d\\ude00\"",
    "\"\\\"\\\\\\n\"",
    "[]",
    "{}",
    "[[]]",
    "[null]",
    "[{}]",
    "{\"\":{}}",
    "{\"0\":1,\"0\":2}",
];

/// A JSON tree whose leaves are their text.
#[derive(Clone)]
enum Tree {
    Leaf(String),
    Array(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

impl Tree {
    fn read(text: &str) -> Option<Self> {
        let text = text.trim();
        let inner = |raw: &RawValue| Self::read(raw.get());
        Some(match text.as_bytes().first()? {
            b'[' => {
                let items: Vec<&RawValue> = serde_json::from_str(text).ok()?;
                Self::Array(items.into_iter().map(inner).collect::<Option<_>>()?)
            }
            b'{' => {
                let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
                let members = members.into_iter().map(|(name, raw)| inner(raw).map(|tree| (name, tree)));
                Self::Object(members.collect::<Option<_>>()?)
            }
            _ => Self::Leaf(text.to_owned()),
        })
    }

    fn write(&self, out: &mut String) {
        match self {
            Self::Leaf(text) => out.push_str(text),
            Self::Array(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (n, (name, value)) in members.iter().enumerate() {
                    out.push_str(if n > 0 { "," } else { "" });
                    out.push_str(&serde_json::to_string(name).unwrap_or_default());
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// Walks down to a place and changes what is there.
    fn change(&mut self, u: &mut Unstructured<'_>) -> Result<()> {
        match self {
            Self::Array(items) if !items.is_empty() && !u.ratio(1, 4)? => {
                let at = u.choose_index(items.len())?;
                match u.int_in_range(0..=7)? {
                    0 => {
                        let copies = u.int_in_range(1..=16)?;
                        let item = items[at].clone();
                        items.extend(std::iter::repeat_n(item, copies));
                    }
                    1 => {
                        items.remove(at);
                    }
                    2 => items.reverse(),
                    _ => items[at].change(u)?,
                }
            }
            Self::Object(members) if !members.is_empty() && !u.ratio(1, 8)? => {
                let at = u.choose_index(members.len())?;
                match u.int_in_range(0..=9)? {
                    0 => {
                        let again = members[at].clone();
                        members.push(again);
                    }
                    1 => {
                        members.remove(at);
                    }
                    2 => members[at].0 = MARKED_TEXT.to_owned(),
                    3 => members[at].0 = u.int_in_range(-1..=300_i32)?.to_string(),
                    4 => {
                        let (from, to) = (u.choose_index(members.len())?, at);
                        members[to].1 = members[from].1.clone();
                    }
                    _ => members[at].1.change(u)?,
                }
            }
            // A number that is near the one that was there, or in another notation.
            Self::Leaf(text) if text.bytes().all(|b| b.is_ascii_digit()) && u.ratio(1, 2)? => {
                match u.int_in_range(0..=3)? {
                    0 => *text = u.int_in_range(-70_000..=70_000_i32)?.to_string(),
                    1 => text.insert(0, '-'),
                    2 => *text = format!("\"{text}\""),
                    _ => text.push_str(".0"),
                }
            }
            other => {
                *other = match u.int_in_range(0..=9)? {
                    0 => Self::Leaf(MARKED_NUMBER.to_owned()),
                    1 | 2 => Self::Leaf(format!("\"{MARKED_TEXT}\"")),
                    3 => {
                        let depth = u.int_in_range(1..=80)?;
                        let leaf = Self::Leaf(MARKED_NUMBER.to_owned());
                        (0..depth).fold(leaf, |inner, _| Self::Array(vec![inner]))
                    }
                    _ => Self::Leaf((*u.choose(ODD)?).to_owned()),
                }
            }
        }
        Ok(())
    }
}

/// The largest page that is made, in bytes.
const LARGEST: usize = 512 * 1024;

/// One of the pages with up to sixteen changes that `u` chooses.
pub fn changed(pages: &[String], u: &mut Unstructured<'_>) -> Option<String> {
    let page = pages.get(u.choose_index(pages.len()).ok()?)?;
    let mut tree = Tree::read(page)?;
    for _ in 0..16 {
        if u.is_empty() || tree.change(u).is_err() {
            break;
        }
    }
    let mut out = String::new();
    tree.write(&mut out);
    // Copies of copies: what a page costs is a matter of the benchmark.
    (out.len() <= LARGEST).then_some(out)
}
