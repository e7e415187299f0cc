use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn now() -> Instant {
    "2026-11-21T10:00:00Z".parse().unwrap()
}

fn push(body: &Value) -> Result<Push, PushError> {
    read(body.to_string().as_bytes(), now())
}

fn with(readings: &Value) -> Push {
    push(&json!({"device": {"id": "b0:49:5f:00:10:71", "model": "BM54", "manufacturer": "Beurer"}, "readings": readings}))
        .unwrap()
}

fn texts(push: &Push) -> Vec<String> {
    push.records.iter().flat_map(|r| &r.parts).map(|p| p.text.reveal().get().to_owned()).collect()
}

fn codes(push: &Push) -> Vec<&'static str> {
    let code = |o: &Outcome| match o {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Refused { code, .. } => code,
    };
    push.readings.iter().map(code).collect()
}

fn decoded() -> Value {
    json!({"type": "blood-pressure", "effective": "2026-10-04T07:41:00+02:00", "id": "17", "user": 1,
           "values": {"systolic": {"value": 128, "unit": "mmHg"}, "diastolic": {"value": 82, "unit": "mmHg"}}})
}

fn raw() -> Value {
    json!({"characteristic": "2A35", "hex": "1E 80 00 52 00 61 00 EA 07 0A 04 07 29 00 43 00 01 00 00",
           "received": "2026-10-04T07:42:10+02:00"})
}

#[test]
fn decoded_and_raw_readings_take_the_same_shape() {
    let push = with(&json!([decoded(), raw()]));
    assert_eq!(push.device, "B0-49-5F-00-10-71");
    assert_eq!(push.accepted(), 2);
    assert_eq!(push.readings[1], Outcome::Accepted { index: 1, record: Kind::BloodPressure, user: Some(1) });
    assert_eq!(
        texts(&push),
        [concat!(
            r#"{"origin":"gateway","device":{"id":"B0-49-5F-00-10-71","model":"BM54","manufacturer":"Beurer"},"readings":["#,
            r#"{"at":"2026-10-04T07:41:00+02:00","utc":"2026-10-04T05:41:00Z","zone":"Etc/GMT-2","systolic":128,"#,
            r#""diastolic":82,"pressure_unit":"mmHg","id":"17"},"#,
            r#"{"at":"2026-10-04T07:41:00+02:00","local":"2026-10-04T07:41:00","zone":"Etc/GMT-2","systolic":128,"#,
            r#""diastolic":82,"mean":97,"pulse":67,"pressure_unit":"mmHg","body_movement":"not-detected","#,
            r#""loose_cuff":"not-detected","irregular_pulse":"not-detected","improper_position":"not-detected"}]}"#
        )]
    );
}

#[test]
fn numbers_keep_their_digits_and_values_their_order() {
    let body = r#"{"device": {"id": "B0495F001071"}, "zone": "Europe/Berlin", "readings": [
        {"type": "weight", "effective": "2026-10-04T05:45:00Z", "values": {"fat_percent": {"unit": "%", "value": 31.20},
         "weight": {"value": 81.40, "unit": "kg"}}},
        {"type": "glucose", "effective": "2026-10-04T05:45:00.5Z", "values": {"glucose": {"value": 5.80, "unit": "mmol/L"}}},
        {"type": "temperature", "effective": "2026-10-04T05:45:00Z", "values": {"temperature": {"value": 98.60, "unit": "F"}}},
        {"type": "oxygen-saturation", "effective": "2026-10-04T05:45:00Z", "values": {"spo2": {"value": 97, "unit": "%"},
         "pulse": {"value": 60, "unit": "bpm"}}}]}"#;
    let push = read(body.as_bytes(), now()).unwrap();
    assert_eq!(codes(&push), ["accepted"; 4]);
    let all = texts(&push).join("\n");
    for wanted in [
        r#""at":"2026-10-04T07:45:00+02:00","utc":"2026-10-04T05:45:00Z","weight":81.40,"fat_percent":31.20,"mass_unit":"kg""#,
        r#""at":"2026-10-04T07:45:00.5+02:00","utc":"2026-10-04T05:45:00.5Z","glucose_mmol_l":5.80}"#,
        r#""temperature":98.60,"temperature_unit":"degF""#,
        r#""spo2":97,"pulse":60}"#,
        r#""zone":"Europe/Berlin","readings""#,
    ] {
        assert!(all.contains(wanted), "{all}\n{wanted}");
    }
}

#[test]
fn a_bad_reading_blocks_no_other_and_is_named() {
    let change = |mut reading: Value, path: &str, value: Value| {
        let (parent, name) = path.rsplit_once('/').unwrap();
        reading.pointer_mut(parent).unwrap()[name] = value;
        reading
    };
    let decoded = |path: &str, value: Value| change(self::decoded(), path, value);
    let raw = |path: &str, value: Value| change(self::raw(), path, value);
    let timeless = "00 80 00 52 00 61 00";
    let cases = [
        (json!(5), "not-an-object"),
        (json!({}), "missing-field"),
        (decoded("/typ", json!(1)), "unknown-field"),
        (decoded("/type", json!("pulse")), "invalid-field"),
        (decoded("/effective", json!("2026-10-04T07:41:00")), "invalid-field"),
        (decoded("/effective", json!("2026-10-04")), "invalid-field"),
        (decoded("/effective", json!("2026-11-21T10:11:00Z")), "future"),
        (decoded("/effective", Value::Null), "missing-field"),
        (decoded("/id", json!("a b")), "invalid-field"),
        (decoded("/user", json!(-1)), "invalid-field"),
        (decoded("/values", json!([])), "invalid-field"),
        (decoded("/values/systolic", Value::Null), "missing-field"),
        (decoded("/values/spo2", json!({"value": 97, "unit": "%"})), "unknown-field"),
        (decoded("/values/systolic/value", json!("128")), "invalid-field"),
        (decoded("/values/systolic/value", json!({"n": 1})), "invalid-field"),
        (decoded("/values/systolic/unit", json!("Pa")), "unknown-unit"),
        (decoded("/values/systolic/unit", json!("kPa")), "several-units"),
        (decoded("/values/systolic/by", json!(1)), "unknown-field"),
        (decoded("/received", json!("2026-10-04T07:41:00Z")), "unknown-field"),
        (json!({"type": "weight", "effective": "2026-10-04T07:41:00Z", "values": {}}), "missing-field"),
        (raw("/characteristic", json!("2A37")), "invalid-field"),
        (raw("/hex", json!("1E8")), "invalid-field"),
        (raw("/hex", json!("zz")), "invalid-field"),
        (raw("/hex", json!("")), "invalid-field"),
        (raw("/hex", json!("00".repeat(513))), "too-long"),
        (raw("/hex", json!("00".repeat(5000))), "invalid-field"),
        (raw("/hex", json!("1E")), "too-short"),
        (raw("/context", json!("00")), "no-context"),
        (raw("/received", json!("2026-10-04T05:42:10Z")), "no-zone"),
        (raw("/received", Value::Null), "no-zone"),
        (raw("/effective", json!("2026-10-04T07:41:00Z")), "unknown-field"),
        (json!({"characteristic": "2A35", "hex": timeless}), "no-time"),
        (
            json!({"characteristic": "2A35", "hex": "02 80 00 52 00 61 00 EA 07 0C 04 07 29 00",
                "received": "2026-10-04T07:42:10+02:00"}),
            "future",
        ),
        (json!({"characteristic": "2A35", "hex": timeless, "received": "2026-10-04T05:42:10Z"}), "accepted"),
    ];
    for (reading, expected) in cases {
        let push = with(&json!([self::decoded(), reading, self::raw()]));
        assert_eq!(codes(&push), ["accepted", expected, "accepted"], "{reading}");
        if let Outcome::Refused { index, problem, .. } = &push.readings[1] {
            assert_eq!(*index, 1);
            assert!(!problem.contains("128") && problem.len() > 10, "{problem}");
        }
        let taken: u64 = push.records.iter().map(|r| r.readings).sum();
        assert_eq!(taken, u64::try_from(push.accepted()).unwrap());
    }
    let twice = r#"{"device": {"id": "B0495F001071"}, "readings": [{"type": "weight", "type": "weight"}]}"#;
    assert_eq!(codes(&read(twice.as_bytes(), now()).unwrap()), ["not-an-object"]);
}

#[test]
fn a_body_that_is_not_of_the_contract_is_refused_with_a_reason() {
    let device = json!({"id": "B0495F001071"});
    for (body, expected) in [
        (json!([]), "not-json"),
        (json!({"readings": []}), "missing-field"),
        (json!({"device": device}), "missing-field"),
        (json!({"device": device, "readings": {}}), "invalid-field"),
        (json!({"device": device, "readings": [], "patient": "p1"}), "unknown-field"),
        (json!({"device": {"id": "B0495F001071", "serial": "1"}, "readings": []}), "unknown-field"),
        (json!({"device": {"id": "my cuff"}, "readings": []}), "invalid-field"),
        (json!({"device": {"id": "B0-49:5F-00-10-71"}, "readings": []}), "invalid-field"),
        (json!({"device": {"id": "B0495F001071", "model": ""}, "readings": []}), "invalid-field"),
        (json!({"device": {"id": "B0495F001071", "model": "a\nb"}, "readings": []}), "invalid-field"),
        (json!({"device": device, "zone": "Mars/Olympus", "readings": []}), "unknown-zone"),
        (json!({"device": device, "zone": 2, "readings": []}), "unknown-zone"),
        (json!({"device": device, "readings": vec![0; MAX_READINGS + 1]}), "too-many"),
    ] {
        assert_eq!(
            push(&body).unwrap_err().code(),
            expected,
            "{}",
            body.to_string().get(..60).unwrap_or_default()
        );
    }
    assert_eq!(read(b"{\"device\": ", now()).unwrap_err(), PushError::NotJson { line: 1, column: 11 });
    assert_eq!(read(&vec![b' '; MAX_BODY_BYTES + 1], now()).unwrap_err().code(), "too-large");
    assert_eq!(push(&json!({"device": device, "readings": []})).unwrap().records.len(), 0);
    let field = push(&json!({"device": device, "readings": [], "12345": 1})).unwrap_err().to_string();
    assert!(!field.contains("12345"), "{field}");
}

#[test]
fn the_devices_clock_is_read_in_the_zone_that_is_told() {
    let body = |zone: Option<&str>, received: Option<&str>| {
        let mut reading = raw();
        reading["received"] = json!(received);
        reading["hex"] = json!("02 80 00 52 00 61 00 EA 07 0A 19 02 1E 00"); // 2026-10-25 02:30, which came twice
        let push =
            push(&json!({"device": {"id": "B0495F001071"}, "zone": zone, "readings": [reading]})).unwrap();
        let text: Value = serde_json::from_str(&texts(&push)[0]).unwrap();
        text["readings"][0]["at"].as_str().unwrap().to_owned()
    };
    assert_eq!(body(Some("Europe/Berlin"), None), "2026-10-25T02:30:00+02:00");
    assert_eq!(body(None, Some("2026-10-25T02:31:00+01:00")), "2026-10-25T02:30:00+01:00");
    assert_eq!(body(Some("Asia/Kolkata"), Some("2026-10-25T02:31:00+01:00")), "2026-10-25T02:30:00+05:30");
}

#[test]
fn a_glucose_reading_has_its_sequence_number_for_an_id() {
    let reading = json!({"characteristic": "2A18", "hex": "02 07 00 EA 07 0A 04 07 29 00 69 B0 11", "context": "02 07 00 03",
                         "received": "2026-10-04T07:42:10+02:00"});
    assert!(texts(&with(&json!([reading])))[0].contains(r#""meal":"fasting","id":"7"}"#));
}

#[test]
fn the_schema_takes_what_is_read_and_the_contract_is_no_wider() {
    let schema: Value = serde_json::from_str(schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let body = |reading: Value| json!({"device": {"id": "B0-49-5F-00-10-71", "model": "BM54"}, "zone": "Europe/Berlin", "readings": [reading]});
    let mut good = vec![decoded(), raw()];
    for (uuid, _) in crate::beurer::gatt::Characteristic::ALL {
        good.push(json!({"characteristic": uuid, "hex": "00:01", "id": "a.b:c_d-1"}));
    }
    for reading in good {
        assert!(validator.is_valid(&body(reading.clone())), "{reading}");
    }
    for (field, bad) in
        [("typ", json!(1)), ("values", json!({})), ("effective", json!("2026-10-04")), ("user", json!(256))]
    {
        let mut reading = decoded();
        reading[field] = bad;
        assert!(!validator.is_valid(&body(reading.clone())), "{reading}");
        assert_eq!(with(&json!([reading])).accepted(), 0);
    }
    // Every value and every unit that is read is in the schema, and the other way round.
    for kind in Kind::ALL {
        let (known, needed) = values::table(kind);
        let values = &schema["$defs"][kind.as_str()];
        let named: Vec<&String> = values["properties"].as_object().unwrap().keys().collect();
        let mut names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        assert_eq!(named, names, "{kind}");
        assert_eq!(values.get("required").map_or(json!([]), Clone::clone), json!(needed));
        for (name, quantity) in known {
            let unit = values["properties"][name]["$ref"].as_str().unwrap().rsplit('/').next().unwrap();
            let unit = &schema["$defs"][unit]["properties"]["unit"];
            let words: Vec<Value> = quantity.units().0.iter().map(|(word, _)| json!(word)).collect();
            let listed = unit
                .get("const")
                .map_or_else(|| unit["enum"].as_array().unwrap().clone(), |one| vec![one.clone()]);
            assert_eq!(listed, words, "{name}");
        }
    }
}

#[test]
fn nothing_that_was_measured_is_printed() {
    let push = with(&json!([decoded(), raw()]));
    assert!(!format!("{push:?}").contains("128"));
    assert!(!serde_json::to_string(&push.readings).unwrap().contains("128"));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes, now());
    }

    #[test]
    fn no_damage_makes_it_panic(at in any::<prop::sample::Index>(), put in "[\\PC\"{}\\[\\]:,0-9]{0,8}", cut in 0_usize..30) {
        let body = json!({"device": {"id": "B0495F001071"}, "zone": "Europe/Berlin", "readings": [decoded(), raw()]});
        let mut chars: Vec<char> = body.to_string().chars().collect();
        let at = at.index(chars.len());
        let end = (at + cut).min(chars.len());
        chars.splice(at..end, put.chars());
        let body: String = chars.into_iter().collect();
        if let Ok(push) = read(body.as_bytes(), now()) {
            let taken: u64 = push.records.iter().map(|r| r.readings).sum();
            prop_assert_eq!(taken, u64::try_from(push.accepted()).unwrap());
            for text in texts(&push) {
                prop_assert!(serde_json::from_str::<Value>(&text).is_ok());
            }
        }
    }

    /// However a gateway writes a number, its value arrives, and its digits where it wrote them plainly.
    #[test]
    fn every_number_arrives(mantissa in 1_i64..10_000_000, scale in 0_i32..5) {
        let number = crate::beurer::normal::decimal(mantissa, -scale).unwrap();
        let body = format!(r#"{{"device": {{"id": "B0495F001071"}}, "readings": [{{"type": "weight",
            "effective": "2026-10-04T07:41:00+02:00", "values": {{"weight": {{"value": {number}, "unit": "kg"}}}}}}]}}"#);
        let text = texts(&read(body.as_bytes(), now()).unwrap()).remove(0);
        let wanted = format!("\"weight\":{number},");
        prop_assert!(text.contains(&wanted), "{}", text);
    }
}

#[test]
fn only_the_readings_of_one_user_are_taken_where_one_is_named() {
    let reading = |user: &str, id: u8| {
        format!(
            r#"{{"type": "weight", "effective": "2026-10-04T07:41:00+02:00", "id": "{id}"{user}, "values": {{"weight": {{"value": 81.4, "unit": "kg"}}}}}}"#
        )
    };
    let readings = [reading(r#", "user": 1"#, 1), reading(r#", "user": 2"#, 2), reading("", 3)].join(",");
    let body = format!(r#"{{"device": {{"id": "B0-49-5F-00-10-71"}}, "readings": [{readings}]}}"#);
    let codes = |push: Push| -> Vec<&'static str> {
        push.readings
            .iter()
            .map(|r| match r {
                Outcome::Accepted { .. } => "accepted",
                Outcome::Refused { code, .. } => *code,
            })
            .collect()
    };
    let of_one = read_for(body.as_bytes(), now(), Some(1)).unwrap();
    assert_eq!(of_one.records.iter().map(|r| r.readings).sum::<u64>(), 1);
    assert_eq!(codes(of_one), ["accepted", "other-user", "no-user"]);
    assert_eq!(codes(read(body.as_bytes(), now()).unwrap()), ["accepted"; 3]);
}
