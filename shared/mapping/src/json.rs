//! JSON as a borrowed tree that keeps what was written: a number is its text, so `72.10` stays `72.10`.
//!
//! A strict reader of RFC 8259. It accepts what `serde_json` accepts, but for two things: nesting is bounded at
//! [`MAX_DEPTH`], and a number may be larger than a binary float can hold (its text is kept, whatever its size).

mod cow;
mod reader;

use crate::error::PageError;
pub(crate) use cow::Str;

/// How deep arrays and objects may nest. The providers' pages nest four or five deep.
pub(crate) const MAX_DEPTH: usize = 64;

/// A JSON value. What needs no unescaping borrows from the page.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A number, as it was written.
    Number(Str<'a>),
    /// A string, unescaped.
    Text(Str<'a>),
    /// An array.
    Array(Box<[Node<'a>]>),
    /// An object: members in their order. Where a name repeats, the last one counts.
    Object(Box<[(Str<'a>, Node<'a>)]>),
}

impl<'a> Node<'a> {
    /// Reads one JSON text, and nothing after it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, PageError> {
        let text =
            std::str::from_utf8(bytes).map_err(|e| PageError { at: e.valid_up_to(), what: "not UTF-8" })?;
        reader::read(text).map_err(|(at, what)| PageError { at, what })
    }

    /// The member `name` of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Node<'a>> {
        match self {
            Self::Object(members) => members.iter().rev().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// The same value, owning its text.
    pub(crate) fn into_owned(self) -> Node<'static> {
        match self {
            Self::Null => Node::Null,
            Self::Bool(b) => Node::Bool(b),
            Self::Number(t) => Node::Number(t.into_owned()),
            Self::Text(t) => Node::Text(t.into_owned()),
            Self::Array(items) => Node::Array(items.into_iter().map(Node::into_owned).collect()),
            Self::Object(members) => {
                Node::Object(members.into_iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect())
            }
        }
    }
}

/// Appends `text` as a JSON string, with its quotes.
pub(crate) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 => "",
            _ => continue,
        };
        out.push_str(text.get(plain..at).unwrap_or_default());
        plain = at + 1;
        if escape.is_empty() {
            out.push_str(&format!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(text.get(plain..).unwrap_or_default());
    out.push('"');
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
