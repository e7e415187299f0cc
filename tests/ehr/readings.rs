//! Readings as `transform` maps them, and how they are read back.

use ohx_domain::{Identifier, Instant};
use ohx_events::sealed::MappedResource;
use ohx_fhir::{Outcome, Published};
use serde_json::value::RawValue;

use crate::json::Json;
use crate::outputs::BASE;
use crate::servers::{Server, Way};
use crate::{codes, validate};

/// One promise in one way. The servers are shared: every case has identifiers of its own.
pub(crate) struct Case {
    pub(crate) way: Way,
    /// The base of its identifiers.
    pub(crate) base: String,
}

impl Case {
    pub(crate) fn new(promise: &str, way: Way) -> Self {
        Self { way, base: format!("{BASE}/{promise}-{}", way.name()) }
    }

    /// A weight. `value` is the JSON text of a decimal, `issued` the version of the reading.
    pub(crate) fn reading(&self, number: usize, value: &str, issued: i64) -> MappedResource {
        let identifier = Identifier {
            system: format!("{}/withings/getmeas", self.base),
            value: format!("pseudonym.{number}.body-weight"),
        };
        let issued = Instant::from_second(1_790_000_000 + issued).unwrap();
        let taken = Instant::from_second(1_780_000_000 + i64::try_from(number).unwrap()).unwrap();
        let resource = format!(
            r#"{{"resourceType":"Observation","meta":{{"profile":["http://hl7.org/fhir/StructureDefinition/bodyweight"]}},"identifier":[{{"system":"{}","value":"{}"}}],"status":"final","category":[{{"coding":[{{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"vital-signs"}}]}}],"code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}],"text":"Body weight"}},"subject":{{"reference":"Patient/p1"}},"effectiveDateTime":"{taken}","issued":"{issued}","valueQuantity":{{"value":{value},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#,
            identifier.system, identifier.value
        );
        MappedResource {
            identifier,
            digest: format!("digest-of-{value}"),
            issued: Some(issued),
            taken: Some(taken),
            device: None,
            only_if_missing: false,
            resource: RawValue::from_string(resource).unwrap(),
        }
    }

    /// So many weights.
    pub(crate) fn readings(&self, count: usize) -> Vec<MappedResource> {
        (0..count).map(|number| self.reading(number, "72.10", 0)).collect()
    }

    /// The scale.
    pub(crate) fn scale(&self) -> MappedResource {
        let account = ohx_domain::account_pseudonym(
            &"withings".parse().unwrap(),
            &ohx_domain::Sensitive::new("363".to_owned()),
            &"Patient/p1".parse().unwrap(),
        );
        let withings = "withings".parse().unwrap();
        ohx_fhir::device(&self.base, &withings, "Withings", &account, "a1b2c3d4", Some("Body+"), Some("5"))
            .unwrap()
    }

    /// Brings readings to a server; nothing may go wrong.
    pub(crate) async fn publish(
        &self,
        server: &Server,
        devices: &[MappedResource],
        readings: &[MappedResource],
    ) -> Published {
        let ehr = server.client(self.way);
        let published = ehr.publish(&self.base, devices, readings).await;
        published.unwrap_or_else(|error| panic!("{}: {error}", self.way.name()))
    }
}

/// The resources that a server has of a reading or a device: one, if all is well. They are valid.
pub(crate) async fn stored(server: &Server, mapped: &MappedResource) -> Vec<String> {
    let kind = Json::parse(mapped.resource.get()).unwrap().text_of("resourceType").unwrap().to_owned();
    let found = server.with_identifier(&kind, &mapped.identifier).await;
    for text in &found {
        assert_eq!(problems(text), Vec::<String>::new(), "{} has made it:\n{text}", server.name);
    }
    found
}

/// The one resource that a server has of a reading or a device.
pub(crate) async fn one(server: &Server, mapped: &MappedResource) -> Json {
    let found = stored(server, mapped).await;
    assert_eq!(found.len(), 1, "{}: {:?}", server.name, mapped.identifier);
    Json::parse(&found[0]).unwrap()
}

/// What is wrong with a resource, by HL7's definitions and our own rules.
pub(crate) fn problems(text: &str) -> Vec<String> {
    let resource = Json::parse(text).unwrap();
    let profiles: Vec<&str> = codes::vital_signs(&resource).map(|(_, profile, _)| *profile).collect();
    let mut found = validate::problems(text, &profiles);
    // Each case is as of another deployment, with a base of its own.
    let tags = resource.at("meta.tag.system");
    let base = tags.iter().find_map(|system| system.text()?.strip_suffix("/content-digest"));
    found.extend(codes::problems(&resource, base.unwrap_or(BASE)));
    found
}

/// How often each outcome is among these: created, updated, unchanged, rejected.
pub(crate) fn counts(outcomes: &[Outcome]) -> [usize; 4] {
    let mut counts = [0; 4];
    for outcome in outcomes {
        counts[match outcome {
            Outcome::Created => 0,
            Outcome::Updated => 1,
            Outcome::Unchanged => 2,
            Outcome::Rejected { .. } => 3,
        }] += 1;
    }
    counts
}

/// The text of a number.
pub(crate) fn digits(resource: &Json, path: &str) -> String {
    match resource.at(path)[..] {
        [Json::Number(text)] => text.clone(),
        _ => panic!("no {path}"),
    }
}
