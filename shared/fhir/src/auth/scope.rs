//! SMART scopes (SMART App Launch 2.2, "Scopes"): which OHX asks for, and whether what was granted covers them.

use ohx_domain::{EhrEndpoint, FhirVersion};

/// The letters of a v2 scope, in the order in which they have to stand.
const LETTERS: &str = "cruds";

/// What is written: created and updated, and searched for, which conditional writes need as well.
const WRITTEN: &str = "cus";
/// What is only looked up.
const READ: &str = "rs";

/// The scopes that publishing and devices need at an endpoint. With `v1` in the older form, for servers that know no
/// other.
pub(super) fn needed(endpoint: &EhrEndpoint, v1: bool) -> String {
    let mut kinds = vec![("Observation", WRITTEN), ("Device", WRITTEN)];
    // R4 and R4B do not have it.
    if endpoint.fhir_version == FhirVersion::R5 {
        kinds.push(("DeviceAssociation", WRITTEN));
    }
    kinds.push(("DeviceDefinition", WRITTEN));
    if endpoint.provenance {
        kinds.push(("Provenance", WRITTEN));
    }
    kinds.push(("Patient", READ));
    let scopes = kinds.into_iter().map(|(kind, letters)| match (v1, letters) {
        (false, letters) => format!("system/{kind}.{letters}"),
        (true, READ) => format!("system/{kind}.read"),
        (true, _) => format!("system/{kind}.read system/{kind}.write"),
    });
    scopes.collect::<Vec<_>>().join(" ")
}

/// A scope for resources.
struct Smart<'s> {
    level: &'s str,
    kind: &'s str,
    letters: &'s str,
    query: Option<&'s str>,
}

fn parse(scope: &str) -> Option<Smart<'_>> {
    let (level, rest) = scope.split_once('/')?;
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
    let (kind, letters) = rest.rsplit_once('.')?;
    let letters = match letters {
        "read" => READ,
        "write" => "cud",
        "*" => LETTERS,
        letters => letters,
    };
    let mut order = letters.chars().map(|letter| LETTERS.find(letter));
    let ordered = order.try_fold(None, |before, at| at.filter(|at| before < Some(*at)).map(Some)).is_some();
    let known = matches!(level, "system" | "user" | "patient") && !kind.is_empty() && !letters.is_empty();
    (known && ordered).then_some(Smart { level, kind, letters, query })
}

/// What of `asked` is not in `granted`.
pub(super) fn missing(asked: &str, granted: &str) -> Vec<String> {
    let granted: Vec<&str> = granted.split_whitespace().collect();
    let lacks = |asked: &str| {
        if granted.contains(&asked) {
            return None;
        }
        let Some(scope) = parse(asked) else { return Some(asked.to_owned()) };
        let covers = |given: &Smart<'_>| {
            given.level == scope.level
                && (given.kind == scope.kind || given.kind == "*")
                && (given.query.is_none() || given.query == scope.query)
        };
        let given: Vec<Smart<'_>> = granted.iter().copied().filter_map(parse).filter(covers).collect();
        let lacking: String = scope
            .letters
            .chars()
            .filter(|letter| !given.iter().any(|g| g.letters.contains(*letter)))
            .collect();
        (!lacking.is_empty()).then(|| format!("{}/{}.{lacking}", scope.level, scope.kind))
    };
    asked.split_whitespace().filter_map(lacks).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint() -> EhrEndpoint {
        EhrEndpoint::new("main".parse().unwrap(), "https://ehr.example/fhir".parse().unwrap())
    }

    #[test]
    fn only_what_is_written_is_asked_for() {
        assert_eq!(
            needed(&endpoint(), false),
            "system/Observation.cus system/Device.cus system/DeviceAssociation.cus system/DeviceDefinition.cus \
             system/Provenance.cus system/Patient.rs"
        );
        let r4 = EhrEndpoint { fhir_version: FhirVersion::R4, provenance: false, ..endpoint() };
        let v1 = needed(&r4, true);
        assert!(v1.starts_with("system/Observation.read system/Observation.write "), "{v1}");
        assert!(v1.ends_with(" system/Patient.read"), "{v1}");
        assert!(!v1.contains("DeviceAssociation") && !v1.contains("Provenance"), "{v1}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let asked = "system/Observation.cus system/Device.cus system/Patient.rs";
        for (granted, lacking) in [
            ("system/Observation.cruds system/Device.cus system/Patient.rs", vec![]),
            ("system/*.cruds", vec![]),
            ("system/*.*", vec![]),
            ("system/*.read system/*.write", vec![]),
            ("system/Observation.c system/Observation.us system/*.rs system/Device.cu", vec![]),
            ("system/*.rs", vec!["system/Observation.cu", "system/Device.cu"]),
            ("system/Observation.cus system/Patient.rs", vec!["system/Device.cus"]),
            ("user/*.cruds", vec!["system/Observation.cus", "system/Device.cus", "system/Patient.rs"]),
            // Part of the resources only is narrower.
            (
                "system/*.rs system/Device.cus system/Observation.cus?category=x|vital-signs",
                vec!["system/Observation.cu"],
            ),
            // Letters in another order are no scope (SMART App Launch 2.2).
            ("system/*.sduc", vec!["system/Observation.cus", "system/Device.cus", "system/Patient.rs"]),
        ] {
            assert_eq!(missing(asked, granted), lacking, "{granted}");
        }
        assert_eq!(missing("fhir.write", "fhir.read openid"), ["fhir.write"]);
        assert!(missing("fhir.write", "openid fhir.write").is_empty());
    }

    proptest! {
        #[test]
        fn what_was_asked_for_is_enough_and_any_letter_less_is_not(drop in 0usize..17) {
            let asked = needed(&endpoint(), false);
            prop_assert!(missing(&asked, &asked).is_empty());
            // Takes one letter away from the granted scopes.
            let letters: Vec<usize> = asked.char_indices().filter(|(at, c)| {
                LETTERS.contains(*c) && asked[..*at].rsplit(' ').next().unwrap_or("").contains('.')
            }).map(|(at, _)| at).collect();
            prop_assert_eq!(letters.len(), 17);
            let mut granted = asked.clone();
            granted.remove(letters[drop]);
            prop_assert_eq!(missing(&asked, &granted).len(), 1, "{}", granted);
        }
    }
}
