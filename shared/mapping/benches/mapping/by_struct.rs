//! (b) The practical limit: structs that borrow from the page and skip what they do not name, and a writer that puts
//! each Observation's text together from pieces that are made once a page, in a buffer that is used again.
//!
//! The same Observations as the document makes of these pages, byte for byte, and less work than it does: no value is
//! held against a range, no reading is recognised as a repetition, nothing that is left out is counted, and a value
//! that is no number fails the page.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ohx_domain::content_digest;
use ohx_mapping::Context;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The Observations of a page, one behind the other. Used again for the next page.
#[derive(Default)]
pub(crate) struct Output {
    /// The Observations' JSON text.
    pub(crate) text: String,
    /// Where each ends in `text`.
    pub(crate) ends: Vec<usize>,
    /// Their digests, where they were asked for.
    pub(crate) digests: Vec<String>,
}

impl Output {
    /// Each Observation's text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &str> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, end)| &self.text[begin..*end])
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.digests.clear();
    }
}

/// A kind of reading, as text that only lacks the reading.
struct Row {
    kind: &'static str,
    /// Up to the identifier's value.
    head: String,
    /// From behind the identifier's value to the time.
    body: String,
    /// Before each decimal.
    before: Vec<String>,
    /// Behind each decimal.
    after: String,
    unit: &'static str,
}

/// What tells the rows of a page apart.
struct Spec {
    kind: &'static str,
    profile: Option<&'static str>,
    category: &'static str,
    code: String,
    components: Vec<String>,
    unit: (&'static str, &'static str),
}

impl Row {
    fn new(context: &Context, record: &str, tag: &str, spec: Spec) -> Self {
        let (base, provider) = (&context.identifier_base, &context.provider);
        let Spec { kind, profile, category, code, components, unit } = spec;
        let profile = profile.map_or_else(String::new, |name| {
            format!(r#""profile":["http://hl7.org/fhir/StructureDefinition/{name}"],"#)
        });
        let value = r#""valueQuantity":{"value":"#;
        let before = match components.as_slice() {
            [] => vec![value.to_owned()],
            some => some.iter().map(|code| format!("{{{code},{value}")).collect(),
        };
        let close = if components.is_empty() { "" } else { "}" };
        Self {
            kind,
            head: format!(
                r#"{{"resourceType":"Observation","meta":{{{profile}"tag":[{{"system":"{base}/mapping","code":"{tag}"}}]}},"identifier":[{{"system":"{base}/{provider}/{record}","value":"{}."#,
                context.account
            ),
            body: format!(
                r#".{kind}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"{category}"}}]}}],{code},"subject":{{"reference":"{}"}},"effectiveDateTime":""#,
                context.subject.as_str()
            ),
            before,
            after: format!(
                r#","unit":"{}","system":"http://unitsofmeasure.org","code":"{}"}}{close}"#,
                unit.0, unit.1
            ),
            unit: unit.1,
        }
    }
}

fn code(loinc: &[&str], local: Option<(&Context, &str, i64)>, text: &str) -> String {
    let mut codings: Vec<String> =
        loinc.iter().map(|c| format!(r#"{{"system":"http://loinc.org","code":"{c}"}}"#)).collect();
    if let Some((context, system, code)) = local {
        codings.push(format!(
            r#"{{"system":"{}/CodeSystem/{system}","code":"{code}"}}"#,
            context.identifier_base
        ));
    }
    format!(r#""code":{{"coding":[{}],"text":"{text}"}}"#, codings.join(","))
}

#[derive(Deserialize)]
struct Measures<'a> {
    #[serde(borrow)]
    body: MeasuresBody<'a>,
}

#[derive(Deserialize)]
struct MeasuresBody<'a> {
    timezone: &'a str,
    #[serde(borrow)]
    measuregrps: Vec<Group<'a>>,
}

#[derive(Deserialize)]
struct Group<'a> {
    grpid: i64,
    attrib: u8,
    date: i64,
    modified: i64,
    category: u8,
    deviceid: Option<&'a str>,
    measures: Vec<Measure>,
}

#[derive(Deserialize)]
struct Measure {
    value: i64,
    r#type: u16,
    unit: i8,
}

fn measure_rows(context: &Context) -> Vec<(u16, Row)> {
    let local = |number: i64| Some((context, "withings-meastype", number));
    let row = |number: u16, kind, profile, category, loinc: &[&str], text, unit| {
        let code = code(loinc, local(i64::from(number)), text);
        let spec = Spec { kind, profile, category, code, components: Vec::new(), unit };
        (number, Row::new(context, "getmeas", "withings/getmeas.1", spec))
    };
    let (kg, percent) = (("kg", "kg"), ("%", "%"));
    let pressure = Spec {
        kind: "blood-pressure",
        profile: Some("bp"),
        category: "vital-signs",
        code: code(&["85354-9"], None, "Blood pressure"),
        components: vec![
            code(&["8480-6"], local(10), "Systolic blood pressure"),
            code(&["8462-4"], local(9), "Diastolic blood pressure"),
        ],
        unit: ("mmHg", "mm[Hg]"),
    };
    let vital = "vital-signs";
    vec![
        (0, Row::new(context, "getmeas", "withings/getmeas.1", pressure)),
        row(1, "body-weight", Some("bodyweight"), vital, &["29463-7"], "Body weight", kg),
        row(5, "fat-free-mass", None, "exam", &["91557-9"], "Fat-free mass", kg),
        row(6, "fat-ratio", None, "exam", &["41982-0"], "Body fat percentage", percent),
        row(8, "fat-mass", None, "exam", &["73708-0"], "Body fat mass", kg),
        row(76, "muscle-mass", None, "exam", &["73964-9"], "Body muscle mass", kg),
        row(88, "bone-mass", None, "exam", &["101685-6"], "Body bone mass", kg),
        row(11, "heart-rate", Some("heartrate"), vital, &["8867-4"], "Heart rate", ("beats/minute", "/min")),
        row(
            54,
            "oxygen-saturation",
            Some("oxygensat"),
            vital,
            &["2708-6", "59408-5"],
            "Oxygen saturation",
            percent,
        ),
        row(71, "body-temperature", Some("bodytemp"), vital, &["8310-5"], "Body temperature", ("°C", "Cel")),
    ]
}

/// What every Observation of a record says.
struct Record<'r> {
    id: &'r str,
    taken: Timestamp,
    effective: &'r str,
    issued: Option<&'r str>,
    device: &'r str,
}

struct Writer<'w> {
    out: &'w mut Output,
    /// `,"performer":[…],`
    performer: String,
    digest: bool,
}

impl Writer<'_> {
    fn observation(&mut self, row: &Row, record: &Record<'_>, values: &[&str]) {
        let text = &mut self.out.text;
        for piece in [&row.head, record.id, &row.body, record.effective] {
            text.push_str(piece);
        }
        if let Some(issued) = record.issued {
            text.push_str(r#"","issued":""#);
            text.push_str(issued);
        }
        text.push_str(&self.performer);
        if values.len() > 1 {
            text.push_str(r#""component":["#);
        }
        for (n, (value, before)) in values.iter().zip(&row.before).enumerate() {
            if n > 0 {
                text.push(',');
            }
            text.push_str(before);
            text.push_str(value);
            text.push_str(&row.after);
        }
        text.push_str(if values.len() > 1 { "]}" } else { "}" });
        self.out.ends.push(text.len());
        if self.digest {
            let taken = record.taken.as_microsecond().to_be_bytes();
            let unit = row.unit.as_bytes();
            let end: [&[u8]; 3] = [&taken, b"", record.device.as_bytes()];
            let [time, manual, device] = end;
            let kind = row.kind.as_bytes();
            self.out.digests.push(match values {
                [one] => content_digest(&[kind, one.as_bytes(), unit, time, manual, device]),
                [a, b, ..] => {
                    content_digest(&[kind, a.as_bytes(), unit, b.as_bytes(), unit, time, manual, device])
                }
                [] => String::new(),
            });
        }
    }
}

fn writer<'w>(context: &Context, out: &'w mut Output, digest: bool) -> Writer<'w> {
    out.clear();
    let patient = context.subject.as_str();
    Writer { out, performer: format!(r#"","performer":[{{"reference":"{patient}"}}],"#), digest }
}

/// Writes the Observations of a page of getmeas.
pub(crate) fn getmeas(page: &[u8], context: &Context, out: &mut Output, digest: bool) {
    let page: Measures<'_> = serde_json::from_slice(page).unwrap();
    let zone = TimeZone::get(page.body.timezone).unwrap_or(TimeZone::UTC);
    let rows = measure_rows(context);
    let mut by_type = [usize::MAX; 256];
    for (n, (number, _)) in rows.iter().enumerate() {
        by_type[usize::from(*number)] = n;
    }
    by_type[0] = usize::MAX;
    let mut writer = writer(context, out, digest);
    let (mut id, mut effective, mut issued) = (String::new(), String::new(), String::new());
    let (mut first, mut second) = (String::new(), String::new());
    for group in &page.body.measuregrps {
        if group.category != 1 || matches!(group.attrib, 1 | 4) {
            continue;
        }
        let taken = Timestamp::from_second(group.date).unwrap();
        id.clear();
        digits(&mut id, group.grpid.unsigned_abs(), 1);
        local(&mut effective, taken, &zone);
        local(&mut issued, Timestamp::from_second(group.modified).unwrap(), &zone);
        let record = Record {
            id: &id,
            taken,
            effective: &effective,
            issued: Some(&issued),
            device: group.deviceid.unwrap_or_default(),
        };
        let (mut systolic, mut diastolic) = (None, None);
        for measure in &group.measures {
            match measure.r#type {
                10 => systolic = Some(measure),
                9 => diastolic = Some(measure),
                number => {
                    let known = by_type.get(usize::from(number)).and_then(|n| rows.get(*n));
                    if let Some((_, row)) = known {
                        scaled(&mut first, measure);
                        writer.observation(row, &record, &[&first]);
                    }
                }
            }
        }
        if let (Some(systolic), Some(diastolic)) = (systolic, diastolic) {
            scaled(&mut first, systolic);
            scaled(&mut second, diastolic);
            writer.observation(&rows[0].1, &record, &[&first, &second]);
        }
    }
}

#[derive(Deserialize)]
struct Intraday<'a> {
    #[serde(borrow)]
    body: IntradayBody<'a>,
}

#[derive(Deserialize)]
struct IntradayBody<'a> {
    #[serde(borrow)]
    series: Series<'a>,
}

/// The samples by their second, in the page's order.
struct Series<'a>(Vec<(&'a str, Sample<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Series<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Series<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("samples by their second")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut samples = Vec::new();
                while let Some(sample) = map.next_entry()? {
                    samples.push(sample);
                }
                Ok(Series(samples))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

#[derive(Deserialize)]
struct Sample<'a> {
    #[serde(borrow)]
    heart_rate: Option<&'a RawValue>,
    deviceid: Option<&'a str>,
}

/// Writes the Observations of a page of heart rates.
pub(crate) fn heart_rates(page: &[u8], context: &Context, out: &mut Output, digest: bool) {
    let page: Intraday<'_> = serde_json::from_slice(page).unwrap();
    let row = Row::new(
        context,
        "getintradayactivity",
        "withings/getintradayactivity.1",
        Spec {
            kind: "heart-rate",
            profile: Some("heartrate"),
            category: "vital-signs",
            code: code(&["8867-4"], None, "Heart rate"),
            components: Vec::new(),
            unit: ("beats/minute", "/min"),
        },
    );
    let mut writer = writer(context, out, digest);
    let (mut id, mut effective) = (String::new(), String::new());
    for (second, sample) in &page.body.series.0 {
        let Some(rate) = sample.heart_rate else { continue };
        let taken = Timestamp::from_second(second.parse().unwrap()).unwrap();
        local(&mut effective, taken, &TimeZone::UTC);
        let device = sample.deviceid.unwrap_or("none");
        id.clear();
        for piece in [second, "-", device] {
            id.push_str(piece);
        }
        let record = Record { id: &id, taken, effective: &effective, issued: None, device };
        writer.observation(&row, &record, &[rate.get()]);
    }
}

/// Appends a number with at least so many digits.
fn digits(out: &mut String, mut number: u64, least: usize) {
    let mut text = [b'0'; 20];
    let mut begin = text.len();
    while number > 0 || text.len() - begin < least {
        begin -= 1;
        text[begin] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.push_str(std::str::from_utf8(&text[begin..]).unwrap());
}

/// The value with its point moved, every digit kept.
fn scaled(out: &mut String, measure: &Measure) {
    out.clear();
    if measure.value < 0 {
        out.push('-');
    }
    let decimals = usize::from(measure.unit.min(0).unsigned_abs());
    digits(out, measure.value.unsigned_abs(), decimals + 1);
    if decimals > 0 {
        out.insert(out.len() - decimals, '.');
    } else {
        (0..measure.unit).for_each(|_| out.push('0'));
    }
}

/// `2024-01-09T04:08:39+01:00`.
fn local(out: &mut String, at: Timestamp, zone: &TimeZone) {
    let offset = zone.to_offset(at);
    let civil = offset.to_datetime(at);
    out.clear();
    digits(out, civil.year().unsigned_abs().into(), 4);
    for (before, number) in [
        ('-', civil.month()),
        ('-', civil.day()),
        ('T', civil.hour()),
        (':', civil.minute()),
        (':', civil.second()),
    ] {
        out.push(before);
        digits(out, number.unsigned_abs().into(), 2);
    }
    out.push(if offset.seconds() < 0 { '-' } else { '+' });
    digits(out, (offset.seconds().unsigned_abs() / 3600).into(), 2);
    out.push(':');
    digits(out, (offset.seconds().unsigned_abs() / 60 % 60).into(), 2);
}
