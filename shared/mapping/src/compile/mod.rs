//! Compiles a document to a plan: everything that can be wrong with it is found here, with its place.

use serde_saphyr::{Location, Spanned};

use crate::document::{Document, Reading, Take, Text};
use crate::error::DocumentError;
use crate::expr::Expr;
use crate::json::{Node, write_string};
use crate::plan::{DevicePlan, Direct, Example, ItemsPlan, Key, Kind, Manual, Mapping, Use};
use crate::units;

/// The largest document, in bytes.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

pub(crate) type Result<T> = std::result::Result<T, DocumentError>;

impl Mapping {
    /// Reads and compiles a mapping document (`docs/mapping.md`).
    ///
    /// # Errors
    /// [`DocumentError`] for the first thing that is wrong, with its line and column.
    pub fn parse(yaml: &str) -> Result<Self> {
        if yaml.len() > MAX_DOCUMENT_BYTES {
            let what =
                format!("a document of {} bytes; at most {MAX_DOCUMENT_BYTES} are allowed", yaml.len());
            return Err(DocumentError::at("", 0, 0, what, "move examples out, or split it by record".into()));
        }
        let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
        let document: Document =
            serde_saphyr::from_str_with_options(yaml, options).map_err(|e| syntax(yaml, &e))?;
        Compiler { yaml }.mapping(document)
    }
}

/// What the YAML reader says, as our error.
fn syntax(yaml: &str, error: &serde_saphyr::Error) -> DocumentError {
    let (line, column) = error.location().map_or((0, 0), place);
    // The place is told apart from the message.
    let said = error.without_snippet().to_string();
    let what = match said.rfind(" at line ") {
        Some(at) => said.get(..at).unwrap_or_default().to_owned(),
        None => said,
    };
    DocumentError::at(yaml, line, column, what, String::new())
}

fn place(at: Location) -> (usize, usize) {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    (number(at.line()), number(at.column()))
}

/// Lower-case letters, digits and hyphens, beginning with a letter: at most 64.
pub(crate) fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Compiles the document `yaml`; `observe` has the second stage.
pub(crate) struct Compiler<'y> {
    pub(crate) yaml: &'y str,
}

impl Compiler<'_> {
    pub(crate) fn error<T>(
        &self,
        at: Location,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> Result<T> {
        let (line, column) = place(at);
        Err(DocumentError::at(self.yaml, line, column, what.into(), hint.into()))
    }

    fn slug(&self, text: &Text, what: &str) -> Result<String> {
        if is_slug(&text.value) {
            return Ok(text.value.clone());
        }
        self.error(
            text.referenced,
            format!("{what} {:?}", text.value),
            "write lower-case letters, digits and hyphens, beginning with a letter, at most 64",
        )
    }

    fn expr(&self, text: &Text) -> Result<Expr> {
        Expr::compile(&text.value).map_err(|e| {
            let (line, mut column) = place(text.referenced);
            // A scalar on one line: the place within it can be pointed at.
            let source = self.yaml.lines().nth(line.saturating_sub(1)).unwrap_or_default();
            let rest: String = source.chars().skip(column.saturating_sub(1)).collect();
            let quoted = rest.starts_with(['"', '\'']);
            if rest.get(usize::from(quoted)..).is_some_and(|r| r.starts_with(text.value.as_str())) {
                column += usize::from(quoted) + text.value.get(..e.at).unwrap_or_default().chars().count();
            }
            DocumentError::at(self.yaml, line, column, format!("in the expression: {}", e.what), e.hint)
        })
    }

    fn optional(&self, text: Option<&Text>) -> Result<Option<Expr>> {
        text.map(|t| self.expr(t)).transpose()
    }

    fn mapping(&self, document: Document) -> Result<Mapping> {
        let Document { mapping, version, system, extract, mut observe, examples } = document;
        if !mapping
            .value
            .split_once('/')
            .is_some_and(|(provider, record)| is_slug(provider) && is_slug(record))
        {
            return self.error(
                mapping.referenced,
                format!("a mapping called {:?}", mapping.value),
                "write the provider and the record, such as withings/getmeas",
            );
        }
        if version.value == 0 {
            return self.error(version.referenced, "version 0", "versions count from 1");
        }
        let mut items = extract
            .items
            .as_ref()
            .map(|items| {
                Ok(ItemsPlan {
                    at: self.expr(&items.at)?,
                    key: self.expr(&items.key)?,
                    position: self.optional(items.position.as_ref())?,
                    number: self.expr(&items.number)?,
                    uses: std::collections::HashMap::new(),
                })
            })
            .transpose()?;
        let mut kinds: Vec<Kind> = Vec::new();
        let mut direct = Vec::new();
        for reading in &extract.readings {
            let name = self.slug(&reading.value.kind, "a kind called")?;
            if kinds.iter().any(|k| k.name == name) {
                let hint = "a kind is part of a reading's identity: give each reading a kind of its own";
                return self.error(
                    reading.value.kind.referenced,
                    format!("a second reading of kind {name}"),
                    hint,
                );
            }
            let Some(at) = observe.0.iter().position(|(kind, _)| *kind == name) else {
                let known = observe.0.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>().join(", ");
                let hint = format!("add it under `observe`, which still has: {known}");
                return self.error(
                    reading.value.kind.referenced,
                    format!("`observe` does not have {name}"),
                    hint,
                );
            };
            let (_, observed) = observe.0.remove(at);
            let tag = format!("{}.{}", mapping.value, version.value);
            let kind = self.kind(name, &reading.value, &observed.value, &tag)?;
            for (slot, take) in self.takes(reading, &kind)? {
                self.take(take, Use { kind: kinds.len(), slot, shift: 0 }, &kind, &mut items, &mut direct)?;
            }
            kinds.push(kind);
        }
        if kinds.is_empty() {
            return self.error(
                mapping.referenced,
                "no readings",
                "list at least one under `extract.readings`",
            );
        }
        if let Some((kind, observed)) = observe.0.first() {
            let hint = "add a reading of that kind under `extract.readings`, or take it out";
            return self.error(observed.referenced, format!("nothing is read as {kind}"), hint);
        }
        let skip =
            |s: &crate::document::Skip| Ok((self.expr(&s.when)?, self.slug(&s.reason, "a reason called")?));
        let device = |d: &crate::document::Device| {
            Ok(DevicePlan {
                id: self.expr(&d.id)?,
                model: self.optional(d.model.as_ref())?,
                model_id: self.optional(d.model_id.as_ref())?,
            })
        };
        let manual = |m: &crate::document::Manual| {
            let mut note = String::from(",\"note\":[{\"text\":");
            write_string(&mut note, &m.note);
            note.push_str("}]");
            Ok(Manual { when: self.expr(&m.when)?, note })
        };
        Ok(Mapping {
            system: self.slug(&system, "a system called")?,
            version: version.value,
            zone: self.optional(extract.zone.as_ref())?,
            each: self.expr(&extract.each)?,
            skip: extract.skip.iter().map(skip).collect::<Result<_>>()?,
            id: self.expr(&extract.id)?,
            time: self.expr(&extract.time)?,
            issued: self.optional(extract.issued.as_ref())?,
            device: extract.device.as_ref().map(device).transpose()?,
            manual: extract.manual.as_ref().map(manual).transpose()?,
            items,
            direct,
            kinds,
            examples: examples.into_iter().map(|e| self.example(e)).collect::<Result<_>>()?,
            name: mapping.value,
        })
    }

    fn example(&self, example: crate::document::Example) -> Result<Example> {
        for (what, text) in [("page", &example.page), ("expect", &example.expect)] {
            if let Err(e) = Node::parse(text.value.as_bytes()) {
                let what = format!("the example's {what} is not JSON: {}, at byte {}", e.what, e.at);
                return self.error(text.referenced, what, "write JSON as a block, behind `|`");
            }
        }
        let skipped = example.skipped.map(|s| s.0);
        Ok(Example { name: example.name, page: example.page.value, expect: example.expect.value, skipped })
    }

    /// The reading's values, by their slot.
    fn takes<'r>(
        &self,
        reading: &'r Spanned<Reading>,
        kind: &Kind,
    ) -> Result<Vec<(usize, &'r Spanned<Take>)>> {
        let names = || kind.slots.iter().map(|s| s.name.as_str()).collect::<Vec<_>>().join(", ");
        let at = reading.referenced;
        let single = kind.around.0.is_empty();
        match (&reading.value.value, &reading.value.values) {
            (Some(take), None) if single => Ok(vec![(0, take)]),
            (None, Some(takes)) if !single => {
                let mut found = Vec::new();
                for (name, take) in &takes.0 {
                    let Some(slot) = kind.slots.iter().position(|s| s.name == *name) else {
                        let hint = format!("components are {}", names());
                        return self.error(
                            take.referenced,
                            format!("{} has no component {name}", kind.name),
                            hint,
                        );
                    };
                    found.push((slot, take));
                }
                if found.len() < kind.slots.len() {
                    let hint = format!("give a value to each of {}", names());
                    return self.error(at, format!("a component of {} has no value", kind.name), hint);
                }
                Ok(found)
            }
            _ if single => {
                self.error(at, format!("{} has one value", kind.name), "write `value:`, and not `values:`")
            }
            _ => {
                let hint = format!("write `values:`, and not `value:`, with {}", names());
                self.error(at, format!("{} has components", kind.name), hint)
            }
        }
    }

    /// Enters where a value comes from.
    fn take(
        &self,
        take: &Spanned<Take>,
        mut to: Use,
        kind: &Kind,
        items: &mut Option<ItemsPlan>,
        direct: &mut Vec<Direct>,
    ) -> Result<()> {
        if let (Some(unit), Some(slot)) = (&take.value.unit, kind.slots.get(to.slot)) {
            match units::shift(&unit.value, &slot.unit) {
                Some(shift) => to.shift = shift,
                None => {
                    let what = format!("{:?} is not converted to {:?}", unit.value, slot.unit);
                    return self.error(
                        unit.referenced,
                        what,
                        "conversions are m to cm, kg to g, s to ms and the like",
                    );
                }
            }
        }
        match (&take.value.item, &take.value.number, items) {
            (Some(key), None, Some(items)) => {
                items.uses.entry(Key::of(&key.value)).or_default().push(to);
                Ok(())
            }
            (Some(key), None, None) => self.error(
                key.referenced,
                "an item, but no items",
                "say under `extract.items` where they are",
            ),
            (None, Some(number), _) => {
                direct.push(Direct { to, number: self.expr(number)? });
                Ok(())
            }
            _ => self.error(
                take.referenced,
                "a value comes from one place",
                "write either `item:` or `number:`",
            ),
        }
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
