//! Marking readings that the provider has no more (FHIR R5 Observation.status `entered-in-error`).
//!
//! Only what is ours is looked at: the identifier has our system and begins with the account's pseudonym. Only what lies in
//! the window as a whole is marked, and only what the provider does not list any more.

use ohx_domain::{Instant, Interval};
use ohx_events::sealed::Removed;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::client::FHIR_JSON;
use crate::decide::TAKEN_BACK;
use crate::search::Kind;
use crate::splice::{Object, quote, set_tag};
use crate::wire::{Bundle, Existing, is_id};
use crate::{EhrClient, EhrError};

const CALL: &str = "a search for removed readings";
const MARK: &str = "marking a removed reading";
/// The digest of a reading that was taken back: the same reading, brought again, says something else.
const DIGEST: &str = "taken-back";
/// Pages of results that are read.
const MAX_PAGES: usize = 50;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct When {
    effective_date_time: Option<String>,
    effective_instant: Option<String>,
    effective_period: Option<Period>,
}

#[derive(Deserialize)]
struct Period {
    start: Option<String>,
    end: Option<String>,
}

impl When {
    /// Whether all of it lies in `window`, and nothing on its edges: providers list windows that are open at one end, so that
    /// what begins or ends there may be missing from the list and be there all the same. A time that cannot be read lies
    /// nowhere.
    fn within(&self, window: &Interval) -> bool {
        let inside = |text: &Option<String>| {
            let at: Option<Instant> = text.as_deref().and_then(|text| text.parse().ok());
            at.is_some_and(|at| window.start < at && at < window.end)
        };
        match &self.effective_period {
            Some(period) => inside(&period.start) && inside(&period.end),
            None => inside(&self.effective_date_time) || inside(&self.effective_instant),
        }
    }
}

impl EhrClient {
    /// Marks the readings that the provider has no more as entered in error. Returns how many were marked now.
    ///
    /// # Errors
    /// [`EhrError`] where the endpoint does not say what it has, or will not have one marked; what was marked stays so.
    pub async fn take_back(&self, identifier_base: &str, removed: &Removed) -> Result<usize, EhrError> {
        let tag_system = format!("{}/content-digest", identifier_base.trim_end_matches('/'));
        let mut url = self.url(&[Kind::Observation.as_str()]);
        url.query_pairs_mut()
            .append_pair("identifier", &format!("{}|", removed.system))
            .append_pair("date", &format!("ge{}", removed.window.start))
            .append_pair("date", &format!("le{}", removed.window.end))
            .append_pair("_count", "100");
        let (mut next, mut marked) = (Some(url), 0);
        let mut gone = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next.take() else { break };
            let answer = self.send(CALL, self.http.get(url)).await?;
            let bundle: Bundle = serde_json::from_str(&answer.body)
                .ok()
                .filter(|bundle: &Bundle| answer.status == 200 && bundle.kind == "searchset")
                .ok_or_else(|| {
                    self.not_fhir(CALL, format!("HTTP {} and no searchset Bundle", answer.status))
                })?;
            gone.extend(
                bundle.entry.into_iter().filter_map(|entry| entry.resource).filter(|r| is_gone(r, removed)),
            );
            next = bundle
                .link
                .iter()
                .find(|link| link.relation == "next")
                .and_then(|link| self.same_origin(&link.url));
        }
        for resource in &gone {
            marked += usize::from(self.mark(resource, &tag_system).await?);
        }
        Ok(marked)
    }

    pub(crate) async fn mark(&self, resource: &RawValue, tag_system: &str) -> Result<bool, EhrError> {
        let broken = || self.not_fhir(MARK, "a resource in its answer has another shape than FHIR's".into());
        let existing: Existing = serde_json::from_str(resource.get()).map_err(|_| broken())?;
        let mut object = Object::parse(resource).map_err(|_| broken())?;
        object.set("status", quote(TAKEN_BACK)).map_err(|_| broken())?;
        set_tag(&mut object, tag_system, DIGEST).map_err(|_| broken())?;
        let url = self.url(&[Kind::Observation.as_str(), &existing.id]);
        let mut request = self.http.put(url).header(CONTENT_TYPE, FHIR_JSON).body(object.to_json());
        if let Some(version) = existing.meta.version_id.filter(|version| is_id(version)) {
            request = request.header("if-match", format!("W/\"{version}\""));
        }
        let answer = self.send(MARK, request).await?;
        match answer.status {
            200..=299 => Ok(true),
            // Somebody changed it meanwhile: another look decides.
            409 | 412 => Err(self.unavailable(MARK, format!("HTTP {}", answer.status), false)),
            status => Err(self.not_fhir(MARK, format!("HTTP {status}"))),
        }
    }
}

fn is_gone(resource: &RawValue, removed: &Removed) -> bool {
    let read = |text: &str| -> Option<(Existing, When)> {
        Some((serde_json::from_str(text).ok()?, serde_json::from_str(text).ok()?))
    };
    let Some((existing, when)) = read(resource.get()) else { return false };
    let ours = existing.identifier.iter().find(|identifier| identifier.system == removed.system);
    existing.resource_type == Kind::Observation.as_str()
        && is_id(&existing.id)
        && existing.status.as_deref() != Some(TAKEN_BACK)
        && ours.is_some_and(|own| own.value.starts_with(&removed.owner) && !removed.kept.contains(&own.value))
        && when.within(&removed.window)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed() -> Removed {
        let at = |text: &str| text.parse::<Instant>().unwrap();
        Removed {
            window: Interval::new(at("2026-11-20T10:00:00Z"), at("2026-11-20T12:00:00Z")).unwrap(),
            system: "https://ohx.example/ns/fitbit/weight".into(),
            owner: "pseudonym.".into(),
            kept: vec!["pseudonym.1.weight".into()],
        }
    }

    fn reading(system: &str, value: &str, status: &str, effective: &str) -> Box<RawValue> {
        RawValue::from_string(format!(
            r#"{{"resourceType":"Observation","id":"a","identifier":[{{"system":"{system}","value":"{value}"}}],
                "status":"{status}",{effective}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn only_what_is_ours_within_the_window_and_not_listed_any_more_is_gone() {
        let (system, inside) =
            ("https://ohx.example/ns/fitbit/weight", r#""effectiveDateTime":"2026-11-20T12:30:00+02:00""#);
        let gone = |system: &str, value: &str, status: &str, effective: &str| {
            is_gone(&reading(system, value, status, effective), &removed())
        };
        assert!(gone(system, "pseudonym.2.weight", "final", inside));
        for (system, value, status, effective) in [
            ("https://else.example", "pseudonym.2.weight", "final", inside),
            (system, "other.2.weight", "final", inside),
            (system, "pseudonym.1.weight", "final", inside),
            (system, "pseudonym.2.weight", "entered-in-error", inside),
            (system, "pseudonym.2.weight", "final", r#""effectiveDateTime":"2026-11-20T12:30:00Z""#),
            (system, "pseudonym.2.weight", "final", r#""effectiveDateTime":"2026-11-20T10:00:00Z""#),
            (system, "pseudonym.2.weight", "final", r#""effectiveDateTime":"2026-11-20T12:00:00Z""#),
            (system, "pseudonym.2.weight", "final", r#""effectiveDateTime":"2026-11-20""#),
            (system, "pseudonym.2.weight", "final", r#""code":{}"#),
            // A night that began before the window is not told of by it.
            (
                system,
                "pseudonym.2.weight",
                "final",
                r#""effectivePeriod":{"start":"2026-11-20T09:00:00Z","end":"2026-11-20T11:00:00Z"}"#,
            ),
        ] {
            assert!(!gone(system, value, status, effective), "{system} {value} {status} {effective}");
        }
        let night = r#""effectivePeriod":{"start":"2026-11-20T10:00:01Z","end":"2026-11-20T11:00:00Z"}"#;
        assert!(gone(system, "pseudonym.2.sleep", "final", night));
    }
}
