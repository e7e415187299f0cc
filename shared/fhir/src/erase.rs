//! Marking everything that a link has published (FHIR R5 Observation.status `entered-in-error`).
//!
//! All of the patient's readings are looked through, because a mapping document names the system of its identifiers itself; only
//! what has an identifier of ours that begins with the account's pseudonym is marked.

use serde_json::value::RawValue;

use crate::decide::TAKEN_BACK;
use crate::search::Kind;
use crate::wire::{Bundle, Existing, is_id};
use crate::{EhrClient, EhrError};

const CALL: &str = "a search for published readings";
/// Marking changes what a search finds, and in which order: it is searched again until nothing is left.
const MAX_PASSES: usize = 20;

impl EhrClient {
    /// Marks every reading of `patient` (a reference) that has an identifier whose system begins with `systems` and whose value
    /// begins with `owner`. Gives how many were
    /// marked now; what is marked already stays as it is, so it may be called again.
    ///
    /// # Errors
    /// [`EhrError`] where the endpoint does not say what it has, or will not have one marked; what was marked stays so.
    pub async fn mark_all(
        &self,
        identifier_base: &str,
        systems: &str,
        owner: &str,
        patient: &str,
    ) -> Result<usize, EhrError> {
        let tag_system = format!("{}/content-digest", identifier_base.trim_end_matches('/'));
        let mut marked = 0;
        for _ in 0..MAX_PASSES {
            let mut url = self.url(&[Kind::Observation.as_str()]);
            url.query_pairs_mut().append_pair("subject", patient).append_pair("_count", "200");
            let (mut next, mut found) = (Some(url), 0);
            while let Some(url) = next.take() {
                let answer = self.send(CALL, self.http.get(url)).await?;
                let bundle: Bundle = serde_json::from_str(&answer.body)
                    .ok()
                    .filter(|bundle: &Bundle| answer.status == 200 && bundle.kind == "searchset")
                    .ok_or_else(|| {
                        self.not_fhir(CALL, format!("HTTP {} and no searchset Bundle", answer.status))
                    })?;
                let resources = bundle.entry.into_iter().filter_map(|entry| entry.resource);
                for resource in resources.filter(|resource| is_left(resource, systems, owner)) {
                    found += 1;
                    marked += usize::from(self.mark(&resource, &tag_system).await?);
                }
                next = bundle
                    .link
                    .iter()
                    .find(|link| link.relation == "next")
                    .and_then(|link| self.same_origin(&link.url));
            }
            if found == 0 {
                return Ok(marked);
            }
        }
        Err(self.unavailable(CALL, "it keeps finding readings that were marked".into(), false))
    }
}

/// Whether it is a reading of ours that is not marked yet.
fn is_left(resource: &RawValue, systems: &str, owner: &str) -> bool {
    let Ok(existing) = serde_json::from_str::<Existing>(resource.get()) else { return false };
    let ours =
        existing.identifier.iter().any(|own| own.system.starts_with(systems) && own.value.starts_with(owner));
    existing.resource_type == Kind::Observation.as_str()
        && is_id(&existing.id)
        && existing.status.as_deref() != Some(TAKEN_BACK)
        && ours
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_readings_of_the_account_that_are_not_marked_are_left() {
        let left = |kind: &str, system: &str, value: &str, status: &str| {
            let text = format!(
                r#"{{"resourceType":"{kind}","id":"a","identifier":[{{"system":"{system}","value":"{value}"}}],"status":"{status}"}}"#
            );
            is_left(&RawValue::from_string(text).unwrap(), "https://ohx/ns/w/", "me.")
        };
        assert!(left("Observation", "https://ohx/ns/w/getmeas", "me.1.weight", "final"));
        assert!(left("Observation", "https://ohx/ns/w/getmeas", "me.1.weight", "amended"));
        assert!(!left("Observation", "https://ohx/ns/w/getmeas", "me.1.weight", "entered-in-error"));
        assert!(!left("Observation", "https://ohx/ns/w/getmeas", "you.1.weight", "final"));
        assert!(!left("Observation", "https://ohx/ns/v/getmeas", "me.1.weight", "final"));
        assert!(!left("Device", "https://ohx/ns/w/getmeas", "me.1.weight", "active"));
    }
}
