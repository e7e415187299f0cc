//! What of an Observation is compared, and with what.

use jiff::fmt::temporal::Pieces;
use ohx_domain::Instant;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{OWN, Reading};

const UCUM: &str = "http://unitsofmeasure.org";

/// An Observation. It has no `Debug`: it holds values.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Observation {
    #[serde(default)]
    meta: Meta,
    #[serde(default)]
    identifier: Vec<Identifier>,
    #[serde(default)]
    status: String,
    #[serde(default)]
    code: Concept,
    effective_date_time: Option<String>,
    effective_period: Option<Period>,
    value_quantity: Option<Quantity>,
    value_codeable_concept: Option<Concept>,
    value_sampled_data: Option<SampledData>,
    #[serde(default)]
    component: Vec<Component>,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default)]
    tag: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    system: String,
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    code: Concept,
    value_quantity: Option<Quantity>,
    value_codeable_concept: Option<Concept>,
    value_sampled_data: Option<SampledData>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(default)]
    system: String,
    #[serde(default)]
    value: String,
}

#[derive(Default, Deserialize)]
struct Concept {
    #[serde(default)]
    coding: Vec<Coding>,
}

#[derive(Deserialize)]
struct Coding {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
struct Period {
    start: Option<String>,
    end: Option<String>,
}

#[derive(Deserialize)]
struct Quantity {
    value: Option<Box<RawValue>>,
    system: Option<String>,
    code: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SampledData {
    origin: Quantity,
    interval: Option<Box<RawValue>>,
    interval_unit: Option<String>,
    factor: Option<Box<RawValue>>,
    dimensions: Option<u32>,
    offsets: Option<String>,
    data: Option<String>,
}

impl Concept {
    fn has(&self, code: &str) -> bool {
        self.coding.iter().any(|coding| coding.code == code)
    }
}

impl Quantity {
    /// Its number and its unit, which has to be UCUM's.
    fn parts(&self) -> Option<(&str, &str)> {
        self.system.as_ref().filter(|system| *system == UCUM)?;
        Some((self.value.as_ref()?.get(), self.code.as_deref()?))
    }
}

impl SampledData {
    /// `70 71 /min at 0 60 s`, or `12 15 uV every 2 ms`: numbers as they were measured, from zero.
    fn said(&self) -> Option<String> {
        let (origin, unit) = self.origin.parts()?;
        let plain = origin == "0" && self.factor.as_ref().is_none_or(|factor| factor.get() == "1");
        let (data, time) = (self.data.as_deref()?, self.interval_unit.as_deref()?);
        if !plain || self.dimensions != Some(1) {
            return None;
        }
        match (&self.offsets, &self.interval) {
            (Some(offsets), None) => Some(format!("{data} {unit} at {offsets} {time}")),
            (None, Some(interval)) => Some(format!("{data} {unit} every {} {time}", interval.get())),
            _ => None,
        }
    }
}

/// What a value says; `None` where there is none, or one of no known shape.
fn said(
    quantity: Option<&Quantity>,
    concept: Option<&Concept>,
    sampled: Option<&SampledData>,
) -> Option<String> {
    match (quantity, concept, sampled) {
        (Some(quantity), None, None) => quantity.parts().map(|(value, unit)| format!("{value} {unit}")),
        (None, Some(concept), None) => concept.coding.first().map(|coding| coding.code.clone()),
        (None, None, Some(sampled)) => sampled.said(),
        _ => None,
    }
}

/// A dateTime in one of the ways to write it: `Z` is `+00:00`, and no fraction is one of zeros.
fn time(text: &str) -> Option<String> {
    let offset = Pieces::parse(text).ok()?.to_numeric_offset()?;
    let at: Instant = text.parse().ok()?;
    Some(at.display_with_offset(offset).to_string())
}

impl Observation {
    /// Whether it is entered in error.
    pub(super) fn taken_back(&self) -> bool {
        self.status == "entered-in-error"
    }

    /// The record in its identifier's system, and `<record id>.<kind>[.<position>]` and the kind in its value.
    pub(super) fn reading(&self) -> Option<(&str, &str, &str)> {
        let Identifier { system, value } = self.identifier.first()?;
        let record = system.rsplit('/').next()?;
        let (_, identity) = value.split_once('.')?;
        Some((record, identity, identity.split('.').nth(1)?))
    }

    /// Whether it has this code.
    pub(super) fn has(&self, code: &str) -> bool {
        self.code.has(code)
    }

    /// Whether it has this code at this time.
    pub(super) fn is_of(&self, code: &str, when: &str) -> bool {
        self.has(code) && self.when().as_deref() == Some(when)
    }

    /// By which way it came to the provider, where it says so.
    pub(super) fn origin(&self) -> Option<&str> {
        self.meta.tag.iter().find(|t| t.system.ends_with("/origin")).map(|t| t.code.as_str())
    }

    /// The provider app that it came from; `None` where it has no identifier of ours.
    pub(super) fn provider(&self) -> Option<&str> {
        self.identifier.first()?.system.rsplit('/').nth(1)
    }

    /// Whether it says what the reading says, to the last digit, of the same time.
    pub(super) fn says(&self, reading: &Reading) -> bool {
        self.code.has(reading.code)
            && (self.status == "preliminary") == reading.preliminary
            && self.when().as_ref() == Some(&reading.when)
            && self.own() == reading.values.get(OWN).cloned()
            && self.has_the_components_of(reading)
    }

    fn when(&self) -> Option<String> {
        match (&self.effective_date_time, &self.effective_period) {
            (Some(at), None) => time(at),
            (None, Some(Period { start: Some(start), end: Some(end) })) => {
                Some(format!("{}/{}", time(start)?, time(end)?))
            }
            _ => None,
        }
    }

    fn own(&self) -> Option<String> {
        let Self { value_quantity, value_codeable_concept, value_sampled_data, .. } = self;
        said(value_quantity.as_ref(), value_codeable_concept.as_ref(), value_sampled_data.as_ref())
    }

    /// Whether its components are those of the reading, each once.
    fn has_the_components_of(&self, reading: &Reading) -> bool {
        let wanted = reading.values.iter().filter(|(code, _)| **code != OWN);
        let mut found = 0;
        for (code, value) in wanted {
            let mut components = self.component.iter().filter(|component| component.code.has(code));
            if components.next().and_then(Component::said).as_ref() != Some(value)
                || components.next().is_some()
            {
                return false;
            }
            found += 1;
        }
        found == self.component.len()
    }
}

impl Component {
    fn said(&self) -> Option<String> {
        let Self { value_quantity, value_codeable_concept, value_sampled_data, .. } = self;
        said(value_quantity.as_ref(), value_codeable_concept.as_ref(), value_sampled_data.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night() -> Reading {
        Reading {
            record: "sleep-getsummary",
            id: "9".into(),
            kind: "sleep",
            position: None,
            code: "93832-4",
            date: 0,
            when: "2026-10-03T22:00:00+02:00/2026-10-04T06:00:00+02:00".into(),
            preliminary: true,
            values: [(OWN, "7.5000 h".to_owned()), ("sleep-score", "80 {score}".to_owned())].into(),
        }
    }

    const NIGHT: &str = r#"{"identifier":[{"system":"https://a/ns/withings/sleep-getsummary","value":"x.9.sleep"}],
        "status":"preliminary","code":{"coding":[{"system":"http://loinc.org","code":"93832-4"}]},
        "effectivePeriod":{"start":"2026-10-03T22:00:00.000+02:00","end":"2026-10-04T06:00:00+02:00"},
        "valueQuantity":{"value":7.5000,"system":"http://unitsofmeasure.org","code":"h"},
        "component":[{"code":{"coding":[{"code":"sleep-score"}]},
                      "valueQuantity":{"value":80,"system":"http://unitsofmeasure.org","code":"{score}"}}]}"#;

    fn says(text: &str, reading: &Reading) -> bool {
        serde_json::from_str::<Observation>(text).unwrap().says(reading)
    }

    #[test]
    fn whatever_differs_is_seen() {
        assert!(says(NIGHT, &night()));
        let observation: Observation = serde_json::from_str(NIGHT).unwrap();
        assert_eq!(observation.reading(), Some(("sleep-getsummary", "9.sleep", "sleep")));
        for (from, to) in [
            ("7.5000", "7.5"),
            ("\"h\"", "\"min\""),
            ("93832-4", "93831-6"),
            ("preliminary", "final"),
            ("06:00:00+02:00", "04:00:00Z"),
            ("06:00:00+02:00", "06:00:01+02:00"),
            ("sleep-score", "sleep-latency"),
            ("unitsofmeasure.org\",\"code\":\"h\"", "example.org\",\"code\":\"h\""),
            ("\"value\":80,", ""),
            ("\"component\":[", "\"component\":[{\"code\":{\"coding\":[{\"code\":\"x\"}]}},"),
        ] {
            let altered = NIGHT.replace(from, to);
            assert_ne!(altered, NIGHT);
            assert!(!says(&altered, &night()), "{from} became {to}");
        }
        let more = Reading { values: [(OWN, "7.5000 h".to_owned())].into(), ..night() };
        assert!(!says(NIGHT, &more));
    }

    #[test]
    fn samples_are_compared_with_where_they_lie() {
        let sampled = |text: &str| {
            let text = format!(
                r#"{{"origin":{{"value":0,"system":"http://unitsofmeasure.org","code":"/min"}},"intervalUnit":"s","dimensions":1,{text}}}"#
            );
            serde_json::from_str::<SampledData>(&text).unwrap().said()
        };
        let said = sampled(r#""offsets":"0 60","data":"70 71""#);
        assert_eq!(said.as_deref(), Some("70 71 /min at 0 60 s"));
        let said = sampled(r#""interval":3.333333333,"data":"12 E""#);
        assert_eq!(said.as_deref(), Some("12 E /min every 3.333333333 s"));
        assert_eq!(sampled(r#""interval":2,"offsets":"0","data":"1""#), None, "one of the two");
        assert_eq!(sampled(r#""interval":2,"factor":0.001,"data":"1""#), None, "another scale");
    }

    #[test]
    fn a_time_is_the_same_however_it_is_written() {
        assert_eq!(time("2026-10-03T22:00:00Z"), time("2026-10-03T22:00:00.000+00:00"));
        assert_ne!(time("2026-10-03T22:00:00Z"), time("2026-10-04T00:00:00+02:00"));
        assert_eq!(time("2026-10-03T22:00:00.5Z").as_deref(), Some("2026-10-03T22:00:00.5+00:00"));
        assert_eq!(time("2026-10-03"), None);
    }
}
