//! `.well-known/smart-configuration` (SMART App Launch 2.2, "Conformance").

use std::time::Duration;

use ohx_domain::{Instant, SigningAlgorithm};
use reqwest::header::ACCEPT;
use serde::Deserialize;
use url::Url;

use crate::{EhrClient, EhrError};

const CALL: &str = "its .well-known/smart-configuration";

/// How long it is believed.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What of it is used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct SmartConfiguration {
    pub(super) token_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_signing_alg_values_supported: Vec<String>,
    #[serde(default)]
    capabilities: Vec<String>,
}

impl SmartConfiguration {
    /// Whether it knows scopes of version 1 only.
    pub(super) fn only_v1(&self) -> bool {
        let has = |name: &str| self.capabilities.iter().any(|capability| capability == name);
        has("permission-v1") && !has("permission-v2")
    }

    /// The algorithm to sign with: the first of ours that it takes. `None` where it takes neither.
    pub(super) fn algorithm(&self) -> Option<SigningAlgorithm> {
        let taken = &self.token_endpoint_auth_signing_alg_values_supported;
        let ours = |algorithm: &SigningAlgorithm| taken.iter().any(|name| name == algorithm.as_str());
        if taken.is_empty() {
            return Some(SigningAlgorithm::default());
        }
        SigningAlgorithm::ALL.into_iter().find(ours)
    }
}

impl EhrClient {
    /// The server's smart-configuration; `None` where it has none. `known` is what is remembered of it.
    ///
    /// # Errors
    /// [`EhrError::Unavailable`].
    pub(super) async fn smart_configuration(
        &self,
        known: &mut Option<(Option<SmartConfiguration>, Instant)>,
    ) -> Result<Option<SmartConfiguration>, EhrError> {
        let now = self.now();
        if let Some((configuration, since)) = known
            && now < *since + BELIEVED
        {
            return Ok(configuration.clone());
        }
        let request = self.http.get(self.url(&[".well-known", "smart-configuration"]));
        let request = request.header(ACCEPT, "application/json");
        let response = request.send().await.map_err(|error| self.transport(CALL, &error))?;
        let status = response.status().as_u16();
        if matches!(status, 408 | 425 | 429 | 500..=599) {
            return Err(self.busy(CALL, status, response.headers()));
        }
        let body = self.read(CALL, response).await?;
        // A page of HTML with status 200 is as good as none.
        let configuration = (status == 200).then(|| serde_json::from_str(&body).ok()).flatten();
        *known = Some((configuration.clone(), now));
        Ok(configuration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_algorithm_is_one_that_the_server_takes() {
        let read = |taken: &str| {
            let text = format!(r#"{{"token_endpoint_auth_signing_alg_values_supported":{taken},"other":1}}"#);
            serde_json::from_str::<SmartConfiguration>(&text).unwrap().algorithm()
        };
        assert_eq!(read(r#"["RS384"]"#), Some(SigningAlgorithm::RS384));
        assert_eq!(read(r#"["RS256","RS384","ES384"]"#), Some(SigningAlgorithm::ES384));
        assert_eq!(read(r#"["RS256"]"#), None);
        assert_eq!(read("[]"), Some(SigningAlgorithm::ES384));
    }

    #[test]
    fn the_older_scopes_are_for_servers_that_know_no_other() {
        let only_v1 = |capabilities: &str| {
            let text = format!(r#"{{"capabilities":{capabilities}}}"#);
            serde_json::from_str::<SmartConfiguration>(&text).unwrap().only_v1()
        };
        assert!(only_v1(r#"["permission-v1"]"#));
        assert!(!only_v1(r#"["permission-v1","permission-v2"]"#));
        assert!(!only_v1("[]"));
    }
}
