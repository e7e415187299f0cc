//! Whether everything that OHX needs is reachable and configured.

use ohx_domain::{EhrAuth, EhrName};
use ohx_fhir::{EhrError, Sending};
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

impl Links {
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
