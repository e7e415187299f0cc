//! What of the provider's pages a document reads, and which of its rules ever fire.

use std::collections::{BTreeMap, HashMap};

use crate::error::MapError;
use crate::expr::scope::{ALLOWANCE, Reads};
use crate::json::{Node, write_string};
use crate::mapped::Context;
use crate::plan::Mapping;

/// The most different fields that are told apart: a page may hold any names.
const MAX_FIELDS: usize = 5_000;

/// The longest member name that is told whole, in characters.
const MAX_NAME: usize = 64;

/// How often a field was in the pages, and how often a rule looked at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FieldUse {
    /// How often it was there.
    pub seen: u64,
    /// How often it was looked at.
    pub read: u64,
}

/// What a document made of recorded pages ([`Mapping::survey`]): names and counts, no values.
#[derive(Debug, Clone, Default)]
pub struct Survey {
    pages: u64,
    records: u64,
    observations: u64,
    fields: BTreeMap<String, FieldUse>,
    untold_fields: u64,
    kinds: Vec<(String, u64)>,
    /// The reasons for which the document says to leave something out.
    reasons: Vec<String>,
    left_out: BTreeMap<String, u64>,
}

impl Mapping {
    /// Maps a page, and adds to `survey` what was read of it, which kinds came of it, and what was left out.
    ///
    /// A page that cannot be mapped adds nothing.
    ///
    /// # Errors
    /// [`MapError`], as [`Mapping::map`].
    pub fn survey(&self, page: &[u8], context: &Context, survey: &mut Survey) -> Result<(), MapError> {
        survey.enter(self);
        let tree = crate::run::read(page)?;
        let reads = Reads::default();
        let mapped = self.run(&tree, page.len(), context, Some(&reads), ALLOWANCE).0?;
        survey.pages += 1;
        survey.records += mapped.records;
        let mut kinds: HashMap<&str, u64> = HashMap::new();
        for observation in &mapped.observations {
            survey.observations += 1;
            *kinds.entry(&observation.kind).or_default() += 1;
        }
        for (kind, count) in &mut survey.kinds {
            *count += kinds.get(kind.as_str()).copied().unwrap_or_default();
        }
        for (reason, count) in &mapped.skipped {
            *survey.left_out.entry(reason.clone()).or_default() += count;
        }
        survey.walk(&tree, &reads, &mut String::new(), false);
        Ok(())
    }
}

impl Survey {
    /// Pages that were mapped.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Records in them.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Observations that came of them.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// Every field by its path, as in an expression, but for `[]`, which stands for any index, and `{n}`, which stands
    /// for any name of digits only. A list or an object counts as a field only where it is empty.
    pub fn fields(&self) -> impl Iterator<Item = (&str, FieldUse)> {
        self.fields.iter().map(|(path, uses)| (path.as_str(), *uses))
    }

    /// The fields at which no rule ever looked, and how often each was there.
    pub fn never_read(&self) -> impl Iterator<Item = (&str, u64)> {
        self.fields().filter(|(_, uses)| uses.read == 0).map(|(path, uses)| (path, uses.seen))
    }

    /// How often a field was met that is not told, because there were more than 5,000 others.
    pub fn untold_fields(&self) -> u64 {
        self.untold_fields
    }

    /// The kinds of reading in the order of the document, and how many Observations each became.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, u64)> {
        self.kinds.iter().map(|(kind, count)| (kind.as_str(), *count))
    }

    /// The kinds that became no Observation.
    pub fn never_fired(&self) -> impl Iterator<Item = &str> {
        self.kinds().filter(|(_, count)| *count == 0).map(|(kind, _)| kind)
    }

    /// The document's own reasons for leaving something out (`skip`, `ignore`) that never applied.
    pub fn idle_reasons(&self) -> impl Iterator<Item = &str> {
        self.reasons.iter().map(String::as_str).filter(|reason| !self.left_out.contains_key(*reason))
    }

    /// What was left out, by reason (`docs/mapping.md` lists them).
    pub fn left_out(&self) -> impl Iterator<Item = (&str, u64)> {
        self.left_out.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    /// What matched no rule, by reason: a part of [`Survey::left_out`].
    pub fn unmatched(&self) -> impl Iterator<Item = (&str, u64)> {
        self.left_out().filter(|(reason, _)| is_unmatched(reason))
    }

    /// The rules of a document, none of which may ever fire.
    fn enter(&mut self, mapping: &Mapping) {
        for kind in mapping.kinds() {
            if !self.kinds.iter().any(|(known, _)| known == kind) {
                self.kinds.push((kind.to_owned(), 0));
            }
        }
        for extract in &mapping.extracts {
            let items = extract.items.as_ref();
            let ignored = items.into_iter().flat_map(|i| i.ignore.values());
            let skipped = extract.skip.iter().chain(items.into_iter().flat_map(|i| &i.skip));
            for reason in skipped.map(|(_, reason)| reason).chain(ignored) {
                if !self.reasons.contains(reason) {
                    self.reasons.push(reason.clone());
                }
            }
        }
        self.reasons.sort();
    }

    /// Notes every leaf below `node`. `whole`: what it stands in was looked at as a row of values, so that it was too.
    fn walk(&mut self, node: &Node<'_>, reads: &Reads, path: &mut String, whole: bool) {
        let length = path.len();
        match node {
            Node::Array(items) if !items.is_empty() => {
                path.push_str("[]");
                let whole = reads.has(node);
                items.iter().for_each(|item| self.walk(item, reads, path, whole));
            }
            Node::Object(members) if !members.is_empty() => {
                for (name, value) in members.iter() {
                    let by_number = name.bytes().all(|b| b.is_ascii_digit()) && !name.is_empty();
                    if length > 0 {
                        path.push('.');
                    }
                    if by_number {
                        path.push_str("{n}");
                    } else {
                        push_name(path, name);
                    }
                    self.walk(value, reads, path, by_number && reads.has(node));
                    path.truncate(length);
                }
            }
            _ => self.note(if path.is_empty() { "@" } else { path }, whole || reads.has(node)),
        }
        path.truncate(length);
    }

    fn note(&mut self, path: &str, read: bool) {
        if !self.fields.contains_key(path) {
            if self.fields.len() >= MAX_FIELDS {
                self.untold_fields += 1;
                return;
            }
            self.fields.insert(path.to_owned(), FieldUse::default());
        }
        if let Some(uses) = self.fields.get_mut(path) {
            uses.seen += 1;
            uses.read += u64::from(read);
        }
    }
}

/// A member's name as JMESPath writes it.
fn push_name(path: &mut String, name: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    match name.char_indices().nth(MAX_NAME) {
        Some((at, _)) => {
            let mut cut = name.get(..at).unwrap_or_default().to_owned();
            cut.push('…');
            write_string(path, &cut);
        }
        None if name.chars().all(plain) && name.starts_with(|c: char| !c.is_ascii_digit()) => {
            path.push_str(name);
        }
        None => write_string(path, name),
    }
}

/// Whether a reason says that no rule takes what is there, not that one refuses it.
fn is_unmatched(reason: &str) -> bool {
    reason == "empty" || reason == "unmapped" || reason.starts_with("unmapped:")
}

#[cfg(test)]
#[path = "coverage_tests.rs"]
mod tests;
