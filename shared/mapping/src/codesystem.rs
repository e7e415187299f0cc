//! The code systems of this deployment, as R5 CodeSystem resources: what the documents' own codes mean.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::plan::Mapping;

/// A code system of this deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeSystem {
    /// Its name in the documents, such as `measure`.
    pub name: String,
    /// `<identifier base>/CodeSystem/<name>`.
    pub url: String,
    /// The R5 CodeSystem as JSON text.
    pub json: String,
}

/// One code that is called by two names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the code {code} of the code system {system} is called {:?} in {} and {:?} in {}; give it one text",
    first.1, first.0, second.1, second.0
)]
pub struct CodeClash {
    /// The code system's name.
    pub system: String,
    /// The code.
    pub code: String,
    /// A document's name, and what it calls the code.
    pub first: (String, String),
    /// A document's name, and what it calls the code instead.
    pub second: (String, String),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    resource_type: &'a str,
    id: &'a str,
    url: &'a str,
    name: String,
    title: &'a str,
    status: &'a str,
    experimental: bool,
    case_sensitive: bool,
    content: &'a str,
    count: usize,
    concept: Vec<Concept<'a>>,
}

#[derive(Serialize)]
struct Concept<'a> {
    code: &'a str,
    display: &'a str,
}

/// The codes of a system: numbers in their order, then other codes; the text, and the document that has it.
type Codes<'m> = BTreeMap<(u64, &'m str), (&'m str, &'m str)>;

/// The code systems that the documents' own codes belong to, by name, with every code that any of the documents has.
/// A slash at the end of `identifier_base` is ignored.
///
/// The `meta.tag` that names the mapping (system `<identifier base>/mapping`) is not a code of any of them.
///
/// # Errors
/// [`CodeClash`] where one code is called by two names.
pub fn code_systems<'m>(
    mappings: impl Iterator<Item = &'m Mapping>,
    identifier_base: &str,
) -> Result<Vec<CodeSystem>, Box<CodeClash>> {
    let mut systems: BTreeMap<&str, Codes<'_>> = BTreeMap::new();
    for mapping in mappings {
        for (system, code, text) in &mapping.local_codes {
            let key = (code.parse().unwrap_or(u64::MAX), code.as_str());
            let codes = systems.entry(system).or_default();
            let (known, by) = *codes.entry(key).or_insert((text, &mapping.name));
            if known != text {
                let (first, second) =
                    ((by.to_owned(), known.to_owned()), (mapping.name.clone(), text.clone()));
                let (system, code) = (system.clone(), code.clone());
                return Err(Box::new(CodeClash { system, code, first, second }));
            }
        }
    }
    let base = identifier_base.trim_end_matches('/');
    Ok(systems.into_iter().map(|(name, codes)| resource(base, name, &codes)).collect())
}

fn resource(base: &str, name: &str, codes: &Codes<'_>) -> CodeSystem {
    let url = format!("{base}/CodeSystem/{name}");
    let concept = codes.iter().map(|((_, code), (text, _))| Concept { code, display: text });
    let resource = Resource {
        resource_type: "CodeSystem",
        id: name,
        url: &url,
        name: machine_name(name),
        title: name,
        status: "active",
        experimental: false,
        case_sensitive: true,
        content: "complete",
        count: codes.len(),
        concept: concept.collect(),
    };
    // Texts and numbers only: writing them does not fail.
    let json = serde_json::to_string_pretty(&resource).unwrap_or_default();
    CodeSystem { name: name.to_owned(), url, json }
}

/// `withings-meastype` as `WithingsMeastype`: the form that CodeSystem.name should have.
fn machine_name(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    name.split('-').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://ohx.example/ns";

    fn built_in() -> Vec<Mapping> {
        crate::BUILT_IN
            .iter()
            .map(|(.., text)| Mapping::parse(text).unwrap_or_else(|e| panic!("{e}")))
            .collect()
    }

    fn mapping(name: &str, text: &str) -> Mapping {
        let document = format!(
            "{{mapping: {name}, version: 1, system: s, extract: {{each: e, id: i, time: from_unix(t), readings: \
             [{{kind: k, value: {{number: n}}}}]}}, observe: {{k: {{category: exam, code: {{local: {{measure: m, \
             provider-code: 7}}, text: {text}}}, value: {{unit: kg}}}}}}}}"
        );
        Mapping::parse(&document).unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_built_in_documents_call_every_code_by_one_name() {
        let mappings = built_in();
        let systems = code_systems(mappings.iter(), BASE).unwrap_or_else(|e| panic!("{e}"));
        let names: Vec<&str> = systems.iter().map(|s| s.name.as_str()).collect();
        let expected = [
            "cardio-fitness-level",
            "detection",
            "glucose-meal",
            "glucose-source",
            "glucose-specimen",
            "glucose-timing",
            "google-exercise-type",
            "meal-relation",
            "measure",
            "measurement-site",
            "resting-heart-rate-method",
            "rhythm-classification",
            "sleep-session",
            "sleep-state",
            "temperature-site",
            "vo2max-confidence",
            "vo2max-method",
            "withings-meastype",
            "withings-position",
            "withings-workout",
        ];
        assert_eq!(names, expected);
    }

    /// Every code that the prepared text of an Observation has, from the text itself.
    #[test]
    fn every_own_code_of_an_observation_is_in_its_system() {
        let mappings = built_in();
        let systems = code_systems(mappings.iter(), BASE).unwrap();
        let mut met = 0;
        for mapping in &mappings {
            let kinds = mapping.kinds.iter().flat_map(|k| k.slots.iter().map(|s| &s.before).chain([&k.body]));
            let sites = mapping.extracts.iter().flat_map(|e| &e.items).flat_map(|i| i.sites.values());
            for text in kinds.chain(sites) {
                for coding in text.split("\"system\":\"").filter_map(|t| t.strip_prefix(crate::plan::BASE)) {
                    let (system, rest) = coding.split_once("\",\"code\":\"").unwrap();
                    let (code, _) = rest.split_once('"').unwrap();
                    let own = systems.iter().find(|s| s.url == format!("{BASE}{system}")).unwrap();
                    let resource: serde_json::Value = serde_json::from_str(&own.json).unwrap();
                    let concepts = resource["concept"].as_array().unwrap();
                    assert_eq!(concepts.iter().filter(|c| c["code"] == code).count(), 1, "{system} {code}");
                    met += 1;
                }
            }
        }
        assert!(met > 100, "{met}");
    }

    #[test]
    fn a_code_system_is_written_as_r5_has_it() {
        let (one, two) = (mapping("a/one", "Mass"), mapping("a/two", "Mass"));
        let systems = code_systems([&one, &two].into_iter(), "https://ohx.example/ns/").unwrap();
        let expected = serde_json::json!({
            "resourceType": "CodeSystem", "id": "provider-code", "url": "https://ohx.example/ns/CodeSystem/provider-code",
            "name": "ProviderCode", "title": "provider-code", "status": "active", "experimental": false,
            "caseSensitive": true, "content": "complete", "count": 1, "concept": [{"code": "7", "display": "Mass"}],
        });
        assert_eq!(systems.len(), 2);
        assert_eq!(systems[1].url, expected["url"].as_str().unwrap());
        assert_eq!(serde_json::from_str::<serde_json::Value>(&systems[1].json).unwrap(), expected);
    }

    #[test]
    fn numbers_come_in_their_order() {
        let mappings = built_in();
        let systems = code_systems(mappings.iter(), BASE).unwrap();
        let workouts = systems.iter().find(|s| s.name == "withings-workout").unwrap();
        let (two, ten) = (workouts.json.find("\"2\"").unwrap(), workouts.json.find("\"10\"").unwrap());
        assert!(two < ten);
    }

    #[test]
    fn a_code_with_two_names_is_refused() {
        let (one, two) = (mapping("a/one", "Mass"), mapping("a/two", "Weight"));
        let clash = code_systems([&one, &two].into_iter(), BASE).unwrap_err();
        let expected = "the code m of the code system measure is called \"Mass\" in a/one and \"Weight\" in a/two; \
                        give it one text";
        assert_eq!(clash.to_string(), expected);
    }
}
