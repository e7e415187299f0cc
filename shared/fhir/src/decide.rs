//! Whether a resource needs to be written, from what the EHR already has of it.

use ohx_domain::Instant;
use ohx_events::sealed::MappedResource;

use crate::wire::{Existing, is_id};

/// What the EHR has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// The resource's id at the server.
    pub(crate) id: String,
    /// `meta.versionId`, for `If-Match`.
    pub(crate) version: Option<String>,
    /// The codes of our digest tags. More than one where the server keeps the tags of earlier versions (HAPI does).
    pub(crate) digests: Vec<String>,
    /// `issued`: the version of the provider's reading.
    pub(crate) issued: Option<Instant>,
    /// `status`.
    pub(crate) status: Option<String>,
}

impl Found {
    /// What matters of an existing resource; `None` where its id cannot be one.
    pub(crate) fn read(existing: &Existing, tag_system: &str) -> Option<Self> {
        let tags = existing.meta.tag.iter().filter(|tag| tag.system == tag_system);
        is_id(&existing.id).then(|| Self {
            id: existing.id.clone(),
            version: existing.meta.version_id.clone().filter(|version| is_id(version)),
            digests: tags.map(|tag| tag.code.clone()).collect(),
            issued: existing.issued.as_deref().and_then(|issued| issued.parse().ok()),
            status: existing.status.clone(),
        })
    }

    /// Of two resources with one identifier, the one to go on with: the newer reading, then the smaller id, so that
    /// every run chooses the same.
    pub(crate) fn or_better(self, other: Self) -> Self {
        match other.issued.cmp(&self.issued).then_with(|| self.id.cmp(&other.id)) {
            std::cmp::Ordering::Greater => other,
            _ => self,
        }
    }
}

/// What to do with one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing: the EHR has it, or has a newer version of it.
    Keep {
        /// Its id at the server.
        id: String,
    },
    /// The EHR does not have it.
    Create,
    /// Nothing: the provider has taken the reading back, and the EHR never had it.
    Pass,
    /// The EHR has another version of it.
    Replace {
        /// Its id at the server.
        id: String,
        /// The version that was looked at, for `If-Match`.
        version: Option<String>,
        /// Whether the former version counted as final, so that this one is a correction of it.
        correction: bool,
    },
}

/// The status of a reading that was taken back.
pub(crate) const TAKEN_BACK: &str = "entered-in-error";

/// Decides about one resource, whose `status` is given.
pub(crate) fn decide(ours: &MappedResource, status: Option<&str>, found: Option<&Found>) -> Decision {
    let taken_back = status == Some(TAKEN_BACK);
    let Some(found) = found else {
        return if taken_back { Decision::Pass } else { Decision::Create };
    };
    let keep = Decision::Keep { id: found.id.clone() };
    if ours.only_if_missing {
        return keep;
    }
    let both = found.issued.zip(ours.issued);
    if both.is_some_and(|(theirs, ours)| theirs > ours) {
        return keep;
    }
    let same = match found.digests.as_slice() {
        // A server that drops tags: the version of the reading is all there is to go by.
        [] => both.is_some_and(|(theirs, ours)| theirs == ours),
        [digest] => *digest == ours.digest,
        // Tags of several versions, and no telling which is the last: again the version of the reading decides.
        digests => digests.contains(&ours.digest) && both.is_none_or(|(theirs, ours)| theirs == ours),
    };
    if same {
        return keep;
    }
    if taken_back && found.status.as_deref() == Some(TAKEN_BACK) {
        return keep;
    }
    let correction = !matches!(found.status.as_deref(), Some("preliminary" | "registered"));
    Decision::Replace { id: found.id.clone(), version: found.version.clone(), correction }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ohx_domain::Identifier;
    use serde_json::value::RawValue;

    fn at(second: Option<i64>) -> Option<Instant> {
        second.map(|second| Instant::from_second(second).unwrap())
    }

    fn ours(digest: &str, issued: Option<i64>) -> MappedResource {
        MappedResource {
            identifier: Identifier { system: "s".into(), value: "v".into() },
            digest: digest.into(),
            issued: at(issued),
            taken: None,
            device: None,
            only_if_missing: false,
            resource: RawValue::from_string("{}".into()).unwrap(),
        }
    }

    fn found(digests: &[&str], issued: Option<i64>) -> Found {
        Found {
            id: "a".into(),
            version: Some("3".into()),
            digests: digests.iter().map(|d| (*d).to_owned()).collect(),
            issued: at(issued),
            status: Some("final".into()),
        }
    }

    #[test]
    fn the_table() {
        let replaced = |decision| matches!(decision, Decision::Replace { .. });
        for (digests, theirs, digest, issued, expect) in [
            (&["d"][..], Some(5), "d", Some(5), false),
            (&["d"], Some(5), "e", Some(5), true),
            (&["d"], Some(5), "e", Some(6), true),
            (&["d"], Some(5), "e", Some(4), false), // an older version never overwrites a newer one
            (&["d"], Some(5), "d", Some(6), false), // said the same again, later
            (&["d"], None, "e", Some(6), true),
            (&["d"], None, "e", None, true), // a device
            (&[], Some(5), "d", Some(5), false),
            (&[], Some(5), "d", Some(6), true),
            (&["d", "e"], Some(5), "e", Some(5), false),
            (&["d", "e"], Some(5), "d", Some(6), true), // corrected, then corrected back
            (&["d", "e"], None, "d", None, false),
        ] {
            let decision = decide(&ours(digest, issued), Some("final"), Some(&found(digests, theirs)));
            assert_eq!(replaced(decision), expect, "{digests:?} {theirs:?} {digest} {issued:?}");
        }
        assert_eq!(decide(&ours("d", None), Some("final"), None), Decision::Create);
    }

    #[test]
    fn what_is_only_written_where_it_is_missing_replaces_nothing() {
        let poor = MappedResource { only_if_missing: true, ..ours("poor", None) };
        assert_eq!(decide(&poor, None, None), Decision::Create);
        assert_eq!(decide(&poor, None, Some(&found(&["rich"], None))), Decision::Keep { id: "a".into() });
    }

    #[test]
    fn what_was_preliminary_is_completed_and_not_corrected() {
        let before = Found { status: Some("preliminary".into()), ..found(&["d"], Some(1)) };
        let Decision::Replace { correction, version, .. } =
            decide(&ours("e", Some(2)), Some("final"), Some(&before))
        else {
            panic!("not replaced")
        };
        assert!(!correction);
        assert_eq!(version.as_deref(), Some("3"));
    }

    #[test]
    fn what_was_taken_back_is_marked_where_it_is_and_never_brought_in() {
        let back = ours("gone", Some(6));
        assert_eq!(decide(&back, Some(TAKEN_BACK), None), Decision::Pass);
        let there = found(&["d"], Some(5));
        assert!(matches!(decide(&back, Some(TAKEN_BACK), Some(&there)), Decision::Replace { .. }));
        let marked = Found { status: Some(TAKEN_BACK.into()), ..there };
        assert!(matches!(decide(&back, Some(TAKEN_BACK), Some(&marked)), Decision::Keep { .. }));
    }

    #[test]
    fn of_two_the_newer_is_chosen_whatever_the_order() {
        let (old, new) = (found(&["d"], Some(1)), Found { id: "b".into(), ..found(&["e"], Some(2)) });
        assert_eq!(old.clone().or_better(new.clone()), new);
        assert_eq!(new.clone().or_better(old), new);
        let (a, b) = (found(&[], None), Found { id: "b".into(), ..found(&[], None) });
        assert_eq!(a.clone().or_better(b.clone()), a);
        assert_eq!(b.or_better(a.clone()), a);
    }
}
