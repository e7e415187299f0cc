//! Whether an endpoint can be written to and how, asked before anything is.

use std::time::Duration;

use jiff::SignedDuration;
use ohx_domain::{FhirVersion, WriteStrategy};
use serde::Deserialize;

use crate::plan::Plan;
use crate::{EhrClient, EhrError};

const CALL: &str = "its CapabilityStatement";

/// How long a CapabilityStatement is believed.
const BELIEVED: Duration = Duration::from_secs(3600);

/// What an endpoint's CapabilityStatement (`GET [base]/metadata`) says, and how it is therefore written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Such as `5.0.0`.
    pub fhir_version: String,
    /// `software.name` and `software.version`, where told.
    pub software: Option<String>,
    /// How readings are written, and what the server does not do.
    pub plan: Plan,
}

#[derive(Deserialize)]
pub(crate) struct Statement {
    #[serde(rename = "resourceType")]
    resource_type: String,
    #[serde(rename = "fhirVersion", default)]
    fhir_version: String,
    #[serde(default)]
    software: Software,
    #[serde(default)]
    pub(crate) rest: Vec<Rest>,
}

#[derive(Deserialize, Default)]
struct Software {
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
}

#[derive(Deserialize)]
pub(crate) struct Rest {
    #[serde(default)]
    pub(crate) resource: Vec<Resource>,
    #[serde(default)]
    pub(crate) interaction: Vec<Interaction>,
}

#[derive(Deserialize)]
pub(crate) struct Interaction {
    #[serde(default)]
    code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Resource {
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) interaction: Vec<Interaction>,
    pub(crate) update_create: Option<bool>,
    pub(crate) conditional_create: Option<bool>,
}

pub(crate) fn offers(interactions: &[Interaction], code: &str) -> bool {
    interactions.iter().any(|interaction| interaction.code == code)
}

/// A text of the server's that may be shown: short, and of plain characters.
fn shown(text: &str) -> Option<&str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ' ' | '+');
    ((1..=60).contains(&text.len()) && text.chars().all(plain)).then_some(text)
}

impl EhrClient {
    /// Asks the endpoint what it is, and remembers the answer for [`EhrClient::plan`].
    ///
    /// # Errors
    /// [`EhrError::Unsupported`] where it does not speak the configured version of FHIR, [`EhrError::NotFhir`] where it is no
    /// FHIR server.
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
        let version = &statement.fhir_version;
        let wanted = self.endpoint.fhir_version;
        if FhirVersion::of(version) != Some(wanted) {
            let what = shown(version).unwrap_or("an unknown version");
            let advice = match FhirVersion::of(version) {
                Some(spoken) => format!("set fhir_version to {}", spoken.as_str()),
                None => "set base_url to an endpoint of the server that speaks R5, R4B or R4".to_owned(),
            };
            return Err(self.unsupported(format!(
                "it speaks FHIR {what}, and fhir_version is {}: {advice}",
                wanted.as_str()
            )));
        }
        let plan = Plan::of(&self.endpoint, &statement);
        self.state.remember(plan.clone(), self.now());
        let software = shown(&statement.software.name).map(|name| {
            let version = shown(&statement.software.version).unwrap_or_default();
            format!("{name} {version}").trim_end().to_owned()
        });
        Ok(Capabilities { fhir_version: statement.fhir_version, software, plan })
    }

    /// How the endpoint is written to: from its CapabilityStatement, which is read once an hour. One that has none, or
    /// guards it, is written to as configured.
    ///
    /// # Errors
    /// [`EhrError::Unsupported`] where it does not speak the configured version of FHIR, [`EhrError::Unavailable`].
    pub async fn plan(&self) -> Result<Plan, EhrError> {
        let now = self.now();
        if let Some((plan, at)) = self.state.plan()
            && now.duration_since(at) < SignedDuration::try_from(BELIEVED).unwrap_or(SignedDuration::MAX)
        {
            return Ok(plan);
        }
        match self.capabilities().await {
            Ok(capabilities) => {
                for note in &capabilities.plan.notes {
                    tracing::info!(ehr = %self.endpoint.name, note, "what the EHR does not do");
                }
                Ok(capabilities.plan)
            }
            Err(
                error @ (EhrError::Unsupported { .. }
                | EhrError::Unavailable { .. }
                | EhrError::NoToken { .. }),
            ) => Err(error),
            Err(error) => {
                tracing::warn!(ehr = %self.endpoint.name, %error, "the EHR does not say what it can do");
                if let Some((plan, _)) = self.state.plan() {
                    // What it said before is likelier than what a proxy's page leaves open.
                    self.state.remember(plan.clone(), now);
                    return Ok(plan);
                }
                let mut plan = Plan::unseen(&self.endpoint);
                plan.notes.push(
                    "the server does not show its CapabilityStatement: it is written to as configured"
                        .to_owned(),
                );
                self.state.remember(plan.clone(), now);
                Ok(plan)
            }
        }
    }

    /// Whether only one writer at a time may write a link's readings, as far as is known before the server was asked.
    pub fn may_need_lock(&self) -> bool {
        match self.state.plan() {
            Some((plan, _)) => plan.needs_lock(),
            None => Plan::unseen(&self.endpoint).needs_lock(),
        }
    }

    /// The plan as it is known, however old; where nothing is known, what is configured, or what the server says where that is
    /// left to it.
    pub(crate) async fn settled_plan(&self) -> Result<Plan, EhrError> {
        match self.state.plan() {
            Some((plan, _)) => Ok(plan),
            None if self.endpoint.strategy != WriteStrategy::Auto => Ok(Plan::unseen(&self.endpoint)),
            None => self.plan().await,
        }
    }
}
