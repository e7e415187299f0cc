//! What a careful developer writes without a mapping engine: `serde_json::Value` in, `serde_json::Value` out, with
//! the same Observations as the document makes (numbers go through `f64` here, as they do in `serde_json`).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ohx_domain::Identifier;
use ohx_mapping::Context;
use serde_json::{Value, json};

/// One measure type: kind, profile, category, LOINC codes, unit as shown and in UCUM, factor.
struct Row {
    kind: &'static str,
    profile: Option<&'static str>,
    category: &'static str,
    loinc: &'static [&'static str],
    text: &'static str,
    unit: (&'static str, &'static str),
}

fn row(measure: i64) -> Option<Row> {
    let (kind, profile, category, loinc, text, unit): (_, _, _, &'static [&'static str], _, _) = match measure
    {
        1 => ("body-weight", Some("bodyweight"), "vital-signs", &["29463-7"], "Body weight", ("kg", "kg")),
        5 => ("fat-free-mass", None, "exam", &["91557-9"], "Lean body weight", ("kg", "kg")),
        6 => ("fat-ratio", None, "exam", &["41982-0"], "Percentage of body fat", ("%", "%")),
        8 => ("fat-mass", None, "exam", &["73708-0"], "Body fat mass", ("kg", "kg")),
        11 => {
            ("heart-rate", Some("heartrate"), "vital-signs", &["8867-4"], "Heart rate", ("beats/min", "/min"))
        }
        54 => (
            "oxygen-saturation",
            Some("oxygensat"),
            "vital-signs",
            &["2708-6", "59408-5"],
            "Oxygen saturation",
            ("%", "%"),
        ),
        71 => (
            "body-temperature",
            Some("bodytemp"),
            "vital-signs",
            &["8310-5"],
            "Body temperature",
            ("°C", "Cel"),
        ),
        76 => ("muscle-mass", None, "exam", &["73964-9"], "Body muscle mass", ("kg", "kg")),
        88 => ("bone-mass", None, "exam", &["101685-6"], "Body bone mass", ("kg", "kg")),
        _ => return None,
    };
    Some(Row { kind, profile, category, loinc, text, unit })
}

fn quantity(measure: &Value, unit: (&str, &str)) -> Option<Value> {
    let scaled =
        measure["value"].as_i64()? as f64 * 10_f64.powi(i32::try_from(measure["unit"].as_i64()?).ok()?);
    let value = (scaled * 1000.0).round() / 1000.0;
    Some(json!({"value": value, "unit": unit.0, "system": "http://unitsofmeasure.org", "code": unit.1}))
}

fn local(seconds: i64, zone: &TimeZone) -> Option<String> {
    let zoned = Timestamp::from_second(seconds).ok()?.to_zoned(zone.clone());
    Some(zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string())
}

/// The Observations of a page, each as its identifier and its text.
pub(crate) fn map(page: &[u8], context: &Context) -> Vec<(Identifier, String)> {
    let page: Value = serde_json::from_slice(page).unwrap();
    let body = &page["body"];
    let zone = body["timezone"].as_str().and_then(|z| TimeZone::get(z).ok()).unwrap_or(TimeZone::UTC);
    let mut out = Vec::new();
    for group in body["measuregrps"].as_array().into_iter().flatten() {
        let (Some(id), Some(date)) = (group["grpid"].as_i64(), group["date"].as_i64()) else {
            continue;
        };
        if group["category"] != 1 || group["attrib"] == 1 || group["attrib"] == 4 {
            continue;
        }
        let (Some(effective), Some(issued)) =
            (local(date, &zone), group["modified"].as_i64().and_then(|m| local(m, &zone)))
        else {
            continue;
        };
        let mut emit = |kind: &str,
                        profile: Option<&str>,
                        category: &str,
                        code: Value,
                        value: (&str, Value)| {
            let identifier = Identifier {
                system: format!("{}/{}/getmeas", context.identifier_base, context.provider),
                value: format!("{}.{id}.{kind}", context.account),
            };
            let mut meta = json!({"tag": [{"system": format!("{}/mapping", context.identifier_base), "code": "withings/getmeas.1"}]});
            if let Some(profile) = profile {
                meta["profile"] = json!([format!("http://hl7.org/fhir/StructureDefinition/{profile}")]);
            }
            let mut observation = json!({
                "resourceType": "Observation",
                "meta": meta,
                "identifier": [{"system": identifier.system, "value": identifier.value}],
                "status": "final",
                "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": category}]}],
                "code": code,
                "subject": {"reference": context.subject.as_str()},
                "effectiveDateTime": effective,
                "issued": issued,
                "performer": [{"reference": context.subject.as_str()}],
            });
            observation[value.0] = value.1;
            out.push((identifier, observation.to_string()));
        };
        let measures = group["measures"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_type = |wanted: i64| measures.iter().find(|m| m["type"] == wanted);
        let code = |loinc: &[&str], measure: i64, text: &str| {
            let mut coding: Vec<_> =
                loinc.iter().map(|c| json!({"system": "http://loinc.org", "code": c})).collect();
            coding.push(json!({"system": format!("{}/CodeSystem/withings-meastype", context.identifier_base), "code": measure.to_string()}));
            json!({"coding": coding, "text": text})
        };
        if let (Some(systolic), Some(diastolic)) = (of_type(10), of_type(9)) {
            let unit = ("mmHg", "mm[Hg]");
            if let (Some(s), Some(d)) = (quantity(systolic, unit), quantity(diastolic, unit)) {
                let components = json!([
                    {"code": code(&["8480-6"], 10, "Systolic blood pressure"), "valueQuantity": s},
                    {"code": code(&["8462-4"], 9, "Diastolic blood pressure"), "valueQuantity": d},
                ]);
                let panel = json!({"coding": [{"system": "http://loinc.org", "code": "85354-9"}], "text": "Blood pressure"});
                emit("blood-pressure", Some("bp"), "vital-signs", panel, ("component", components));
            }
        }
        for measure in measures {
            let Some((kind, row)) = measure["type"].as_i64().and_then(|t| Some((t, row(t)?))) else {
                continue;
            };
            if let Some(value) = quantity(measure, row.unit) {
                emit(
                    row.kind,
                    row.profile,
                    row.category,
                    code(row.loinc, kind, row.text),
                    ("valueQuantity", value),
                );
            }
        }
    }
    out
}
