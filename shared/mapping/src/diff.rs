//! What one document makes of a page otherwise than another: the effect of a change, before it counts.

mod nodes;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use ohx_domain::Identifier;

use self::nodes::{text, tree_changes};
use crate::error::MapError;
use crate::json::Node;
use crate::mapped::{Context, DeviceFacts, Mapped, MappedObservation};
use crate::plan::Mapping;

/// One thing that `b` makes of a page otherwise than `a`.
#[derive(Debug, Clone)]
pub enum Difference {
    /// A reading.
    Reading(ReadingDifference),
    /// How often something was left out.
    LeftOut(LeftOut),
}

/// How often something was left out for a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// The reason.
    pub reason: String,
    /// How often `a` left something out for it.
    pub before: u64,
    /// How often `b` does.
    pub after: u64,
}

/// A reading that differs.
#[derive(Debug, Clone)]
pub struct ReadingDifference {
    before: Option<Side>,
    after: Option<Side>,
    changes: Vec<Changed>,
}

/// What a reading is to one of the two documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    /// Its kind.
    pub kind: Arc<str>,
    /// Its identity.
    pub identifier: Identifier,
}

/// In what way a reading differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It is the same reading with other contents.
    Changed,
    /// It has another identity: the EHR would have it twice, the old one for good. This is told by the time, the
    /// device, and the kind or the code, where these leave no doubt.
    IdentityChanged,
    /// Only `a` makes it.
    OnlyInA,
    /// Only `b` makes it.
    OnlyInB,
}

/// A place in an Observation where the two differ, with what stands there: health data, which `Debug` does not print.
#[derive(Clone, PartialEq, Eq)]
pub struct Changed {
    path: String,
    before: Option<String>,
    after: Option<String>,
}

/// Two documents over one page.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// What differs: the readings in the order of the page, then what was left out.
    pub differences: Vec<Difference>,
    /// How many readings are the same, by kind.
    pub unchanged: BTreeMap<Arc<str>, u64>,
}

impl ReadingDifference {
    /// In what way it differs.
    pub fn change(&self) -> Change {
        match (&self.before, &self.after) {
            (Some(before), Some(after)) if before.identifier == after.identifier => Change::Changed,
            (Some(_), Some(_)) => Change::IdentityChanged,
            (Some(_), None) => Change::OnlyInA,
            _ => Change::OnlyInB,
        }
    }

    /// The kind of reading: that of `a`, where `a` makes it.
    pub fn kind(&self) -> &str {
        self.before.as_ref().or(self.after.as_ref()).map_or("", |side| &side.kind)
    }

    /// What it is to `a`.
    pub fn before(&self) -> Option<&Side> {
        self.before.as_ref()
    }

    /// What it is to `b`.
    pub fn after(&self) -> Option<&Side> {
        self.after.as_ref()
    }

    /// The places that differ, where both make it. Its identifier is not among them.
    pub fn changes(&self) -> &[Changed] {
        &self.changes
    }
}

impl Changed {
    /// Where: members and indexes, such as `component[0].valueQuantity.value`; in a list that has got longer or
    /// shorter, the index in `b` where the item is there. What belongs to the device is under `device`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The JSON text of `a`, numbers with their digits.
    pub fn before(&self) -> Option<&str> {
        self.before.as_deref()
    }

    /// The JSON text of `b`.
    pub fn after(&self) -> Option<&str> {
        self.after.as_deref()
    }
}

impl fmt::Debug for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Changed").field("path", &self.path).finish_non_exhaustive()
    }
}

/// What `b` makes of a page otherwise than `a`: readings by their identifier, and what is left out. The tag with the
/// mapping's name and version is not a difference.
///
/// # Errors
/// [`MapError`] where one of the two cannot map the page.
pub fn difference(
    a: &Mapping,
    b: &Mapping,
    page: &[u8],
    context: &Context,
) -> Result<Vec<Difference>, MapError> {
    Ok(compare(a, b, page, context, false)?.differences)
}

/// As [`difference`], with what is the same; `tags`: the tag with the mapping's name and version counts as well.
///
/// # Errors
/// [`MapError`] where one of the two cannot map the page.
pub fn compare(
    a: &Mapping,
    b: &Mapping,
    page: &[u8],
    context: &Context,
    tags: bool,
) -> Result<Comparison, MapError> {
    let (before, after) = (a.map(page, context)?, b.map(page, context)?);
    let tag = format!("{}/mapping", context.identifier_base.trim_end_matches('/'));
    let ignored = (!tags).then_some(tag.as_str());
    let partners = partners(&before.observations, &after.observations)?;
    let mut out = Comparison::default();
    let mut met = vec![false; after.observations.len()];
    for (old, partner) in before.observations.iter().zip(partners) {
        let new = partner.and_then(|at| {
            met.get_mut(at).into_iter().for_each(|m| *m = true);
            after.observations.get(at)
        });
        let changes = match new {
            Some(new) => changes(old, new, ignored)?,
            None => Vec::new(),
        };
        if new.is_some_and(|new| new.identifier == old.identifier) && changes.is_empty() {
            *out.unchanged.entry(Arc::clone(&old.kind)).or_default() += 1;
        } else {
            out.reading(Some(old), new, changes);
        }
    }
    let added = after.observations.iter().zip(met).filter(|(_, met)| !met);
    added.for_each(|(new, _)| out.reading(None, Some(new), Vec::new()));
    out.left_out(&before, &after);
    Ok(out)
}

impl Comparison {
    fn reading(
        &mut self,
        before: Option<&MappedObservation>,
        after: Option<&MappedObservation>,
        changes: Vec<Changed>,
    ) {
        let side =
            |o: &MappedObservation| Side { kind: Arc::clone(&o.kind), identifier: o.identifier.clone() };
        let (before, after) = (before.map(side), after.map(side));
        self.differences.push(Difference::Reading(ReadingDifference { before, after, changes }));
    }

    fn left_out(&mut self, before: &Mapped, after: &Mapped) {
        let reasons: BTreeSet<&String> = before.skipped.keys().chain(after.skipped.keys()).collect();
        for reason in reasons {
            let count = |of: &Mapped| of.skipped.get(reason).copied().unwrap_or_default();
            let (before, after) = (count(before), count(after));
            if before != after {
                self.differences.push(Difference::LeftOut(LeftOut { reason: reason.clone(), before, after }));
            }
        }
    }
}

/// For each reading of `before`, which one of `after` it is: by identifier; else by what it says of itself.
fn partners(
    before: &[MappedObservation],
    after: &[MappedObservation],
) -> Result<Vec<Option<usize>>, MapError> {
    let known: HashMap<&Identifier, usize> =
        after.iter().enumerate().map(|(at, o)| (&o.identifier, at)).collect();
    let mut partners: Vec<_> = before.iter().map(|o| known.get(&o.identifier).copied()).collect();
    for like in [Like::Kind, Like::Code, Like::KindAnywhere] {
        let lone = |at: &usize| partners.get(*at).is_some_and(Option::is_none);
        let free: BTreeSet<usize> = partners.iter().flatten().copied().collect();
        let mut alike: HashMap<Likeness, (Vec<usize>, Vec<usize>)> = HashMap::new();
        for at in (0..before.len()).filter(lone) {
            if let Some(o) = before.get(at) {
                alike.entry(likeness(o, like)?).or_default().0.push(at);
            }
        }
        if alike.is_empty() {
            break;
        }
        for (at, o) in after.iter().enumerate().filter(|(at, _)| !free.contains(at)) {
            if let Some((_, new)) = alike.get_mut(&likeness(o, like)?) {
                new.push(at);
            }
        }
        for (old, new) in alike.values() {
            // Where there are several, which is which is left open.
            if let ([old], [new]) = (old.as_slice(), new.as_slice())
                && let Some(partner) = partners.get_mut(*old)
            {
                *partner = Some(*new);
            }
        }
    }
    Ok(partners)
}

/// What readings of other identities are told to be the same by.
#[derive(Clone, Copy)]
enum Like {
    /// The provider's id has changed, not the kind.
    Kind,
    /// The kind has got another name.
    Code,
    /// The position no longer is part of the identity, or is now.
    KindAnywhere,
}

type Likeness = (i64, String, String, Option<String>);

fn likeness(o: &MappedObservation, like: Like) -> Result<Likeness, MapError> {
    let resource = Node::parse(o.resource.get().as_bytes())?;
    let member = |name: &str| resource.get(name).map(text).unwrap_or_default();
    let (is, site) = match like {
        Like::Kind => (o.kind.to_string(), member("bodySite")),
        Like::Code => (member("code"), member("bodySite")),
        Like::KindAnywhere => (o.kind.to_string(), String::new()),
    };
    let device = o.device.as_ref().map(|d| d.id.clone());
    Ok((o.taken.as_microsecond(), is, site, device))
}

/// The places in which two versions of a reading differ.
fn changes(
    old: &MappedObservation,
    new: &MappedObservation,
    ignored_tag: Option<&str>,
) -> Result<Vec<Changed>, MapError> {
    let mut out = Vec::new();
    if old.resource != new.resource {
        let before = Node::parse(old.resource.get().as_bytes())?;
        let after = Node::parse(new.resource.get().as_bytes())?;
        tree_changes(&before, &after, ignored_tag, &mut out);
    }
    if old.device != new.device {
        let facts = |d: Option<&DeviceFacts>| {
            let quoted = |t: &str| text(&Node::Text(t.into()));
            d.map_or([const { None }; 3], |d| {
                [Some(quoted(&d.id)), d.model.as_deref().map(quoted), d.model_id.as_deref().map(quoted)]
            })
        };
        let (before, after) = (facts(old.device.as_deref()), facts(new.device.as_deref()));
        for (name, (before, after)) in ["id", "model", "model_id"].iter().zip(before.into_iter().zip(after)) {
            if before != after {
                out.push(Changed { path: format!("device.{name}"), before, after });
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
#[path = "diff_tests.rs"]
mod tests;
