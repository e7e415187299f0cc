//! Finding a patient that is named by an identifier.

use ohx_domain::PatientReference;
use serde::Deserialize;

use crate::wire::{Bundle, is_id};
use crate::{EhrClient, EhrError};

const CALL: &str = "a search for a patient";

/// What an identifier stands for at an EHR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FoundPatient {
    /// One patient.
    One(PatientReference),
    /// Nobody, yet.
    Nobody,
    /// More than one: whose readings these are cannot be told.
    Several,
}

#[derive(Deserialize)]
struct Patient {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(default)]
    id: String,
}

impl EhrClient {
    /// Whether the endpoint lets us search for readings, tried with an identifier that no reading has.
    ///
    /// # Errors
    /// [`EhrError`] where it does not.
    pub async fn try_search(&self, identifier_base: &str) -> Result<(), EhrError> {
        let mut url = self.url(&["Observation"]);
        let token = format!("{}/none|none", identifier_base.trim_end_matches('/'));
        url.query_pairs_mut()
            .append_pair("identifier", &token)
            .append_pair("_elements", "id")
            .append_pair("_count", "1");
        let call = "a search for a reading";
        let answer = self.send(call, self.http.get(url)).await?;
        let bundle: Option<Bundle> = serde_json::from_str(&answer.body).ok();
        match bundle.filter(|bundle| answer.status == 200 && bundle.kind == "searchset") {
            Some(_) => Ok(()),
            None => Err(self.not_fhir(call, format!("HTTP {} and no searchset Bundle", answer.status))),
        }
    }

    /// The patient with the identifier `token` (`<system>|<value>`).
    ///
    /// # Errors
    /// [`EhrError`] where the endpoint does not say.
    pub async fn find_patient(&self, token: &str) -> Result<FoundPatient, EhrError> {
        let mut url = self.url(&["Patient"]);
        url.query_pairs_mut()
            .append_pair("identifier", token)
            .append_pair("_elements", "id")
            .append_pair("_count", "3");
        let answer = self.send(CALL, self.http.get(url)).await?;
        let bundle: Bundle = serde_json::from_str(&answer.body)
            .ok()
            .filter(|bundle: &Bundle| answer.status == 200 && bundle.kind == "searchset")
            .ok_or_else(|| self.not_fhir(CALL, format!("HTTP {} and no searchset Bundle", answer.status)))?;
        let mut ids: Vec<String> = bundle
            .entry
            .iter()
            .filter_map(|entry| serde_json::from_str(entry.resource.as_ref()?.get()).ok())
            .filter(|patient: &Patient| patient.resource_type == "Patient" && is_id(&patient.id))
            .map(|patient| patient.id)
            .collect();
        ids.sort_unstable();
        ids.dedup();
        Ok(match ids.as_slice() {
            [] => FoundPatient::Nobody,
            [id] => match format!("Patient/{id}").parse() {
                Ok(reference) => FoundPatient::One(reference),
                Err(_) => return Err(self.not_fhir(CALL, "the patient's id is none".into())),
            },
            _ => FoundPatient::Several,
        })
    }
}
