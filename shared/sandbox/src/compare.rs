//! Provider and EHR, held against each other: what is missing, doubled or altered.
//!
//! The EHR is read over FHIR REST like any client would, so that this works with every server. A reading is told by the
//! end of its identifier's system, which is the record, and by what follows the account in its value.

mod observation;

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use self::observation::Observation;
use crate::Reading;

/// Why the two could not be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The EHR's side.
    #[error("the EHR did not answer a search for Observations: {0}")]
    Ehr(String),
}

/// One kind of reading of one record of one person.
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
    /// Observations whose code, value, digits, unit, time or offset differ from the reading's.
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

impl std::iter::Sum for Row {
    fn sum<I: Iterator<Item = Self>>(rows: I) -> Self {
        rows.fold(Self::default(), |mut sum, row| {
            sum += row;
            sum
        })
    }
}

/// A record, such as `getmeas`, and a kind of its readings.
pub type RecordAndKind = (String, String);

/// Compares what a provider says that one person has with one patient's Observations from that provider's app, by record
/// and kind. Observations from other apps are not looked at; those from nobody count as strange.
///
/// # Errors
/// [`CompareError`].
pub async fn compare(
    provider: &str,
    readings: &[Reading],
    http: &reqwest::Client,
    fhir_base: &str,
    patient: &str,
) -> Result<BTreeMap<RecordAndKind, Row>, CompareError> {
    let mut observations = observations(http, fhir_base, patient).await?;
    observations.retain(|o| o.provider().is_none_or(|from| from == provider));
    Ok(held_against(readings, &observations))
}

/// The same for readings whose source knows no ids: what is the same code at the same time is the same reading.
///
/// # Errors
/// [`CompareError`].
pub async fn compare_by_time(
    provider: &str,
    readings: &[Reading],
    http: &reqwest::Client,
    fhir_base: &str,
    patient: &str,
) -> Result<BTreeMap<RecordAndKind, Row>, CompareError> {
    let mut observations = observations(http, fhir_base, patient).await?;
    observations.retain(|o| o.provider() == Some(provider));
    Ok(held_against(&named_by_time(readings, &observations), &observations))
}

/// The readings, with the identity that the Observation of their time has; else with none that any has.
fn named_by_time(readings: &[Reading], observations: &[Observation]) -> Vec<Reading> {
    let named = readings.iter().map(|reading| {
        let same = observations.iter().find(|o| o.is_of(reading.code, &reading.when));
        let identity = same.and_then(|o| o.reading()).and_then(|(_, identity, _)| identity.split_once('.'));
        Reading { id: identity.map(|(id, _)| id.to_owned()).unwrap_or_default(), ..reading.clone() }
    });
    named.collect()
}

/// The same with Observations that are at hand as JSON, whichever app they are from.
///
/// # Errors
/// The place of what is no Observation.
pub fn compare_texts<'a>(
    readings: &[Reading],
    observations: impl IntoIterator<Item = &'a str>,
) -> serde_json::Result<BTreeMap<RecordAndKind, Row>> {
    let observations = observations.into_iter().map(serde_json::from_str).collect::<Result<Vec<_>, _>>()?;
    Ok(held_against(readings, &observations))
}

/// The same for readings whose source knows no ids.
///
/// # Errors
/// As [`compare_texts`].
pub fn compare_texts_by_time<'a>(
    readings: &[Reading],
    observations: impl IntoIterator<Item = &'a str>,
) -> serde_json::Result<BTreeMap<RecordAndKind, Row>> {
    let observations = observations.into_iter().map(serde_json::from_str).collect::<Result<Vec<_>, _>>()?;
    Ok(held_against(&named_by_time(readings, &observations), &observations))
}

/// How many Observations of a code a patient has, by the way that they came to the provider: the code of the tag whose
/// system ends in `/origin`, or nothing.
///
/// # Errors
/// [`CompareError`].
pub async fn origins(
    http: &reqwest::Client,
    fhir_base: &str,
    patient: &str,
    code: &str,
) -> Result<BTreeMap<Option<String>, usize>, CompareError> {
    let mut counts = BTreeMap::new();
    for observation in observations(http, fhir_base, patient).await?.iter().filter(|o| o.has(code)) {
        *counts.entry(observation.origin().map(str::to_owned)).or_insert(0) += 1;
    }
    Ok(counts)
}

fn held_against(readings: &[Reading], observations: &[Observation]) -> BTreeMap<RecordAndKind, Row> {
    let mut rows: BTreeMap<RecordAndKind, Row> = BTreeMap::new();
    let mut wanted: HashMap<(&str, String), (&Reading, usize)> = HashMap::new();
    for reading in readings {
        rows.entry((reading.record.to_owned(), reading.kind.to_owned())).or_default().provider += 1;
        wanted.insert((reading.record, reading.identity()), (reading, 0));
    }
    let mut strangers: HashMap<(&str, String), usize> = HashMap::new();
    for observation in observations {
        let Some((record, identity, kind)) = observation.reading() else {
            rows.entry(("none".to_owned(), "unidentified".to_owned())).or_default().strange += 1;
            continue;
        };
        let row = rows.entry((record.to_owned(), kind.to_owned())).or_default();
        row.ehr += 1;
        let key = (record, identity.to_owned());
        match wanted.get_mut(&key) {
            Some((reading, seen)) => {
                *seen += 1;
                match *seen {
                    1 if observation.says(reading) => {}
                    1 => row.altered += 1,
                    _ => row.duplicates += 1,
                }
            }
            None => {
                let seen = strangers.entry(key).or_default();
                *seen += 1;
                if *seen == 1 {
                    row.strange += 1;
                } else {
                    row.duplicates += 1;
                }
            }
        }
    }
    for (reading, _) in wanted.values().filter(|(_, seen)| *seen == 0) {
        rows.entry((reading.record.to_owned(), reading.kind.to_owned())).or_default().missing += 1;
    }
    rows
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
        // What was taken back is no reading any more.
        all.extend(page.entry.into_iter().map(|e| e.resource).filter(|o| !o.taken_back()));
        next = page.link.into_iter().find(|l| l.relation == "next").map(|l| l.url);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OWN;

    fn reading(kind: &'static str, said: &str) -> Reading {
        Reading {
            record: "getmeas",
            id: "9".into(),
            kind,
            position: None,
            code: "29463-7",
            date: 1_720_000_000,
            when: "2024-07-03T11:46:40+02:00".into(),
            preliminary: false,
            values: [(OWN, said.to_owned())].into(),
        }
    }

    fn observation(identity: &str, value: &str) -> Observation {
        let text = format!(
            r#"{{"identifier":[{{"system":"https://a/ns/withings/getmeas","value":"x.{identity}"}}],"status":"final",
              "code":{{"coding":[{{"system":"http://loinc.org","code":"29463-7"}}]}},"effectiveDateTime":"2024-07-03T11:46:40+02:00",
              "valueQuantity":{{"value":{value},"unit":"kg","system":"http://unitsofmeasure.org","code":"kg"}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn each_reading_counts_for_what_became_of_it() {
        let readings = [reading("body-weight", "72.10 kg"), reading("bone-mass", "3 kg")];
        let row = |observations: &[Observation]| -> Row {
            held_against(&readings, observations).into_values().sum()
        };
        let (weight, bones) = (observation("9.body-weight", "72.10"), observation("9.bone-mass", "3"));
        assert!(row(&[weight, bones]).agrees());
        let found = row(&[
            observation("9.body-weight", "72.1"),
            observation("9.body-weight", "72.10"),
            observation("8.body-weight", "1"),
            observation("8.body-weight", "1"),
            serde_json::from_str(r#"{"status":"final"}"#).unwrap(),
        ]);
        let expected = Row { provider: 2, ehr: 4, duplicates: 2, missing: 1, altered: 1, strange: 2 };
        assert_eq!(found, expected);
    }
}
