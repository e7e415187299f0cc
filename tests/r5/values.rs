//! What is mapped, held against a table that was written by hand after the sheets of the providers (Withings section 14,
//! Fitbit part C, FHIR section 1.3): code, unit, category, profile, status, and decimals to the last digit.

mod codes;
mod decimals;

use std::collections::{BTreeMap, BTreeSet};

use codes::{CODES, Code, Place};
use decimals::DECIMALS;

use crate::json::Json;
use crate::outputs::{BASE, OUTPUTS, Output};

const LOINC: &str = "http://loinc.org";

/// The codes of a concept: LOINC's, and our own of what is measured. Others say the same in a provider's own words.
fn codes_of(coded: &Json) -> Vec<String> {
    let own = format!("{BASE}/CodeSystem/measure");
    let known = |coding: &&Json| {
        let system = coding.text_of("system").unwrap();
        system == LOINC || system == own
    };
    let codings = coded.at("code.coding").into_iter().filter(known);
    codings.map(|coding| coding.text_of("code").unwrap().to_owned()).collect()
}

/// The unit of a value, samples among them; `-` where it is no number.
fn unit_of(coded: &Json) -> &str {
    let value = coded.get("valueQuantity").or_else(|| coded.get("valueSampledData")?.get("origin"));
    let range = || coded.get("valueRange").and_then(|range| range.get("low"));
    value.or_else(range).and_then(|value| value.text_of("code")).unwrap_or("-")
}

fn row(code: &str) -> Option<&'static Code> {
    CODES.iter().find(|row| row.code == code)
}

#[test]
fn every_code_has_the_unit_the_category_and_the_profile_of_the_table() {
    let (mut wrong, mut met) = (BTreeSet::new(), BTreeSet::new());
    for output in &OUTPUTS.0 {
        let category = output.json.at("category.coding.code");
        let [category] = category[..] else { panic!("{}: {category:?}", output.from) };
        let profiles: Vec<&str> = output.json.at("meta.profile").iter().filter_map(|p| p.text()).collect();
        let parts = output.json.at("component").into_iter().map(|part| (part, None));
        for (coded, category) in std::iter::once((&output.json, category.text())).chain(parts) {
            for code in codes_of(coded) {
                let mut problem = |what: String| wrong.insert(format!("{}: {code}: {what}", output.kind));
                let Some(row) = row(&code) else {
                    problem("is not in the table".to_owned());
                    continue;
                };
                met.insert(row.code);
                // What has no value has no unit: it is absent, or only its parts have come.
                if coded.has_value() && unit_of(coded) != row.unit {
                    problem(format!("in {}, not in {}", unit_of(coded), row.unit));
                }
                match (category, row.place) {
                    (None, Place::Part | Place::Both(_)) => {}
                    (Some(is), Place::Whole(should) | Place::Both(should)) if is == should => {}
                    (is, _) => {
                        problem(format!("stands as {is:?}"));
                    }
                }
                if category.is_none() {
                    continue;
                }
                // What is sampled many times within an hour claims no profile of one value.
                let sampled = output.json.get("valueSampledData").is_some();
                let claimed: Vec<&str> = profiles
                    .iter()
                    .filter_map(|p| p.strip_prefix("http://hl7.org/fhir/StructureDefinition/"))
                    .collect();
                let expected: Vec<&str> = row.profile.into_iter().filter(|_| !sampled).collect();
                if claimed != expected {
                    problem(format!("claims {claimed:?}, not {expected:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.into_iter().collect::<Vec<_>>().join("\n"));
    let never: Vec<&str> = CODES.iter().map(|row| row.code).filter(|code| !met.contains(code)).collect();
    assert_eq!(never, Vec::<&str>::new(), "of the table, and never mapped");
}

#[test]
fn every_observation_has_a_code_of_the_table_and_is_final() {
    for output in &OUTPUTS.0 {
        assert!(!codes_of(&output.json).is_empty(), "{}: {}", output.from, output.kind);
        // A night that may still grow, and a value that the device calls an early estimate.
        let early = output.record.starts_with("sleep") || output.from.contains("early estimate");
        let status = output.json.text_of("status");
        assert!(status == Some("final") || (early && status == Some("preliminary")), "{}", output.from);
    }
    let count = OUTPUTS.0.iter().filter(|output| output.json.text_of("status") == Some("final")).count();
    assert!(count * 20 > OUTPUTS.0.len() * 19, "{count} of {} are final", OUTPUTS.0.len());
}

#[test]
fn the_table_has_each_code_once() {
    let codes: BTreeSet<&str> = CODES.iter().map(|row| row.code).collect();
    assert_eq!(codes.len(), CODES.len());
}

/// The number that stands behind a code, as text.
fn decimal<'a>(coded: &'a Json, code: &str) -> Option<&'a str> {
    let value = coded.get("valueQuantity").filter(|_| codes_of(coded).iter().any(|c| c == code))?;
    match value.get("value")? {
        Json::Number(text) => Some(text),
        _ => None,
    }
}

#[test]
fn every_decimal_of_the_table_arrives_to_the_last_digit() {
    let mut missing = Vec::new();
    for (from, kind, code, wanted) in DECIMALS {
        let of = |output: &&Output| output.from.starts_with(from) && output.kind == *kind;
        let coded = OUTPUTS
            .0
            .iter()
            .filter(of)
            .flat_map(|output| std::iter::once(&output.json).chain(output.json.at("component")));
        let found: BTreeSet<&str> = coded.filter_map(|coded| decimal(coded, code)).collect();
        if !found.contains(wanted) {
            missing.push(format!("{from}: {kind}: {code}: {wanted} is not among {found:?}"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
    // Every code with a number has one decimal in the table, at least.
    let with: BTreeSet<&str> = DECIMALS.iter().map(|(_, _, code, _)| *code).collect();
    let unseen: Vec<&str> = CODES
        .iter()
        .filter(|row| row.place != Place::Part && row.unit != "-" && !row.sampled && !with.contains(row.code))
        .map(|row| row.code)
        .collect();
    assert_eq!(unseen, Vec::<&str>::new(), "codes without a decimal");
}

/// Kinds that are easily taken for each other, and the code that each has: none has another's.
#[test]
fn what_is_alike_shares_no_code() {
    let families: [&[(&[&str], &str)]; 4] = [
        &[
            (&["body-temperature"], "8310-5"),
            (&["skin-temperature"], "61008-9"),
            (&["skin-temperature-deviation"], "skin-temperature-deviation"),
            (&["core-temperature-estimate"], "core-temperature-estimate"),
        ],
        &[
            (&["hrv-sdnn", "sleep-hrv-sdnn-samples"], "112429-6"),
            (&["hrv-rmssd", "hrv-rmssd-day", "sleep-hrv-rmssd-samples"], "hrv-rmssd"),
            (&["sleep-hrv-rmssd"], "sleep-hrv-rmssd"),
        ],
        &[
            (&["heart-rate", "sleep-heart-rate-samples"], "8867-4"),
            (&["resting-heart-rate"], "40443-4"),
            (&["heart-rate-day"], "heart-rate-day"),
            (&["sleep-heart-rate"], "sleep-heart-rate"),
        ],
        &[(&["steps-day"], "41950-7"), (&["steps"], "55423-8")],
    ];
    for family in families {
        let mut seen: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for output in &OUTPUTS.0 {
            if let Some((_, code)) = family.iter().find(|(kinds, _)| kinds.contains(&output.kind.as_str())) {
                seen.entry(*code).or_default().extend(codes_of(&output.json));
            }
        }
        for (_, code) in family {
            let own = BTreeSet::from([(*code).to_owned()]);
            assert_eq!(seen.get(code), Some(&own), "{code}");
        }
    }
}

/// The temperature of a room, which scales send, is no reading of a patient.
#[test]
fn the_temperature_of_a_room_is_left_out() {
    let source = crate::outputs::SOURCES.iter().find(|s| (s.provider, s.record) == ("withings", "getmeas"));
    let page = |kind: u32| {
        format!(
            r#"{{"status":0,"body":{{"timezone":"Europe/Vienna","measuregrps":[{{"grpid":1,"attrib":0,"date":1791000000,"created":1791000000,"category":1,"measures":[{{"type":{kind},"value":215,"unit":-1}}]}}]}}}}"#
        )
    };
    let observations = |kind: u32| source.unwrap().map(&page(kind)).unwrap().observations;
    assert_eq!(observations(12).len(), 0, "a room");
    // The same value in the place of each of the two others is one reading: the page is not to blame.
    let kind = |kind: u32| observations(kind).iter().map(|o| o.kind.to_string()).collect::<Vec<_>>();
    assert_eq!(kind(71), ["body-temperature"]);
    assert_eq!(kind(73), ["skin-temperature"]);
    let identity = |kind: u32| observations(kind)[0].identifier.value.clone();
    assert_ne!(identity(71), identity(73));
}

/// What a patient typed in is told from what a device has measured, and neither takes the other's place.
#[test]
fn what_is_typed_in_names_no_device_and_has_an_identity_of_its_own() {
    let manual = |output: &Output| {
        let notes = output.json.at("note.text");
        notes.iter().any(|note| note.text().is_some_and(|text| text.starts_with("Self-reported")))
    };
    let (typed, measured): (Vec<&Output>, Vec<&Output>) = OUTPUTS.0.iter().partition(|output| manual(output));
    assert!(typed.len() >= 5, "{}", typed.len());
    for output in &typed {
        assert!(output.mapped.device.is_none() && output.json.get("device").is_none(), "{}", output.from);
    }
    let identity =
        |output: &&Output| (output.mapped.identifier.system.clone(), output.mapped.identifier.value.clone());
    let typed: BTreeSet<_> = typed.iter().map(identity).collect();
    assert!(measured.iter().map(identity).all(|identity| !typed.contains(&identity)));
    // One identity never stands for two kinds of reading.
    let mut kinds: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for output in &OUTPUTS.0 {
        kinds.entry(identity(&output)).or_default().insert(&output.kind);
    }
    kinds.retain(|_, kinds| kinds.len() > 1);
    assert!(kinds.is_empty(), "{kinds:#?}");
}
