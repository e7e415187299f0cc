//! What holds for every page: bad input loses nothing else, cutting changes nothing, digits survive, nothing panics.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ohx_domain::{Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapped, MappedObservation, Mapping, builtin};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

static MAPPING: LazyLock<Mapping> =
    LazyLock::new(|| Mapping::parse(builtin("withings", "getmeas").unwrap()).unwrap());

fn context() -> Context {
    let provider = "withings".parse().unwrap();
    let subject = "Patient/p1".parse().unwrap();
    let account = account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &subject);
    Context { identifier_base: "https://ohx.example/ns".into(), provider, account, subject, covers: None }
}

fn page(groups: &[Value]) -> Mapped {
    let page = json!({"status": 0, "body": {"timezone": "Europe/Berlin", "measuregrps": groups}});
    MAPPING.map(page.to_string().as_bytes(), &context()).unwrap()
}

/// A number, as the wire has it: plain, or in quotes.
fn number(number: impl Strategy<Value = i64>) -> impl Strategy<Value = Value> {
    (number, any::<bool>()).prop_map(|(n, quoted)| if quoted { json!(n.to_string()) } else { json!(n) })
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    let name = prop_oneof![
        3 => select(vec!["grpid", "attrib", "date", "modified", "category", "measures", "type", "value", "unit", "position", "deviceid", "body", "measuregrps", "timezone"]).prop_map(String::from),
        1 => "[a-z]{0,3}",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((name.clone(), inner), 0..8)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

/// A measure that is likely to be believed.
fn measure() -> impl Strategy<Value = Value> {
    let kind = select(vec![
        (1, 7000),
        (4, 175),
        (5, 5000),
        (8, 2000),
        (9, 8000),
        (10, 12000),
        (11, 6000),
        (12, 2000),
        (54, 9600),
        (71, 3660),
        (91, 720),
        (173, 4000),
    ]);
    let position = prop_oneof![6 => Just(None), 1 => Just(Some(7)), 1 => Just(Some(3))];
    (kind, number(-20_i64..20), any::<bool>(), position).prop_map(|((kind, middle), off, quoted, position)| {
        let off = off.as_i64().unwrap_or_default();
        let value = json!(middle + off);
        let mut measure = json!({"type": kind, "value": if quoted { json!(value.to_string()) } else { value }, "unit": -2});
        if let Some(position) = position {
            measure["position"] = json!(position);
        }
        measure
    })
}

fn group(ids: std::ops::Range<i64>) -> impl Strategy<Value = Value> {
    let attrib = select(vec![0, 0, 0, 1, 2, 4, 17]);
    let measures = prop::collection::vec(prop_oneof![9 => measure().boxed(), 1 => any_json().boxed()], 0..8);
    (number(ids), attrib, 1_500_000_000_i64..1_700_000_000, 0_i64..5, measures).prop_map(|(id, attrib, date, later, measures)| {
        json!({"grpid": id, "attrib": attrib, "date": date, "modified": date + later, "category": 1, "deviceid": "d1", "measures": measures})
    })
}

fn by_identity(observations: Vec<MappedObservation>) -> BTreeMap<String, (String, String)> {
    observations.into_iter().map(|o| (o.identifier.value, (o.digest, o.resource.get().to_owned()))).collect()
}

proptest! {
    #[test]
    fn garbage_in_one_measure_changes_no_other(garbage in any_json(), at in any::<Index>(), value in 100_i64..200) {
        // Each kind of reading once; blood pressure is made of two measures.
        let types = [1, 4, 5, 6, 8, 9, 10, 11, 54, 71, 76, 77, 88, 91];
        let unit = |t: &i64| match t { 4 | 54 => -2, 6 | 71 | 88 | 91 => -1, _ => 0 };
        let measures: Vec<Value> = types.iter().map(|t| {
            let value = match t { 54 => 9700, 71 => 366, 91 => 72, 88 => 28, _ => value };
            json!({"type": t, "value": value, "unit": unit(t)})
        }).collect();
        let group = |measures: &[Value]| json!({"grpid": 1, "date": 1_700_000_000, "attrib": 0, "measures": measures});
        let whole = by_identity(page(&[group(&measures)]).observations);
        prop_assert_eq!(whole.len(), 13);
        let hit = at.index(measures.len());
        let mut hurt = measures.clone();
        hurt[hit] = garbage;
        let left = by_identity(page(&[group(&hurt)]).observations);
        let lost = match types[hit] { 1 => "body-weight", 4 => "body-height", 5 => "fat-free-mass", 6 => "fat-ratio", 8 => "fat-mass", 9 | 10 => "blood-pressure", 11 => "heart-rate", 54 => "oxygen-saturation", 71 => "body-temperature", 76 => "muscle-mass", 77 => "body-water", 88 => "bone-mass", _ => "pulse-wave-velocity" };
        for (identity, reading) in &whole {
            if !identity.ends_with(lost) {
                prop_assert_eq!(left.get(identity), Some(reading), "{}", identity);
            }
        }
    }

    #[test]
    fn garbage_among_records_changes_no_other(groups in prop::collection::vec(group(1..1_000_000), 1..6), garbage in any_json(), at in any::<Index>()) {
        let whole = by_identity(page(&groups).observations);
        let mut hurt = groups.clone();
        hurt.insert(at.index(groups.len() + 1), garbage);
        let left = by_identity(page(&hurt).observations);
        prop_assert!(whole.iter().all(|(identity, reading)| left.get(identity) == Some(reading)));
    }

    #[test]
    fn the_pieces_of_a_page_map_to_what_the_page_maps_to(groups in prop::collection::vec(group(1..9), 0..8), cuts in prop::collection::vec(any::<Index>(), 0..4)) {
        let whole = page(&groups);
        let mut ends: Vec<usize> = cuts.iter().map(|c| c.index(groups.len() + 1)).collect();
        ends.extend([0, groups.len()]);
        ends.sort_unstable();
        let mut union: Vec<MappedObservation> = Vec::new();
        let mut skipped: BTreeMap<String, u64> = BTreeMap::new();
        let mut records = 0;
        for cut in ends.windows(2) {
            let piece = page(&groups[cut[0]..cut[1]]);
            records += piece.records;
            for (reason, count) in piece.skipped {
                *skipped.entry(reason).or_default() += count;
            }
            for observation in piece.observations {
                match union.iter_mut().find(|o| o.identifier == observation.identifier) {
                    Some(before) => {
                        *skipped.entry("repeated".into()).or_default() += 1;
                        if observation.issued > before.issued {
                            *before = observation;
                        }
                    }
                    None => union.push(observation),
                }
            }
        }
        prop_assert_eq!(records, whole.records);
        prop_assert_eq!(skipped, whole.skipped);
        prop_assert_eq!(by_identity(union), by_identity(whole.observations));
    }

    #[test]
    fn every_digit_arrives(mantissa in 1_000_000_i64..=70_000_000, unit in -6_i64..=-5, quoted in any::<bool>()) {
        let value = if quoted { json!(mantissa.to_string()) } else { json!(mantissa) };
        let mapped = page(&[json!({"grpid": 1, "date": 1, "measures": [{"type": 1, "value": value, "unit": unit}]})]);
        let (digits, scale) = (format!("{mantissa:08}"), usize::try_from(-unit).unwrap());
        let (before, after) = digits.split_at(digits.len() - scale);
        let before = if before.len() > 1 { before.trim_start_matches('0') } else { before };
        let before = if before.is_empty() { "0" } else { before };
        prop_assert_eq!(mapped.observations.len(), 1, "{:?}", mapped);
        let written = format!("\"value\":{before}.{after},");
        prop_assert!(mapped.observations[0].resource.get().contains(&written), "{}", written);
    }

    #[test]
    fn what_comes_out_says_of_itself_what_is_said_of_it(groups in prop::collection::vec(group(1..1_000_000), 0..4)) {
        for observation in page(&groups).observations {
            let resource: Value = serde_json::from_str(observation.resource.get()).unwrap();
            prop_assert_eq!(&resource["identifier"][0]["system"], &observation.identifier.system);
            prop_assert_eq!(&resource["identifier"][0]["value"], &observation.identifier.value);
            let taken: ohx_domain::Instant = resource["effectiveDateTime"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(taken, observation.taken);
            let issued: ohx_domain::Instant = resource["issued"].as_str().unwrap().parse().unwrap();
            prop_assert_eq!(Some(issued), observation.issued);
            prop_assert_eq!(observation.device.is_some(), resource.get("note").is_none());
        }
    }

    #[test]
    fn no_json_makes_it_panic(value in any_json()) {
        let _ = MAPPING.map(value.to_string().as_bytes(), &context());
        let _ = MAPPING.map(json!({"body": {"measuregrps": value, "timezone": value}}).to_string().as_bytes(), &context());
        let _ = page(std::slice::from_ref(&value));
        let _ = page(&[json!({"grpid": 1, "date": 1_700_000_000, "measures": value, "deviceid": value, "attrib": value})]);
        let measure = json!({"type": 1, "value": value, "unit": value, "position": value});
        let _ = page(&[json!({"grpid": value, "date": 1_700_000_000, "measures": [measure]})]);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), at in any::<Index>(), group in group(1..9)) {
        let _ = MAPPING.map(&bytes, &context());
        let mut page = json!({"body": {"measuregrps": [group]}}).to_string().into_bytes();
        let at = at.index(page.len());
        page.splice(at..(at + bytes.len() / 20).min(page.len()), bytes.iter().take(10).copied());
        let _ = MAPPING.map(&page, &context());
    }
}
