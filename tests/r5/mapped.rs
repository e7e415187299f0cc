//! Every Observation and Device that comes out of the built-in documents, held against the specification.

use std::collections::{BTreeMap, BTreeSet};

use ohx_domain::FhirVersion;

use crate::codes::{self, VITAL_SIGNS, units_of};
use crate::definitions::structure;
use crate::invariants::LEFT_OUT;
use crate::json::Json;
use crate::outputs::{BASE, OUTPUTS, SOURCES};
use crate::{schema, validate};

/// Everything that is wrong with a resource that we write.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let resource = match Json::parse(text) {
        Ok(resource) => resource,
        Err(error) => return vec![error],
    };
    let vital = resource.at("category.coding.code").iter().any(|c| c.text() == Some("vital-signs"));
    let mut profiles: Vec<&str> = codes::vital_signs(&resource).map(|(_, profile, _)| *profile).collect();
    profiles.extend(vital.then_some("vitalsigns"));
    let mut found = validate::problems(text, &profiles);
    found.extend(codes::problems(&resource, BASE));
    for profile in resource.at("meta.profile") {
        if profile.text().and_then(|p| structure(FhirVersion::R5, p)).is_none() {
            found.push(format!("the profile {profile:?} is not of the specification"));
        }
    }
    resource.objects(&mut |object| {
        let unchecked = LEFT_OUT.iter().filter(|(_, member)| object.has(member));
        found.extend(unchecked.map(|(key, member)| format!("{member}: {key} is not looked at")));
    });
    found
}

#[test]
fn every_observation_is_valid() {
    let mut wrong = Vec::new();
    for output in &OUTPUTS.0 {
        for problem in problems(output.text()).into_iter().chain(schema::problems(output.text())) {
            wrong.push(format!("{} ({}): {problem}", output.from, output.kind));
        }
        let identifier = &output.mapped.identifier;
        assert_eq!(output.json.at("identifier.system")[0].text(), Some(identifier.system.as_str()));
        assert_eq!(output.json.at("identifier.value")[0].text(), Some(identifier.value.as_str()));
        assert_eq!(output.json.text_of("resourceType"), Some("Observation"));
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_device_is_valid() {
    assert!(OUTPUTS.1.len() > 3);
    for device in &OUTPUTS.1 {
        assert_eq!(problems(device.resource.get()), Vec::<String>::new());
        assert_eq!(schema::problems(device.resource.get()), Vec::<String>::new());
    }
}

/// Otherwise nothing above has looked at it.
#[test]
fn every_kind_of_every_document_comes_out_of_some_page() {
    let mut missing = Vec::new();
    for source in SOURCES.iter() {
        let came: BTreeSet<&str> =
            OUTPUTS.0.iter().filter(|o| o.record == source.record).map(|o| o.kind.as_str()).collect();
        let never = source.mapping.kinds().filter(|kind| !came.contains(kind));
        missing.extend(never.map(|kind| format!("{}: {kind}", source.mapping.name())));
    }
    assert!(missing.is_empty(), "no example and no fixture has: {}", missing.join(", "));
}

#[test]
fn one_page_yields_no_identifier_twice() {
    for source in SOURCES.iter() {
        for (from, page) in &source.pages {
            let mut seen = BTreeSet::new();
            for observation in source.map(page).unwrap().observations {
                let value = observation.identifier.value;
                assert!(seen.insert(value.clone()), "{from}: {value}");
            }
        }
    }
}

#[test]
fn every_unit_of_every_document_is_of_ucum() {
    let named = |n: usize| {
        units_of(&SOURCES[n].document).into_iter().map(move |unit| (SOURCES[n].mapping.name(), unit))
    };
    let units: Vec<_> = (0..SOURCES.len()).flat_map(named).collect();
    assert!(units.len() > 10);
    for (document, unit) in units {
        assert!(ucum::validate(&unit).is_ok(), "{document}: {unit}");
    }
}

/// What is published of our own code systems is R5, and has every code of ours that is written.
#[test]
fn every_code_of_our_own_is_published() {
    let systems = ohx_mapping::code_systems(SOURCES.iter().map(|s| &s.mapping), BASE).unwrap();
    let published: Vec<Json> = systems.iter().map(|s| Json::parse(&s.json).unwrap()).collect();
    for system in &systems {
        assert_eq!(validate::problems(&system.json, &[]), Vec::<String>::new(), "{}", system.name);
        assert_eq!(schema::problems(&system.json), Vec::<String>::new(), "{}", system.name);
    }
    let mut missing = BTreeSet::new();
    let mut met = BTreeSet::new();
    for output in &OUTPUTS.0 {
        output.json.objects(&mut |object| {
            for coding in object.at("coding") {
                let (system, code) = (coding.text_of("system").unwrap(), coding.text_of("code").unwrap());
                if system.starts_with(BASE) {
                    let own = published.iter().filter(|s| s.text_of("url") == Some(system));
                    let count =
                        own.flat_map(|s| s.at("concept.code")).filter(|c| c.text() == Some(code)).count();
                    if count == 1 {
                        met.insert((system, code))
                    } else {
                        missing.insert((system, code))
                    };
                }
            }
        });
    }
    assert!(missing.is_empty(), "{missing:?}");
    assert!(met.len() > 50, "{}", met.len());
}

/// A code of our own means one thing, so it has one unit wherever it is written.
#[test]
fn a_code_of_our_own_has_one_unit() {
    let mut units: BTreeMap<String, BTreeMap<String, &str>> = BTreeMap::new();
    for output in &OUTPUTS.0 {
        for coded in std::iter::once(&output.json).chain(output.json.at("component")) {
            let value = coded.get("valueQuantity").or_else(|| coded.get("valueSampledData")?.get("origin"));
            let Some(unit) = value.and_then(|v| v.text_of("code")) else { continue };
            for coding in coded.at("code.coding") {
                let (system, code) = (coding.text_of("system").unwrap(), coding.text_of("code").unwrap());
                if let Some(own) = system.strip_prefix(BASE) {
                    units
                        .entry(format!("{own}#{code}"))
                        .or_default()
                        .entry(unit.to_owned())
                        .or_insert(&output.kind);
                }
            }
        }
    }
    assert!(units.len() > 30, "{}", units.len());
    units.retain(|_, units| units.len() > 1);
    assert!(units.is_empty(), "{units:#?}");
}

/// The units of our table are those of the official profiles: each is allowed, and no other is.
#[test]
fn the_profiles_allow_the_units_of_the_table_and_no_others() {
    let every =
        ["/min", "Cel", "[degF]", "cm", "m", "[in_i]", "kg", "g", "[lb_av]", "kg/m2", "%", "K", "/s", "1"];
    for (code, profile, units) in VITAL_SIGNS.iter().filter(|(_, _, units)| !units.is_empty()) {
        for unit in every {
            let vital = crate::mutations::vital(profile, code, "50", unit).to_string();
            let found = validate::problems(&vital, &[]);
            assert_eq!(found.is_empty(), units.contains(&unit), "{profile} in {unit}: {found:?}");
        }
    }
}
