//! From a file or a push through the mapping: what reaches the EHR, and that it is the same each time.

use std::collections::BTreeSet;

use ohx_domain::Instant;
use ohx_mapping::{Mapped, Mapping};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::csv::{DateOrder, Options};
use super::{RecordParts, csv, push};

fn now() -> Instant {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn options() -> Options {
    Options {
        zone: "Europe/Berlin".into(),
        date_order: Some(DateOrder::Dmy),
        accept_counts: false,
        now: now(),
    }
}

fn mapping(record: &str) -> Mapping {
    Mapping::parse(ohx_mapping::builtin(super::KIND, record).unwrap()).unwrap()
}

/// Everything that comes of a record's parts.
fn mapped(record: &RecordParts) -> Vec<Mapped> {
    let mapping = mapping(record.kind.as_str());
    let context = mapping.example_context().unwrap();
    record.parts.iter().map(|p| mapping.map(p.text.reveal().get().as_bytes(), &context).unwrap()).collect()
}

fn observations(records: &[RecordParts]) -> Vec<(String, Value)> {
    let all = records.iter().flat_map(mapped).flat_map(|m| m.observations);
    all.map(|o| (o.identifier.value, serde_json::from_str(o.resource.get()).unwrap())).collect()
}

fn ids(records: &[RecordParts]) -> BTreeSet<String> {
    observations(records).into_iter().map(|(id, _)| id).collect()
}

const FILE: &str = "\
Blutdruck
Datum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell hinzugefügt
04.10.2026;07:41;128;82;67;97;0
05.10.2026;07:39;131;84;70;100;1

Gewicht
Datum;Uhrzeit;kg;BMI;Körperfett;Wasser;Muskeln;Knochen
04.10.2026;07:45;81,40;28,8;31,2;49,6;36,0;2,9

Temperatur
Datum;Uhrzeit;°C
04.10.2026;07:46;36,9
04.10.2026;07:47;21,5

Blutzucker
Datum;Uhrzeit;mg/dL;mmol/L
04.10.2026;07:48;105;

Pulsoxymeter
Datum;Startzeit;Endzeit;Dauer;SpO2 (Min);SpO2 (Max);SpO2 (Durchschnitt);bpm
04.10.2026;23:50;00:10;00:20:00;93;99;97;61
";

#[test]
fn a_file_becomes_observations() {
    let export = csv::read(FILE.as_bytes(), &options()).unwrap();
    let observations = observations(&export.records);
    let texts: Vec<&str> = observations.iter().map(|(_, o)| o["code"]["text"].as_str().unwrap()).collect();
    assert_eq!(
        texts,
        [
            "Blood pressure",
            "Heart rate",
            "Blood pressure",
            "Heart rate",
            "Body weight",
            "Body mass index",
            "Body fat percentage",
            "Body water percentage",
            "Muscle percentage",
            "Body bone mass",
            "Body temperature",
            "Glucose in blood",
            "Oxygen saturation",
            "Heart rate",
        ]
    );
    let noted: Vec<usize> =
        (0..observations.len()).filter(|n| observations[*n].1.get("note").is_some()).collect();
    assert_eq!(noted, [2, 3], "those that were typed in");
    let skipped: Vec<_> = export.records.iter().flat_map(mapped).flat_map(|m| m.skipped).collect();
    assert_eq!(skipped, [("out-of-range".to_owned(), 1)], "the room's temperature");
    let none_has_a_device =
        export.records.iter().flat_map(mapped).flat_map(|m| m.observations).all(|o| o.device.is_none());
    assert!(none_has_a_device, "a file does not say");
    assert_eq!(ids(&export.records).len(), observations.len());
}

#[test]
fn a_file_read_again_or_in_another_zone_or_language_has_the_same_identities() {
    let first = ids(&csv::read(FILE.as_bytes(), &options()).unwrap().records);
    assert_eq!(ids(&csv::read(FILE.as_bytes(), &options()).unwrap().records), first);
    let zone = Options { zone: "Asia/Tokyo".into(), ..options() };
    assert_eq!(
        ids(&csv::read(FILE.as_bytes(), &zone).unwrap().records),
        first,
        "identity is the wall clock's"
    );
    let english =
        FILE.replace("Blutdruck", "Blood pressure").replace("Uhrzeit", "Time").replace("Datum", "Date");
    let english =
        english.replace("Puls;MAD;Manuell hinzugefügt", "Pulse;MAP;Added manually").replace("81,40", "81.40");
    let english =
        english.replace(",8;", ".8;").replace("04.10.2026", "04/10/2026").replace("05.10.2026", "05/10/2026");
    let english =
        english.replace("31,2", "31.2").replace("49,6", "49.6").replace("36,0", "36.0").replace("2,9", "2.9");
    let english = english.replace("36,9", "36.9").replace("21,5", "21.5");
    assert_eq!(ids(&csv::read(english.as_bytes(), &options()).unwrap().records), first);
    // Another value or minute is another reading.
    for (from, to) in [("128;82", "129;82"), ("07:41", "07:40"), ("81,40", "81,45")] {
        let other = ids(&csv::read(FILE.replace(from, to).as_bytes(), &options()).unwrap().records);
        assert!(other != first && other.len() == first.len(), "{from}");
    }
}

#[test]
fn what_a_gateway_sends_again_has_the_same_identity_and_is_no_files_reading() {
    let body = |effective: &str, id: Option<&str>, systolic: u32, zone: Option<&str>| {
        json!({"device": {"id": "B0-49-5F-00-10-71", "model": "BM54"}, "zone": zone, "readings": [
            {"type": "blood-pressure", "effective": effective, "id": id,
             "values": {"systolic": {"value": systolic, "unit": "mmHg"}, "diastolic": {"value": 82, "unit": "mmHg"}}}]})
    };
    let ids = |body: &Value| ids(&push::read(body.to_string().as_bytes(), now()).unwrap().records);
    let first = ids(&body("2026-10-04T07:41:00+02:00", None, 128, None));
    assert_eq!(ids(&body("2026-10-04T05:41:00Z", None, 128, None)), first, "the same instant");
    assert_eq!(ids(&body("2026-10-04T05:41:00Z", None, 128, Some("Asia/Tokyo"))), first);
    assert_ne!(ids(&body("2026-10-04T07:41:00+02:00", None, 129, None)), first);
    // With an id of the gateway a corrected value finds the reading.
    let named = ids(&body("2026-10-04T07:41:00+02:00", Some("17"), 128, None));
    assert_eq!(ids(&body("2026-10-04T07:41:00+02:00", Some("17"), 129, None)), named);
    assert_ne!(
        ids(&body("2026-10-04T07:42:00+02:00", Some("17"), 128, None)),
        named,
        "a number that is used again"
    );
    let file = "Blutdruck\nDatum;Uhrzeit;Sys;Dia\n04.10.2026;07:41;128;82\n";
    let file = self::ids(&csv::read(file.as_bytes(), &options()).unwrap().records);
    assert!(file.is_disjoint(&first), "told apart by origin");
}

#[test]
fn raw_characteristics_become_observations() {
    let body = json!({"device": {"id": "B0-49-5F-00-10-71", "model": "BM54"}, "readings": [
        {"characteristic": "2A35", "hex": "1E 80 00 52 00 61 00 EA 07 0A 04 07 29 00 43 00 01 00 00", "received": "2026-10-04T07:42:10+02:00"},
        {"characteristic": "2A35", "hex": "01 AB F0 6D F0 FF 07", "received": "2026-10-04T07:43:00+02:00"},
        {"characteristic": "2A9C", "hex": "00 00 38 01", "received": "2026-10-04T07:42:10+02:00"},
        {"characteristic": "2A1C", "hex": "01 DA 03 00 FF", "received": "2026-10-04T07:42:10+02:00"},
        {"characteristic": "2A18", "hex": "02 07 00 EA 07 0A 04 07 29 00 69 B0 11", "context": "42 07 00 03 3D F0", "received": "2026-10-04T07:42:10+02:00"},
        {"characteristic": "2A5F", "hex": "00 61 00 3C 00", "received": "2026-10-04T07:42:10+02:00"}]});
    let push = push::read(body.to_string().as_bytes(), now()).unwrap();
    assert_eq!(push.accepted(), 6, "{:?}", push.readings);
    let all: Vec<(String, String)> = observations(&push.records)
        .into_iter()
        .map(|(_, o)| {
            let value = o.get("valueQuantity").or_else(|| o["component"][0].get("valueQuantity")).unwrap();
            (
                o["code"]["text"].as_str().unwrap().to_owned(),
                format!("{} {}", value["value"], value["code"].as_str().unwrap()),
            )
        })
        .collect();
    let all: Vec<(&str, &str)> = all.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    assert_eq!(
        all,
        [
            ("Blood pressure", "128 mm[Hg]"),
            ("Heart rate", "67 /min"),
            ("Blood pressure", "128.3 mm[Hg]"),
            ("Body fat percentage", "31.2 %"),
            ("Body temperature", "37.0 Cel"),
            ("Glucose in capillary blood", "105 mg/dL"),
            ("HbA1c", "6.1 %"),
            ("Oxygen saturation", "97 %"),
            ("Heart rate", "60 /min"),
        ]
    );
    let skipped: Vec<_> = push.records.iter().flat_map(mapped).flat_map(|m| m.skipped).collect();
    assert_eq!(skipped, []);
    let devices =
        push.records.iter().flat_map(mapped).flat_map(|m| m.observations).map(|o| o.device.unwrap());
    assert!(devices.into_iter().all(|d| d.id == "B0-49-5F-00-10-71" && d.model.as_deref() == Some("BM54")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Weekly exports of "last month" overlap: together they hold each reading once.
    #[test]
    fn overlapping_files_double_nothing(days in prop::collection::btree_set(1_u8..=30, 1..20), first in 1_u8..20, length in 1_u8..20) {
        let file = |from: u8, until: u8| {
            let mut file = String::from("Blutdruck\nDatum;Uhrzeit;Sys;Dia;Puls\n");
            for day in days.iter().filter(|d| (from..=until).contains(d)) {
                file.push_str(&format!("{day:02}.10.2026;07:41;{};82;67\n", 100 + u32::from(*day)));
            }
            ids(&csv::read(file.as_bytes(), &options()).unwrap().records)
        };
        let (whole, a, b) = (file(1, 30), file(1, first + length), file(first, 30));
        prop_assert_eq!(&a | &b, whole.clone());
        prop_assert_eq!(whole.len(), days.len() * 2);
    }
}
