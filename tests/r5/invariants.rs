//! The specification's invariants (its FHIRPath constraints of severity `error`), written by hand. Which of them applies
//! where is read from the snapshots.

use jiff::Timestamp;

use crate::json::Json;

/// Where an invariant is looked at.
pub(crate) struct At<'a> {
    /// The element.
    pub(crate) value: &'a Json,
    /// The resource that it is in, not a contained one.
    pub(crate) root: &'a Json,
}

type Rule = fn(&At<'_>) -> bool;

/// Key, and whether it holds.
const RULES: &[(&str, Rule)] = &[
    ("att-1", |at| !at.value.has("data") || at.value.has("contentType")),
    ("cpt-2", |at| !at.value.has("value") || at.value.has("system")),
    ("csd-1", |at| {
        let mut codes = Vec::new();
        at.value.objects(&mut |o| codes.extend(o.at("concept.code").into_iter().filter_map(Json::text)));
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        codes.len() == count
    }),
    ("csd-4", |at| at.value.text_of("content") != Some("supplement") || at.value.has("supplements")),
    ("csd-5", |at| !at.value.has("additionalUse") || at.value.has("use")),
    ("dev-1", |at| at.value.at("name.display").iter().filter(|d| ***d == Json::Bool(true)).count() <= 1),
    ("dom-2", |at| at.value.at("contained.contained").is_empty()),
    ("dom-3", |at| at.value.at("contained").iter().all(|contained| is_referred_to(at.value, contained))),
    ("dom-4", |at| {
        ["versionId", "lastUpdated"].iter().all(|m| at.value.at(&format!("contained.meta.{m}")).is_empty())
    }),
    ("dom-5", |at| at.value.at("contained.meta.security").is_empty()),
    // The walk refuses empty objects, lists and strings.
    ("ele-1", |_| true),
    ("ext-1", |at| at.value.has("extension") != at.value.has_value()),
    ("obs-3", |at| ["low", "high", "text"].iter().any(|m| at.value.has(m))),
    ("obs-6", |at| !(at.value.has("dataAbsentReason") && at.value.has_value())),
    ("obs-7", |at| !at.value.has_value() || !component_repeats_code(at.value)),
    ("obs-8", |at| !(at.value.has("bodySite") && at.value.has("bodyStructure"))),
    ("per-1", |at| ordered(at.value.text_of("start"), at.value.text_of("end"))),
    // One and the same reference, as far as the references themselves say.
    ("prov-1", |at| {
        let of = |member| at.value.get(member).and_then(|r| r.text_of("reference"));
        of("who").is_none_or(|who| of("onBehalfOf") != Some(who))
    }),
    ("qty-3", |at| !at.value.has("code") || at.value.has("system")),
    ("rat-1", |at| match (at.value.has("numerator"), at.value.has("denominator")) {
        (false, false) => at.value.has("extension"),
        (numerator, denominator) => numerator && denominator,
    }),
    ("ref-1", |at| at.value.text_of("reference").is_none_or(|r| resolves(at.root, r))),
    ("ref-2", |at| ["reference", "identifier", "display", "extension"].iter().any(|m| at.value.has(m))),
    ("rng-2", |at| match (number(at.value, "low"), number(at.value, "high")) {
        (Some(low), Some(high)) => low <= high,
        _ => true,
    }),
    ("sdd-1", |at| at.value.has("interval") != at.value.has("offsets")),
    ("sqty-1", |at| !at.value.has("comparator")),
    // The length of a dateTime; a Period is none, and so has no length.
    ("vs-1", |at| at.value.text().is_none_or(|t| t.len() >= 8)),
    ("vs-2", |at| {
        at.value.has("component")
            || at.value.has("hasMember")
            || at.value.has("dataAbsentReason")
            || at.value.has_value()
    }),
    ("vs-3", |at| at.value.has_value() || at.value.has("dataAbsentReason")),
];

/// Whether an invariant holds. None where it is not among those written here.
pub(crate) fn holds(key: &str, at: &At<'_>) -> Option<bool> {
    RULES.iter().find(|(k, _)| *k == key).map(|(_, rule)| rule(at))
}

fn is_referred_to(resource: &Json, contained: &Json) -> bool {
    let Some(id) = contained.text_of("id") else { return false };
    let mut found = false;
    resource.objects(&mut |object| {
        let refers = |value: &Json| value.text().is_some_and(|t| t.strip_prefix('#') == Some(id) || t == "#");
        found |= object.members().iter().any(|(_, value)| value.items().iter().any(refers));
    });
    found
}

fn component_repeats_code(observation: &Json) -> bool {
    let own = observation.at("code.coding");
    observation.at("component.code.coding").iter().any(|coding| own.contains(coding))
}

/// Whether a reference into the resource leads to something in it.
fn resolves(root: &Json, reference: &str) -> bool {
    match reference.strip_prefix('#') {
        Some("") | None => true,
        Some(id) => root.at("contained.id").iter().any(|c| c.text() == Some(id)),
    }
}

/// Whether a period ends no sooner than it begins, as far as both are known.
fn ordered(start: Option<&str>, end: Option<&str>) -> bool {
    let (Some(start), Some(end)) = (start, end) else { return true };
    match (start.parse::<Timestamp>(), end.parse::<Timestamp>()) {
        (Ok(start), Ok(end)) => start <= end,
        _ => {
            let days = start.len().min(end.len()).min(10);
            start.get(..days) <= end.get(..days)
        }
    }
}

fn number(range: &Json, end: &str) -> Option<f64> {
    match range.get(end)?.get("value")? {
        Json::Number(text) => text.parse().ok(),
        _ => None,
    }
}

/// Invariants that are not looked at, and the element that they are about. Nothing that is written has one of these.
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    ("cnt-3", "cycle"),
    ("drt-1", "duration"),
    ("obs-9", "specimen"),
    ("prov-2", "onBehalfOf"),
    ("prov-3", "onBehalfOf"),
    ("tim-1", "repeat"),
    ("tim-2", "repeat"),
    ("tim-4", "repeat"),
    ("tim-5", "repeat"),
    ("tim-6", "repeat"),
    ("tim-7", "repeat"),
    ("tim-8", "repeat"),
    ("tim-9", "repeat"),
    ("tim-10", "repeat"),
    ("txt-1", "div"),
    ("txt-2", "div"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::definitions::{Element, structure};
    use crate::validate::{OLD_RESOURCES, RESOURCES, VITAL_SIGNS};
    use ohx_domain::FhirVersion;

    fn collect(element: &Element, types: &mut BTreeSet<String>, keys: &mut BTreeSet<String>) {
        keys.extend(element.invariants.iter().cloned());
        types.extend(element.types.iter().flat_map(|t| t.profiles.iter().chain([&t.code])).cloned());
        for inner in element.children.iter().chain(&element.slices) {
            collect(inner, types, keys);
        }
    }

    /// Every invariant of what may be in a release's resources.
    fn of(version: FhirVersion, resources: &[&str]) -> BTreeSet<String> {
        // An extension may hold a value of any type, and we write none.
        let mut done = BTreeSet::from(["Extension".to_owned()]);
        let mut keys = BTreeSet::new();
        let mut todo: BTreeSet<String> =
            resources.iter().chain(VITAL_SIGNS).map(|n| (*n).to_owned()).collect();
        while let Some(name) = todo.pop_first() {
            if let (true, Some(structure)) = (done.insert(name.clone()), structure(version, &name)) {
                let mut types = BTreeSet::new();
                collect(&structure.root, &mut types, &mut keys);
                todo.extend(types.difference(&done).cloned());
            }
        }
        assert!(keys.contains("vs-2") && done.contains("SampledData"), "{version:?}");
        keys
    }

    #[test]
    fn every_invariant_is_checked_or_left_out_on_purpose() {
        let mut keys = of(FhirVersion::R5, RESOURCES);
        assert!(keys.contains("sdd-1"));
        for old in [FhirVersion::R4, FhirVersion::R4B] {
            keys.extend(of(old, OLD_RESOURCES));
        }
        let written: BTreeSet<&str> = RULES.iter().map(|(k, _)| *k).collect();
        let left_out: BTreeSet<&str> = LEFT_OUT.iter().map(|(k, _)| *k).collect();
        let keys: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        let known: BTreeSet<&str> = written.union(&left_out).copied().collect();
        assert_eq!(
            keys.difference(&known).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "nobody thought of these"
        );
        assert_eq!(
            known.difference(&keys).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "the specification has not"
        );
    }
}
