//! Whether everything that OHX needs is reachable and configured.

use ohx_domain::{EhrAuth, EhrName, ProviderName};
use ohx_fhir::{EhrError, Sending};
use ohx_providers::{Credentials, ProviderError};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{Links, Result};

/// What an EHR endpoint is, and how it is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EhrReport {
    /// Its name.
    pub name: EhrName,
    /// Whether readings can be written to it, as far as can be seen without writing any.
    pub usable: bool,
    /// What stands against it, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Such as `5.0.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fhir_version: Option<String>,
    /// The server's software, as it names itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software: Option<String>,
    /// How readings are written: `update`, `conditional-create` or `search-then-create`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<&'static str>,
    /// What they are sent in: `batch`, `transaction` or `single`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent_as: Option<&'static str>,
    /// What the server does not do, and what is done instead.
    pub notes: Vec<String>,
}

/// Whether a provider app is set up right, as far as can be told without a patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderReport {
    /// Its name.
    pub name: ProviderName,
    /// Whether the provider answered; absent where there is nothing to ask.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reachable: Option<bool>,
    /// What it says to the client id and the secret.
    pub credentials: Credentials,
    /// What stands against it, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Links {
    /// Asks a provider whether it takes an app's own credentials. No patient is needed, and nothing changes there.
    ///
    /// # Errors
    /// [`LinkError::NoApp`](crate::LinkError::NoApp), [`LinkError::Store`](crate::LinkError::Store), and secrets that do not
    /// open. What is wrong with the app itself is in the report.
    pub async fn examine_provider(&self, name: &ProviderName) -> Result<ProviderReport> {
        let (app, provider) = self.app(name).await?;
        let report = |reachable, credentials, problem: Option<String>| ProviderReport {
            name: name.clone(),
            reachable,
            credentials,
            problem,
        };
        let consent = ohx_providers::kind(&app.config.kind).is_none_or(|kind| kind.consent);
        let missing = [
            (app.config.client_id.is_empty(), "client_id"),
            (app.secret.expose_secret().is_empty(), "client_secret"),
        ];
        if let Some((_, field)) = missing.into_iter().find(|(missing, _)| consent && *missing) {
            let problem =
                format!("{field} is missing: the provider gives it for the app that is registered there");
            return Ok(report(None, Credentials::Unknown, Some(problem)));
        }
        let redirect = self.parts.public(&format!("oauth/callback/{name}"));
        Ok(match provider.check_credentials(&app, &redirect, self.parts.clock.now()).await {
            Ok(Credentials::NotUsed) => report(None, Credentials::NotUsed, None),
            Ok(Credentials::Refused) => {
                let problem = "the provider does not know the app by this client_id and client_secret: copy both again from \
                               the app's page there";
                report(Some(true), Credentials::Refused, Some(problem.to_owned()))
            }
            Ok(credentials) => report(Some(true), credentials, None),
            Err(error) => {
                let reachable = match error {
                    ProviderError::Transport { .. } => Some(false),
                    ProviderError::Configuration { .. } => None,
                    _ => Some(true),
                };
                report(reachable, Credentials::Unknown, Some(error.to_string()))
            }
        })
    }

    /// Asks an EHR endpoint what it is (its CapabilityStatement), and whether it lets us in (a search that finds nothing).
    ///
    /// # Errors
    /// [`LinkError::NoEhr`](crate::LinkError::NoEhr), [`LinkError::Store`](crate::LinkError::Store), and a secret that does not
    /// open. What is wrong with the endpoint itself is in the report.
    pub async fn examine_ehr(&self, name: &EhrName) -> Result<EhrReport> {
        let client = self.ehr_client(name).await?;
        let mut report = EhrReport {
            name: name.clone(),
            usable: false,
            problem: None,
            fhir_version: None,
            software: None,
            strategy: None,
            sent_as: None,
            notes: Vec::new(),
        };
        if client.endpoint().auth == EhrAuth::None {
            report.notes.push("no authorization is configured: for test servers only".to_owned());
        }
        let plan = match client.capabilities().await {
            Ok(capabilities) => {
                report.fhir_version = Some(capabilities.fhir_version);
                report.software = capabilities.software;
                capabilities.plan
            }
            // It is written to all the same, as configured.
            Err(EhrError::NotFhir { .. } | EhrError::Unauthorized { .. }) => match client.plan().await {
                Ok(plan) => plan,
                Err(error) => return Ok(EhrReport { problem: Some(error.to_string()), ..report }),
            },
            Err(error) => return Ok(EhrReport { problem: Some(error.to_string()), ..report }),
        };
        report.strategy = Some(plan.strategy.as_str());
        report.sent_as = Some(match plan.sending {
            Sending::Bundles(kind) => kind.as_str(),
            Sending::Singly => "single",
        });
        report.notes.extend(plan.notes);
        match client.try_search(&self.parts.identifier_base).await {
            Ok(()) => report.usable = true,
            Err(error) => report.problem = Some(error.to_string()),
        }
        Ok(report)
    }
}
