//! EHR endpoints: a client with credentials, kept as long as the configuration is the same.

use std::collections::HashMap;
use std::sync::Arc;

use ohx_domain::{EhrAuth, EhrEndpoint, EhrName, PatientReference};
use ohx_fhir::{Credentials, EhrClient, EhrError, FoundPatient};
use tokio::sync::Mutex;

use crate::signing::StoredKeys;
use crate::{LinkError, Links, Result};

/// The clients of this process: they keep connections, tokens, and what they have learnt about a server.
pub(crate) type Clients = Arc<Mutex<HashMap<EhrName, Connected>>>;

/// An endpoint's client, and the configuration that it was made from.
pub(crate) struct Connected {
    endpoint: EhrEndpoint,
    sealed: Option<Vec<u8>>,
    client: EhrClient,
}

/// Where an endpoint's secret is sealed for.
pub fn secret_place(ehr: &EhrName) -> [&str; 3] {
    ["ehrs", ehr.as_str(), "secret"]
}

impl Links {
    /// The client of an EHR endpoint. A changed configuration makes a new one.
    ///
    /// # Errors
    /// [`LinkError::NoEhr`], [`LinkError::Seal`], [`LinkError::Store`].
    pub async fn ehr_client(&self, name: &EhrName) -> Result<EhrClient> {
        let found = self.parts.store.ehr(name).await?;
        let (endpoint, sealed) = found.ok_or_else(|| LinkError::NoEhr(name.clone()))?;
        let mut clients = self.ehrs.lock().await;
        if let Some(known) = clients.get(name)
            && known.endpoint == endpoint
            && known.sealed == sealed
        {
            return Ok(known.client.clone());
        }
        let credentials = self.ehr_credentials(&endpoint, sealed.as_deref())?;
        let client = EhrClient::new(self.parts.http.clone(), endpoint.clone(), credentials)
            .with_clock(self.parts.clock.clone());
        clients.insert(name.clone(), Connected { endpoint, sealed, client: client.clone() });
        Ok(client)
    }

    /// Who a patient is at an EHR endpoint. One that is named by an identifier is asked about once, and kept.
    ///
    /// # Errors
    /// [`EhrError`] where the endpoint does not say.
    pub async fn find_patient(
        &self,
        client: &EhrClient,
        patient: &PatientReference,
    ) -> std::result::Result<FoundPatient, EhrError> {
        let Some(token) = patient.identifier() else { return Ok(FoundPatient::One(patient.clone())) };
        let (store, ehr) = (&self.parts.store, &client.endpoint().name);
        // Without the store the EHR can still be asked.
        if let Ok(Some(known)) = store.resolved_patient(ehr, patient).await {
            return Ok(FoundPatient::One(known));
        }
        let found = client.find_patient(token).await?;
        if let FoundPatient::One(reference) = &found
            && let Err(error) =
                store.keep_resolved_patient(ehr, patient, reference, self.parts.clock.now()).await
        {
            tracing::warn!(%ehr, %error, "who the patient is was not kept: the EHR is asked again");
        }
        Ok(found)
    }

    fn ehr_credentials(&self, endpoint: &EhrEndpoint, sealed: Option<&[u8]>) -> Result<Credentials> {
        let secret = match sealed {
            Some(sealed) if endpoint.auth.uses_secret() => {
                Some(self.open_secret(&secret_place(&endpoint.name), sealed)?)
            }
            _ => None,
        };
        let signs = matches!(endpoint.auth, EhrAuth::SmartBackend | EhrAuth::JwtBearer);
        let mut credentials =
            if signs { Credentials::signing(Arc::new(self.signing_keys())) } else { Credentials::none() };
        credentials.secret = secret;
        Ok(credentials)
    }

    /// The keys that assertions are signed with.
    pub fn signing_keys(&self) -> StoredKeys {
        let parts = &self.parts;
        StoredKeys::new(parts.store.clone(), parts.keyring.clone(), parts.clock.clone())
    }
}
