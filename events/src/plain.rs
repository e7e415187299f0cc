//! Data without health values, as JSON.

use ohx_domain::{Counts, Instant, ProviderName, Query, Record, RequestId, SyncReason};
use serde::{Deserialize, Serialize};

/// A patient has connected an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkConnected {
    /// The provider app.
    pub provider: ProviderName,
    /// Whether the link had been connected before: then only the gap is fetched.
    pub again: bool,
}

/// Something is to be asked of a provider. The ledger's row is what counts; the rest is for people who watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncRequested {
    /// The row of the ledger.
    pub request: RequestId,
    /// The provider app.
    pub provider: ProviderName,
    /// Which record.
    pub record: Record,
    /// What was asked when the event was made.
    #[serde(flatten)]
    pub query: Query,
    /// Why.
    pub reason: SyncReason,
}

/// Why a patient has to consent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConsentReason {
    /// The provider does not take the refresh token any more: the patient has left, or the grant has ended.
    GrantRefused,
    /// The provider gives new access tokens, and does not take them.
    AccessRefused,
    /// The account has no profile at the provider any more.
    NoProfile,
}

impl ConsentReason {
    /// The reason as the API and metrics write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GrantRefused => "grant-refused",
            Self::AccessRefused => "access-refused",
            Self::NoProfile => "no-profile",
        }
    }
}

/// A link's grant is dead: nothing is read before the patient has consented again. Told once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReauthorizationRequired {
    /// The provider app.
    pub provider: ProviderName,
    /// Why.
    pub reason: ConsentReason,
    /// Since when.
    pub since: Instant,
}

/// The provider is to be asked to notify us of a link's readings: its subscriptions are looked at, made where they are missing,
/// and renewed where they would end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRequested {
    /// The provider app.
    pub provider: ProviderName,
    /// How often it has failed since push was last in order, 0 at first.
    pub failed: u32,
}

/// What became of a piece of a request. Counts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcesPublished {
    /// The row of the ledger.
    pub request: RequestId,
    /// Which record.
    pub record: Record,
    /// What became of the resources.
    pub counts: Counts,
    /// Whether this completed the request.
    pub completed: bool,
}

/// A link has ended. Its key, tokens and account are destroyed by then; the link's row stays and says to which patient at
/// which EHR it belonged, so that nothing about a person has to travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkDisconnected {
    /// The provider app.
    pub provider: ProviderName,
}

/// Why a link's devices are to be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DevicesReason {
    /// Somebody asked for it.
    Manual,
    /// A reading names a device that has not been looked at for a day.
    Reading,
}

/// A link's devices are to be looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesRequested {
    /// The provider app.
    pub provider: ProviderName,
    /// Why.
    pub reason: DevicesReason,
    /// The devices that readings name: all that is known of them where the provider has no list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<SeenDevice>,
}

/// What a reading says of the device it was measured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenDevice {
    /// The provider's id of the device, as in the Device's identifier.
    pub id: String,
    /// The model's name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The provider's number of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_id: Option<String>,
    /// The record of the reading.
    pub record: Record,
}

/// What became of a link's devices at its EHR endpoints. Counts only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DevicesPublished {
    /// DeviceDefinition: models.
    pub definitions: Counts,
    /// Device.
    pub devices: Counts,
    /// DeviceAssociation: whose devices they are, and from when to when.
    pub associations: Counts,
}
