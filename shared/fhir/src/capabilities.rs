//! Whether an endpoint can be written to, asked before anything is.

use ohx_domain::WriteStrategy;
use serde::Deserialize;

use crate::{EhrClient, EhrError};

const CALL: &str = "its CapabilityStatement";

/// What an endpoint's CapabilityStatement (`GET [base]/metadata`) says about writing readings to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Such as `5.0.0`.
    pub fhir_version: String,
    /// What stands against the endpoint's write strategy, for a person to read. A CapabilityStatement may be silent
    /// or wrong: these are warnings, and what the server does counts.
    pub warnings: Vec<String>,
}

#[derive(Deserialize)]
struct Statement {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "fhirVersion", default)]
    fhir_version: String,
    #[serde(default)]
    rest: Vec<Rest>,
}

#[derive(Deserialize)]
struct Rest {
    #[serde(default)]
    resource: Vec<Resource>,
    #[serde(default)]
    interaction: Vec<Interaction>,
}

#[derive(Deserialize)]
struct Interaction {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resource {
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    interaction: Vec<Interaction>,
    update_create: Option<bool>,
    conditional_create: Option<bool>,
}

fn offers(interactions: &[Interaction], code: &str) -> bool {
    interactions.iter().any(|interaction| interaction.code == code)
}

impl EhrClient {
    /// Asks the endpoint what it is. For `doctor` and readiness checks; publishing does not need it.
    ///
    /// # Errors
    /// [`EhrError::Unsupported`] where it does not speak FHIR R5, [`EhrError::NotFhir`] where it is no FHIR server.
    pub async fn capabilities(&self) -> Result<Capabilities, EhrError> {
        let answer = self.send(CALL, self.http.get(self.url(&["metadata"]))).await?;
        let statement: Option<Statement> = serde_json::from_str(&answer.body).ok();
        let statement = statement
            .filter(|statement| answer.status == 200 && statement.resource_type == "CapabilityStatement")
            .ok_or_else(|| {
                let problem =
                    format!("HTTP {} and no CapabilityStatement: is base_url the FHIR base?", answer.status);
                self.not_fhir(CALL, problem)
            })?;
        let version = statement.fhir_version;
        let plain =
            version.len() <= 20 && version.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
        if !plain || !version.starts_with("5.") {
            let shown = if plain && !version.is_empty() { version.as_str() } else { "an unknown version" };
            return Err(self.unsupported(format!(
                "it speaks FHIR {shown}, and OHX writes R5 (5.0.0): set base_url to an R5 endpoint of the server"
            )));
        }
        let warnings = statement.rest.first().map(|rest| self.warnings(rest)).unwrap_or_default();
        Ok(Capabilities { fhir_version: version, warnings })
    }

    fn warnings(&self, rest: &Rest) -> Vec<String> {
        let mut warnings = Vec::new();
        if !rest.interaction.is_empty() && !offers(&rest.interaction, "batch") {
            warnings.push("the server does not say that it accepts batch Bundles".to_owned());
        }
        for kind in ["Observation", "Device"] {
            let Some(resource) = rest.resource.iter().find(|resource| resource.kind == kind) else {
                warnings.push(format!("the server does not say that it stores {kind}"));
                continue;
            };
            let (needed, flag, other) = match self.endpoint.strategy {
                WriteStrategy::Update | WriteStrategy::Auto => (
                    "update",
                    resource.update_create,
                    "ids that OHX assigns: set strategy to conditional-create",
                ),
                WriteStrategy::ConditionalCreate | WriteStrategy::SearchThenCreate => {
                    ("create", resource.conditional_create, "conditional create: set strategy to update")
                }
            };
            for code in [needed, "search-type"] {
                if !offers(&resource.interaction, code) {
                    warnings.push(format!("the server does not offer {code} of {kind}"));
                }
            }
            if flag == Some(false) {
                warnings.push(format!("the server says that {kind} does not take {other}"));
            }
        }
        warnings
    }
}
