//! Links: who is connected to what.

use serde::{Deserialize, Serialize};

use crate::{Account, Destination, EhrName, Instant, LinkId, PatientReference, ProviderName};

/// Where a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// Created, the patient has not consented yet.
    Pending,
    /// Connected: readings flow.
    Active,
    /// The provider no longer accepts our grant: the patient has to consent again.
    ReauthorizationRequired,
    /// Ended by the patient or the clinic. Its data key is destroyed.
    Disconnected,
}

impl LinkState {
    /// The state as the stores and the API write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::ReauthorizationRequired => "reauthorization-required",
            Self::Disconnected => "disconnected",
        }
    }

    /// The state a stored text stands for.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Pending, Self::Active, Self::ReauthorizationRequired, Self::Disconnected]
            .into_iter()
            .find(|s| s.as_str() == text)
    }
}

/// Whether the provider tells us of new data, or we have to ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub enum PushState {
    /// Not tried yet.
    Unknown,
    /// Subscribed; last seen to be in order at `checked`.
    Subscribed {
        /// When the provider last confirmed the subscriptions.
        #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
        checked: Instant,
    },
    /// Push could not be registered: the nightly run is what brings new data.
    Polling {
        /// Why, for a person; never a health value.
        reason: String,
    },
}

/// One patient's connection to one provider account, for one EHR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its id.
    pub id: LinkId,
    /// The provider app it uses.
    pub provider: ProviderName,
    /// The EHR its readings go to.
    pub ehr: EhrName,
    /// Whose readings they are, at that EHR.
    pub patient: PatientReference,
    /// Where else its readings go: each of another EHR endpoint.
    pub also: Vec<Destination>,
    /// Where it stands.
    pub state: LinkState,
    /// Why it stands there, for a person.
    pub state_reason: Option<String>,
    /// The same for programs, where a consent is needed: such as `grant-refused`.
    pub state_code: Option<String>,
    /// Since when it stands there, where that is known.
    pub state_since: Option<Instant>,
    /// How many days before connecting are brought in.
    pub backfill_days: u32,
    /// The patient's user id at the provider, known once connected.
    pub account: Option<Account>,
    /// The scopes that the patient granted, as the provider reported them.
    pub scopes: Vec<String>,
    /// The earliest instant this link wants readings of, fixed at the first connection.
    pub history_start: Option<Instant>,
    /// Push or poll.
    pub push: PushState,
    /// The link's data key, wrapped by the keyring (see `ohx-seal`). Gone once disconnected.
    pub data_key: Option<Vec<u8>>,
    /// When it was created.
    pub created_at: Instant,
    /// When the patient last consented.
    pub connected_at: Option<Instant>,
    /// Who made it, as the audit log names callers; not known of links from before there was one.
    pub created_by: Option<String>,
    /// Where the patient's browser is sent once the consent is given. Held against the allow-list when it is used, too.
    pub success_url: Option<String>,
    /// Where it is sent where nothing came of it.
    pub error_url: Option<String>,
}

impl Link {
    /// Everywhere its readings go, its own EHR first.
    pub fn destinations(&self) -> impl Iterator<Item = (&EhrName, &PatientReference)> {
        let further = self.also.iter().map(|destination| (&destination.ehr, &destination.patient));
        std::iter::once((&self.ehr, &self.patient)).chain(further)
    }

    /// Who the patient is at an EHR endpoint; `None` where nothing goes there.
    pub fn patient_at(&self, ehr: &EhrName) -> Option<&PatientReference> {
        self.destinations().find(|(name, _)| *name == ehr).map(|(_, patient)| patient)
    }

    /// A new link, which waits for the patient's consent.
    pub fn pending(
        provider: ProviderName,
        ehr: EhrName,
        patient: PatientReference,
        backfill_days: u32,
        created_at: Instant,
    ) -> Self {
        Self {
            id: LinkId::new(),
            provider,
            ehr,
            patient,
            also: Vec::new(),
            state: LinkState::Pending,
            state_reason: None,
            state_code: None,
            state_since: None,
            backfill_days,
            account: None,
            scopes: Vec::new(),
            history_start: None,
            push: PushState::Unknown,
            data_key: None,
            created_at,
            connected_at: None,
            created_by: None,
            success_url: None,
            error_url: None,
        }
    }
}
