//! Configuration that is data: EHR endpoints, and where a link's readings go.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{EhrName, PatientReference};

/// How OHX proves itself to an EHR endpoint. Secrets are stored apart, sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum EhrAuth {
    /// Not at all: for test servers only.
    None,
    /// A static bearer token.
    Bearer,
    /// OAuth 2.0 client credentials with a client secret (RFC 6749, section 4.4).
    ClientCredentials,
    /// SMART Backend Services: client credentials with a signed assertion (`private_key_jwt`, RFC 7523 section 2.2).
    SmartBackend,
    /// A JWT that OHX signs itself: traded for a token where there is a token URL (RFC 7523, section 2.1), else sent as the
    /// bearer token.
    JwtBearer,
}

impl EhrAuth {
    /// Whether [`EhrEndpoint::oauth`] belongs to it.
    pub const fn uses_oauth(self) -> bool {
        matches!(self, Self::ClientCredentials | Self::SmartBackend | Self::JwtBearer)
    }

    /// Whether a stored secret belongs to it.
    pub const fn uses_secret(self) -> bool {
        matches!(self, Self::Bearer | Self::ClientCredentials)
    }
}

/// Where the client secret of a token request stands (RFC 6749, section 2.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SecretIn {
    /// In the `Authorization` header.
    #[default]
    Basic,
    /// In the form.
    Body,
}

/// A signature algorithm of JWTs (RFC 7518). SMART asks clients to support both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SigningAlgorithm {
    /// ECDSA with P-384 and SHA-384.
    #[default]
    ES384,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
}

impl SigningAlgorithm {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ES384, Self::RS384];

    /// The name in a JWT's header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ES384 => "ES384",
            Self::RS384 => "RS384",
        }
    }

    /// The algorithm of a name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text)
    }
}

/// How a token for an EHR endpoint is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EhrOAuth {
    /// OHX's client id at the authorization server.
    pub client_id: String,
    /// The token endpoint; absent to look it up in the EHR's `.well-known/smart-configuration`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = "uri"))]
    pub token_url: Option<Url>,
    /// The scopes to ask for, separated by blanks; absent for those that OHX needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Where the client secret stands (`client-credentials`).
    #[serde(default)]
    pub secret_in: SecretIn,
    /// How assertions are signed; absent for what the server's smart-configuration offers, else ES384.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<SigningAlgorithm>,
    /// `aud` of assertions; absent for the token URL (RFC 7523, section 3), or the FHIR base where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// `iss` of a `jwt-bearer` assertion; absent for the client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// `sub` of a `jwt-bearer` assertion; absent for the client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// How resources are written (`docs/identity.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WriteStrategy {
    /// What the server's CapabilityStatement says it can do, in the order below.
    #[default]
    Auto,
    /// PUT to a client-assigned id that is derived from the identifier: no race.
    Update,
    /// POST with `ifNoneExist` on the identifier, for servers that assign ids themselves.
    ConditionalCreate,
    /// POST of what a search has not found, for servers without conditional create.
    SearchThenCreate,
}

impl WriteStrategy {
    /// The strategy as configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Update => "update",
            Self::ConditionalCreate => "conditional-create",
            Self::SearchThenCreate => "search-then-create",
        }
    }
}

/// The Bundle that resources are sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BundleKind {
    /// Each entry on its own.
    #[default]
    Batch,
    /// All or nothing. One that is refused is halved, until the entry that is to blame stands alone.
    Transaction,
}

impl BundleKind {
    /// The code of `Bundle.type`, and of `CapabilityStatement.rest.interaction`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Transaction => "transaction",
        }
    }
}

/// The version of FHIR that an endpoint is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum FhirVersion {
    /// 4.0.1.
    R4,
    /// 4.3.0.
    R4B,
    /// 5.0.0.
    #[default]
    R5,
}

impl FhirVersion {
    /// The release's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::R4 => "R4",
            Self::R4B => "R4B",
            Self::R5 => "R5",
        }
    }

    /// The release that a `fhirVersion` such as `4.0.1` belongs to, if OHX writes it.
    pub fn of(version: &str) -> Option<Self> {
        match version.split('.').take(2).collect::<Vec<_>>().as_slice() {
            ["4", "0"] => Some(Self::R4),
            ["4", "3"] => Some(Self::R4B),
            ["5", _] => Some(Self::R5),
            _ => None,
        }
    }
}

/// A FHIR server that readings go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EhrEndpoint {
    /// What links refer to.
    pub name: EhrName,
    /// What patients know it by, such as `St. Anna Hospital`. Without it they read of "your clinic".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The FHIR base URL.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = "uri"))]
    pub base_url: Url,
    /// The version it is written in.
    #[serde(default)]
    pub fhir_version: FhirVersion,
    /// How OHX proves itself.
    #[serde(default = "no_auth")]
    pub auth: EhrAuth,
    /// How a token is asked for, where `auth` needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth: Option<EhrOAuth>,
    /// How resources are written.
    #[serde(default)]
    pub strategy: WriteStrategy,
    /// What they are sent in.
    #[serde(default)]
    pub bundle: BundleKind,
    /// Entries in one bundle at most, 1 to 500. Fewer are sent where the server shows that it is too many.
    #[serde(default = "batch_size")]
    pub batch_size: usize,
    /// Requests at the same time, from all instances together, 1 to 64.
    #[serde(default = "concurrency")]
    pub concurrency: u32,
    /// Whether a Provenance is written with each bundle.
    #[serde(default = "yes")]
    pub provenance: bool,
}

impl EhrEndpoint {
    /// An endpoint with every default: R5, no authorization.
    pub fn new(name: EhrName, base_url: Url) -> Self {
        Self {
            name,
            title: None,
            base_url,
            fhir_version: FhirVersion::R5,
            auth: EhrAuth::None,
            oauth: None,
            strategy: WriteStrategy::Auto,
            bundle: BundleKind::Batch,
            batch_size: batch_size(),
            concurrency: concurrency(),
            provenance: true,
        }
    }
}

const fn no_auth() -> EhrAuth {
    EhrAuth::None
}

const fn batch_size() -> usize {
    250
}

const fn concurrency() -> u32 {
    8
}

const fn yes() -> bool {
    true
}

/// A further place that a link's readings go to: an EHR endpoint, and who the patient is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The EHR endpoint.
    pub ehr: EhrName,
    /// Whose readings they are, at that endpoint.
    pub patient: PatientReference,
}
