//! (a) What a careful developer writes without a mapping engine: `serde_json::Value` in, `serde_json::Value` out.
//!
//! The same Observations as the document makes of these pages, and less work than it does: no value is held against a
//! range, no reading is recognised as a repetition, nothing that is left out is counted, and numbers go through `f64`,
//! as they do in `serde_json` (95.850 is written as 95.85).

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ohx_domain::content_digest;
use ohx_mapping::Context;
use serde_json::{Value, json};

/// One measure type: kind, profile, category, LOINC codes, text, unit as shown and in UCUM.
struct Row {
    kind: &'static str,
    profile: Option<&'static str>,
    category: &'static str,
    loinc: &'static [&'static str],
    text: &'static str,
    unit: (&'static str, &'static str),
}

const HEART_RATE: Row = Row {
    kind: "heart-rate",
    profile: Some("heartrate"),
    category: "vital-signs",
    loinc: &["8867-4"],
    text: "Heart rate",
    unit: ("beats/minute", "/min"),
};

fn row(measure: i64) -> Option<Row> {
    let (kind, profile, category, loinc, text, unit): (_, _, _, &'static [&'static str], _, _) = match measure
    {
        1 => ("body-weight", Some("bodyweight"), "vital-signs", &["29463-7"], "Body weight", ("kg", "kg")),
        5 => ("fat-free-mass", None, "exam", &["91557-9"], "Fat-free mass", ("kg", "kg")),
        6 => ("fat-ratio", None, "exam", &["41982-0"], "Body fat percentage", ("%", "%")),
        8 => ("fat-mass", None, "exam", &["73708-0"], "Body fat mass", ("kg", "kg")),
        11 => return Some(HEART_RATE),
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

/// An Observation as it leaves the mapping.
pub(crate) struct Made {
    /// The identifier's value.
    pub(crate) identifier: String,
    /// Tells whether two versions of it say the same. None where it was not asked for.
    pub(crate) digest: Option<String>,
    /// JSON text.
    pub(crate) resource: String,
}

/// The names of this deployment, put together once a page.
struct Names {
    system: String,
    local: String,
    tag_system: String,
    tag: &'static str,
}

impl Names {
    fn new(context: &Context, record: &str, local: &str, tag: &'static str) -> Self {
        let base = &context.identifier_base;
        Self {
            system: format!("{base}/{}/{record}", context.provider),
            local: format!("{base}/CodeSystem/{local}"),
            tag_system: format!("{base}/mapping"),
            tag,
        }
    }

    fn code(&self, loinc: &[&str], local: &str, text: &str) -> Value {
        let mut coding: Vec<_> =
            loinc.iter().map(|c| json!({"system": "http://loinc.org", "code": c})).collect();
        if !local.is_empty() {
            coding.push(json!({"system": self.local, "code": local}));
        }
        json!({"coding": coding, "text": text})
    }
}

/// What every Observation of a record says.
struct Record<'v> {
    id: &'v str,
    taken: Timestamp,
    effective: String,
    issued: Option<String>,
    device: &'v str,
}

fn quantity(value: f64, unit: (&str, &str)) -> Value {
    // A whole number is written as one.
    let value = if value.fract() == 0.0 { json!(value as i64) } else { json!(value) };
    json!({"value": value, "unit": unit.0, "system": "http://unitsofmeasure.org", "code": unit.1})
}

fn scaled(measure: &Value) -> Option<f64> {
    let value = measure["value"].as_i64()? as f64;
    let exponent = i32::try_from(measure["unit"].as_i64()?).ok()?;
    // A power of ten below one is no binary fraction: dividing rounds once, to the nearest.
    Some(if exponent < 0 { value / 10_f64.powi(-exponent) } else { value * 10_f64.powi(exponent) })
}

fn local(at: Timestamp, zone: &TimeZone) -> String {
    at.display_with_offset(zone.to_offset(at)).to_string()
}

/// Makes one Observation. `value` is the member that holds the reading, `says` the values and units in it.
fn observation(
    context: &Context,
    names: &Names,
    record: &Record<'_>,
    row: &Row,
    code: Value,
    value: (&'static str, Value),
    says: Option<&[(String, &str)]>,
) -> Made {
    let identifier = format!("{}.{}.{}", context.account, record.id, row.kind);
    let mut meta = json!({"tag": [{"system": names.tag_system, "code": names.tag}]});
    if let Some(profile) = row.profile {
        meta["profile"] = json!([format!("http://hl7.org/fhir/StructureDefinition/{profile}")]);
    }
    let mut observation = json!({
        "resourceType": "Observation",
        "meta": meta,
        "identifier": [{"system": names.system, "value": identifier}],
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": row.category}]}],
        "code": code,
        "subject": {"reference": context.subject.as_str()},
        "effectiveDateTime": record.effective,
        "performer": [{"reference": context.subject.as_str()}],
    });
    if let Some(issued) = &record.issued {
        observation["issued"] = json!(issued);
    }
    observation[value.0] = value.1;
    let digest = says.map(|says| {
        let taken = record.taken.as_microsecond().to_be_bytes();
        let mut fields: Vec<&[u8]> = vec![row.kind.as_bytes()];
        for (value, unit) in says {
            fields.extend([value.as_bytes(), unit.as_bytes()]);
        }
        fields.extend([taken.as_slice(), b"", record.device.as_bytes()]);
        content_digest(&fields)
    });
    Made { identifier, digest, resource: observation.to_string() }
}

/// The Observations of a page of getmeas.
pub(crate) fn getmeas(page: &[u8], context: &Context, digest: bool) -> Vec<Made> {
    let page: Value = serde_json::from_slice(page).unwrap();
    let body = &page["body"];
    let zone = body["timezone"].as_str().and_then(|z| TimeZone::get(z).ok()).unwrap_or(TimeZone::UTC);
    let names = Names::new(context, "getmeas", "withings-meastype", "withings/getmeas.1");
    let time = |group: &Value, name: &str| Timestamp::from_second(group[name].as_i64()?).ok();
    let mut out = Vec::new();
    for group in body["measuregrps"].as_array().into_iter().flatten() {
        let (Some(id), Some(taken)) = (group["grpid"].as_i64(), time(group, "date")) else {
            continue;
        };
        if group["category"] != 1 || group["attrib"] == 1 || group["attrib"] == 4 {
            continue;
        }
        let id = id.to_string();
        let record = Record {
            id: &id,
            taken,
            effective: local(taken, &zone),
            issued: time(group, "modified").map(|at| local(at, &zone)),
            device: group["deviceid"].as_str().unwrap_or_default(),
        };
        let measures = group["measures"].as_array().map(Vec::as_slice).unwrap_or_default();
        let of_type = |wanted: i64| measures.iter().find(|m| m["type"] == wanted).and_then(scaled);
        let says = |value: f64, unit: (&'static str, &'static str)| (value.to_string(), unit.1);
        for measure in measures {
            let Some(kind) = measure["type"].as_i64() else { continue };
            if let Some((row, value)) = row(kind).zip(scaled(measure)) {
                let code = names.code(row.loinc, &kind.to_string(), row.text);
                let said = digest.then(|| [says(value, row.unit)]);
                let value = ("valueQuantity", quantity(value, row.unit));
                let said = said.as_ref().map(<[_; 1]>::as_slice);
                out.push(observation(context, &names, &record, &row, code, value, said));
            }
        }
        if let Some((systolic, diastolic)) = of_type(10).zip(of_type(9)) {
            let unit = ("mmHg", "mm[Hg]");
            let row = Row {
                kind: "blood-pressure",
                profile: Some("bp"),
                category: "vital-signs",
                loinc: &["85354-9"],
                text: "Blood pressure",
                unit,
            };
            let components = json!([
                {"code": names.code(&["8480-6"], "10", "Systolic blood pressure"), "valueQuantity": quantity(systolic, unit)},
                {"code": names.code(&["8462-4"], "9", "Diastolic blood pressure"), "valueQuantity": quantity(diastolic, unit)},
            ]);
            let code = names.code(row.loinc, "", row.text);
            let said = digest.then(|| [says(systolic, unit), says(diastolic, unit)]);
            let said = said.as_ref().map(<[_; 2]>::as_slice);
            out.push(observation(context, &names, &record, &row, code, ("component", components), said));
        }
    }
    out
}

/// The Observations of a page of heart rates.
pub(crate) fn heart_rates(page: &[u8], context: &Context, digest: bool) -> Vec<Made> {
    let page: Value = serde_json::from_slice(page).unwrap();
    let names = Names::new(context, "getintradayactivity", "", "withings/getintradayactivity.1");
    let mut out = Vec::new();
    for (second, sample) in page["body"]["series"].as_object().into_iter().flatten() {
        let taken = second.parse().ok().and_then(|s| Timestamp::from_second(s).ok());
        let Some((taken, rate)) = taken.zip(sample["heart_rate"].as_f64()) else { continue };
        let device = sample["deviceid"].as_str().unwrap_or("none");
        let record = Record {
            id: &format!("{second}-{device}"),
            taken,
            effective: local(taken, &TimeZone::UTC),
            issued: None,
            device,
        };
        let row = &HEART_RATE;
        let said = digest.then(|| [(rate.to_string(), row.unit.1)]);
        let said = said.as_ref().map(<[_; 1]>::as_slice);
        let value = ("valueQuantity", quantity(rate, row.unit));
        out.push(observation(
            context,
            &names,
            &record,
            row,
            names.code(row.loinc, "", row.text),
            value,
            said,
        ));
    }
    out
}
