//! The receipt of a link's end: what was done and what was not, signed.
//!
//! A JWT (RFC 7519) in the JWS compact form (RFC 7515), ES384, by the key that `/.well-known/jwks.json` shows. It names the
//! link and no patient, account or reading. It is signed anew whenever it is asked for, with the state of that moment.

use std::time::Duration;

use ohx_domain::{Instant, LinkId, ProviderName, SigningAlgorithm};
use ohx_fhir::SigningKeys as _;
use ohx_store::{Erasure, Step, StepState};
use secrecy::ExposeSecret as _;
use serde::Serialize;

use crate::{Links, Result};

/// How far an end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptState {
    /// Something is still tried.
    Pending,
    /// All that was to be done is done.
    Complete,
    /// Nothing more is tried, and something was given up.
    Incomplete,
}

/// What the receipt says.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The link.
    pub link: LinkId,
    /// Counts the ends of this link, from 1.
    pub number: u32,
    /// The provider app.
    pub provider: ProviderName,
    /// When the link ended.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub disconnected_at: Instant,
    /// Why.
    pub reason: String,
    /// How far it is.
    pub state: ReceiptState,
    /// Since when nothing more is to be done.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Instant>,
    /// Each step, with what came of it and why.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub steps: Vec<Step>,
}

impl From<&Erasure> for Receipt {
    fn from(erasure: &Erasure) -> Self {
        let has = |state| erasure.report.steps.iter().any(|step| step.state == state);
        let state = match () {
            () if has(StepState::Pending) => ReceiptState::Pending,
            () if has(StepState::Failed) => ReceiptState::Incomplete,
            () => ReceiptState::Complete,
        };
        Self {
            link: erasure.link,
            number: erasure.seq,
            provider: erasure.report.provider.clone(),
            disconnected_at: erasure.begun_at,
            reason: erasure.report.reason.clone(),
            state,
            completed_at: erasure.done_at.or((state != ReceiptState::Pending).then_some(erasure.updated_at)),
            steps: erasure.report.steps.clone(),
        }
    }
}

/// A receipt with its signature.
#[derive(Debug, Clone, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SignedReceipt {
    /// What it says.
    pub receipt: Receipt,
    /// The same, signed: a JWT whose claim `receipt` it is.
    pub jws: String,
}

/// RFC 7519, section 4.1, and the receipt.
#[derive(Serialize)]
struct Claims<'c> {
    iss: &'c str,
    sub: LinkId,
    /// Seconds since 1970.
    iat: i64,
    receipt: &'c Receipt,
}

impl Links {
    /// Signs the receipt of an end. The first one makes the signing key.
    ///
    /// # Errors
    /// [`crate::LinkError::Signing`], [`crate::LinkError::Store`], [`crate::LinkError::Seal`].
    pub async fn receipt(&self, erasure: &Erasure) -> Result<SignedReceipt> {
        let keys = self.signing_keys();
        keys.rotate(SigningAlgorithm::ES384, Duration::ZERO, true).await?;
        let key = keys.signing_key(SigningAlgorithm::ES384).await?;
        let receipt = Receipt::from(erasure);
        let claims = Claims {
            iss: self.parts.public_url.as_str(),
            sub: erasure.link,
            iat: self.parts.clock.now().as_second(),
            receipt: &receipt,
        };
        let jws = key.sign(&claims)?.expose_secret().to_owned();
        Ok(SignedReceipt { receipt, jws })
    }
}
