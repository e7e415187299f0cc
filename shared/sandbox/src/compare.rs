//! Provider and EHR, held against each other: what is missing, doubled or altered.
//!
//! The EHR is read over FHIR REST like any client would, so that this works with every server.

use std::collections::{BTreeMap, HashMap};

use ohx_domain::Instant;
use ohx_domain::decimal::{Exact, parse_json_number, scale10};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::withings::{Kind, Reading, Simulator, SimulatorError};

/// Why the two could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The provider's side.
    #[error(transparent)]
    Simulator(#[from] SimulatorError),
    /// The EHR's side.
    #[error("the EHR did not answer a search for Observations: {0}")]
    Ehr(String),
}

/// One kind of reading of one person.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Readings that the provider has, and a correct consumer delivers.
    pub provider: usize,
    /// Observations that the EHR has.
    pub ehr: usize,
    /// Observations beyond the first of the same reading.
    pub duplicates: usize,
    /// Readings that the EHR does not have.
    pub missing: usize,
    /// Observations whose value, digits or time differ from the reading's.
    pub altered: usize,
    /// Observations of readings that the provider does not have.
    pub strange: usize,
}

impl Row {
    /// Whether both sides say the same.
    pub const fn agrees(&self) -> bool {
        self.provider == self.ehr && self.duplicates + self.missing + self.altered + self.strange == 0
    }
}

impl std::ops::AddAssign for Row {
    fn add_assign(&mut self, other: Self) {
        self.provider += other.provider;
        self.ehr += other.ehr;
        self.duplicates += other.duplicates;
        self.missing += other.missing;
        self.altered += other.altered;
        self.strange += other.strange;
    }
}

/// Compares one person's readings with one patient's Observations, by kind.
///
/// # Errors
/// [`CompareError`].
pub async fn compare(
    simulator: &Simulator,
    person: u64,
    http: &reqwest::Client,
    fhir_base: &str,
    patient: &str,
) -> Result<BTreeMap<String, Row>, CompareError> {
    let readings = simulator.readings(person)?;
    let observations = observations(http, fhir_base, patient).await?;
    let mut rows: BTreeMap<String, Row> = BTreeMap::new();
    let mut wanted: HashMap<(i64, Kind), &Reading> = HashMap::new();
    for reading in &readings {
        rows.entry(reading.kind.to_owned()).or_default().provider += 1;
        wanted.insert((reading.grpid, reading.kind), reading);
    }
    let mut seen: HashMap<(i64, String), usize> = HashMap::new();
    for observation in &observations {
        let Some((grpid, kind)) = observation.record() else {
            rows.entry("unidentified".to_owned()).or_default().strange += 1;
            continue;
        };
        let row = rows.entry(kind.clone()).or_default();
        row.ehr += 1;
        let times = seen.entry((grpid, kind.clone())).or_default();
        *times += 1;
        if *times > 1 {
            row.duplicates += 1;
            continue;
        }
        match wanted.iter().find(|((g, k), _)| *g == grpid && *k == kind).map(|(_, reading)| reading) {
            None => row.strange += 1,
            Some(reading) if !observation.says(reading) => row.altered += 1,
            Some(_) => {}
        }
    }
    for (grpid, kind) in wanted.keys() {
        if !seen.contains_key(&(*grpid, (*kind).to_owned())) {
            rows.entry((*kind).to_owned()).or_default().missing += 1;
        }
    }
    Ok(rows)
}

/// How many Observations a patient has, without reading them.
///
/// # Errors
/// [`CompareError::Ehr`].
pub async fn count(http: &reqwest::Client, fhir_base: &str, patient: &str) -> Result<usize, CompareError> {
    #[derive(Deserialize)]
    struct Counted {
        total: usize,
    }
    let url = format!("{fhir_base}/Observation?subject={patient}&_summary=count");
    let counted: Counted = get(http, &url).await?;
    Ok(counted.total)
}

/// What of an Observation is compared. It has no `Debug`: it holds values.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    #[serde(default)]
    identifier: Vec<Identifier>,
    effective_date_time: Option<String>,
    value_quantity: Option<Quantity>,
    #[serde(default)]
    component: Vec<Component>,
}

#[derive(Deserialize)]
struct Identifier {
    value: String,
}

#[derive(Deserialize)]
struct Quantity {
    value: Box<RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    value_quantity: Option<Quantity>,
}

impl Observation {
    /// The group and kind in `<account>.<grpid>.<kind>`.
    fn record(&self) -> Option<(i64, String)> {
        let mut fields = self.identifier.first()?.value.splitn(3, '.').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.to_owned()))
    }

    /// Whether it says what the reading says, to the last digit, at the same instant.
    fn says(&self, reading: &Reading) -> bool {
        let at = self.effective_date_time.as_deref().and_then(|text| text.parse::<Instant>().ok());
        let quantities =
            self.value_quantity.iter().chain(self.component.iter().filter_map(|c| c.value_quantity.as_ref()));
        let values: Vec<_> = quantities.map(|q| q.value.get().to_owned()).collect();
        let wanted: Vec<_> = reading.values.iter().filter_map(|v| in_fhir_unit(reading.kind, v)).collect();
        at.map(Instant::as_second) == Some(reading.date) && values == wanted
    }
}

/// A value as FHIR's profile wants it: Withings sends heights in metres, the profile takes centimetres.
fn in_fhir_unit(kind: Kind, value: &str) -> Option<String> {
    let exact: Exact = parse_json_number(value)?;
    let power = if kind == "body-height" { 2 } else { 0 };
    scale10(exact, power).map(|v| v.to_string())
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    entry: Vec<Entry>,
    #[serde(default)]
    link: Vec<Link>,
}

#[derive(Deserialize)]
struct Entry {
    resource: Observation,
}

#[derive(Deserialize)]
struct Link {
    relation: String,
    url: String,
}

async fn get<T: serde::de::DeserializeOwned>(http: &reqwest::Client, url: &str) -> Result<T, CompareError> {
    let failed = |e: reqwest::Error| CompareError::Ehr(e.without_url().to_string());
    let response = http.get(url).header("accept", "application/fhir+json").send().await.map_err(failed)?;
    let status = response.status();
    let body = response.bytes().await.map_err(failed)?;
    let unreadable = |e: serde_json::Error| {
        CompareError::Ehr(format!("HTTP {status}, unreadable at line {} column {}", e.line(), e.column()))
    };
    serde_json::from_slice(&body).map_err(unreadable)
}

async fn observations(
    http: &reqwest::Client,
    fhir_base: &str,
    patient: &str,
) -> Result<Vec<Observation>, CompareError> {
    let mut all = Vec::new();
    let mut next = Some(format!("{fhir_base}/Observation?subject={patient}&_count=500"));
    while let Some(url) = next {
        let page: Bundle = get(http, &url).await?;
        all.extend(page.entry.into_iter().map(|e| e.resource));
        next = page.link.into_iter().find(|l| l.relation == "next").map(|l| l.url);
    }
    Ok(all)
}
