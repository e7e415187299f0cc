//! What is mapped: every built-in document over its own examples and over the pages of its record: the recorded ones,
//! `tests/fixtures/<provider>/<record>-*.json`, and `tests/r5/pages`, written after the provider sheets so that every
//! kind of reading comes out.

use std::sync::LazyLock;

use ohx_domain::{Identifier, Instant, Interval, Sensitive, account_pseudonym};
use ohx_events::sealed::MappedResource;
use ohx_mapping::{BUILT_IN, Context, Mapped, Mapping};
use serde_json::value::RawValue;

use crate::json::Json;

/// What our own systems begin with.
pub(crate) const BASE: &str = "https://ohx.example/ns";

/// A document, and the pages that it is for.
pub(crate) struct Source {
    pub(crate) provider: &'static str,
    pub(crate) record: &'static str,
    pub(crate) mapping: Mapping,
    /// The document as data.
    pub(crate) document: serde_json::Value,
    /// Where a page is from, and its text.
    pub(crate) pages: Vec<(String, String)>,
}

/// An Observation that came out.
pub(crate) struct Output {
    /// The document and the page.
    pub(crate) from: String,
    pub(crate) record: &'static str,
    pub(crate) kind: String,
    /// As `publish` takes it.
    pub(crate) mapped: MappedResource,
    pub(crate) json: Json,
}

impl Output {
    /// Its JSON text.
    pub(crate) fn text(&self) -> &str {
        self.mapped.resource.get()
    }
}

/// The documents.
pub(crate) static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let source = |(provider, record, text): &(&'static str, &'static str, &'static str)| {
        let mapping = Mapping::parse(text).unwrap_or_else(|e| panic!("{provider}/{record}: {e}"));
        let document: serde_json::Value = serde_saphyr::from_str(text).unwrap();
        let mut pages = Vec::new();
        for example in document["examples"].as_array().into_iter().flatten() {
            let text = |name: &str| example[name].as_str().unwrap().to_owned();
            pages.push((format!("{provider}/{record}, example {}", text("name")), text("page")));
        }
        pages.extend(files(provider, record));
        Source { provider, record, mapping, document, pages }
    };
    BUILT_IN.iter().map(source).collect()
});

/// The pages of a record that are files. A file belongs to the record with the longest name that it begins with.
fn files(provider: &str, record: &str) -> Vec<(String, String)> {
    let folders = ["fixtures", "r5/pages"].map(|f| format!("{}/{f}/{provider}", env!("CARGO_MANIFEST_DIR")));
    let files = folders.iter().filter_map(|f| std::fs::read_dir(f).ok()).flatten().map(|f| f.unwrap().path());
    let belongs = |name: &str| {
        let records = BUILT_IN.iter().filter(|(p, ..)| *p == provider).map(|(_, r, _)| *r);
        let begins = |r: &&str| name.strip_prefix(r).is_some_and(|rest| rest.starts_with(['-', '.']));
        records.filter(begins).max_by_key(|r| r.len()) == Some(record)
    };
    let page = |path: std::path::PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        let is_page = name.ends_with(".json") && !name.ends_with(".expected.json") && belongs(&name);
        is_page.then(|| (format!("{provider}/{name}"), std::fs::read_to_string(&path).unwrap()))
    };
    let mut pages: Vec<_> = files.filter_map(page).collect();
    pages.sort();
    pages
}

impl Source {
    /// Maps a page as one that holds everything of all times.
    pub(crate) fn map(&self, page: &str) -> Option<Mapped> {
        let provider = self.provider.parse().unwrap();
        let subject = "Patient/p1".parse().unwrap();
        let account = account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &subject);
        let covers = Interval::new(Instant::MIN, Instant::MAX);
        let context = Context { identifier_base: BASE.into(), provider, account, subject, covers };
        self.mapping.map(page.as_bytes(), &context).ok()
    }
}

/// A page's Observations, and the Devices that they were made with, as `transform` hands them on.
pub(crate) fn resources(
    source: &Source,
    mapped: Mapped,
) -> (Vec<(String, MappedResource)>, Vec<MappedResource>) {
    let provider = source.provider.parse().unwrap();
    let subject = "Patient/p1".parse().unwrap();
    let account = account_pseudonym(&provider, &Sensitive::new("363".to_owned()), &subject);
    let (mut observations, mut devices) = (Vec::new(), Vec::<MappedResource>::new());
    for observation in mapped.observations {
        let mut device: Option<Identifier> = None;
        if let Some(facts) = &observation.device {
            let (model, model_id) = (facts.model.as_deref(), facts.model_id.as_deref());
            if let Ok(built) =
                ohx_fhir::device(BASE, &provider, "Withings", &account, &facts.id, model, model_id)
            {
                device = Some(built.identifier.clone());
                devices.push(built);
            }
        }
        let resource = MappedResource {
            identifier: observation.identifier,
            digest: observation.digest,
            issued: observation.issued,
            taken: Some(observation.taken),
            device,
            only_if_missing: false,
            resource: RawValue::from_string(observation.resource.get().to_owned()).expect("JSON"),
        };
        observations.push((observation.kind.to_string(), resource));
    }
    devices.sort_by(|a, b| a.identifier.value.cmp(&b.identifier.value));
    devices.dedup_by(|a, b| a.identifier == b.identifier);
    (observations, devices)
}

/// Everything that comes out of the documents' examples and the recorded pages: Observations and Devices.
pub(crate) static OUTPUTS: LazyLock<(Vec<Output>, Vec<MappedResource>)> = LazyLock::new(|| {
    let (mut outputs, mut devices) = (Vec::new(), Vec::new());
    for source in SOURCES.iter() {
        for (from, page) in &source.pages {
            let mapped = source.map(page).unwrap_or_else(|| panic!("{from} is not a page"));
            let (observations, of_page) = resources(source, mapped);
            devices.extend(of_page);
            outputs.extend(observations.into_iter().map(|(kind, mapped)| Output {
                from: from.clone(),
                record: source.record,
                kind,
                json: Json::parse(mapped.resource.get()).unwrap_or_else(|e| panic!("{from}: {e}")),
                mapped,
            }));
        }
    }
    (outputs, devices)
});
