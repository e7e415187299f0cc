//! Working with a link: what several functions do alike.
//!
//! [`Links`] opens a link (its data key, its provider app), calls the provider with a token that is good, and asks
//! the ledger for what is to be fetched. Everything that two processes could do at the same time to one link is
//! decided here, once.

mod account;
mod ask;
pub mod audit;
mod belief;
mod breaker;
mod bring;
mod call;
mod devices;
mod disconnect;
pub mod ehr;
mod examine;
mod gate;
mod part;
mod receipt;
mod redirects;
mod replay;
pub mod rotate;
pub mod secrets;
pub mod signing;
mod succeed;
pub mod ticket;
mod tokens;
mod turn;

use std::collections::BTreeMap;
use std::sync::Arc;

use ohx_domain::{EhrName, Link, LinkId, LinkState, ProviderName};
use ohx_providers::{App, Provider, ProviderError};
use ohx_runtime::EventFailure;
use ohx_runtime::outbound::Reach;
use ohx_runtime::parts::Parts;
use ohx_seal::{DataKey, SealError, webhook_token};
use ohx_store::StoreError;
use secrecy::SecretString;

pub use account::account_digest;
pub use ask::{Asked, Asking};
pub use bring::Brought;
pub use disconnect::{Came, TERM};
pub use examine::{EhrReport, ProviderReport};
pub use gate::{Gate, Only};
pub use part::Place;
pub use receipt::{Receipt, ReceiptState, SignedReceipt};
pub use redirects::{NotARedirect, Redirects};
pub use replay::{Replayed, Replays};
pub use succeed::Former;
pub use tokens::TokenPair;
pub use turn::{Class, LONGEST_WAIT, Patience, Turn, apart};

/// Why something could not be done with a link. Names the link; never a token, an account or a value.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// There is no such link.
    #[error("link {0} is not known: it was never created here, or belongs to another deployment")]
    Unknown(LinkId),
    /// The link is in a state in which this cannot be done.
    #[error("link {link} is {}: {hint}", state.as_str())]
    State {
        /// The link.
        link: LinkId,
        /// Its state.
        state: LinkState,
        /// What to do.
        hint: &'static str,
    },
    /// The provider app that the link names is not configured.
    #[error("provider app {0} is not configured: add it with ohx apply")]
    NoApp(ProviderName),
    /// The EHR endpoint that the link names is not configured.
    #[error("EHR endpoint {0} is not configured: add it with ohx apply")]
    NoEhr(EhrName),
    /// The provider app is of a type that this version does not know.
    #[error("provider app {app} is of type {kind:?}, which this version does not know")]
    NoAdapter {
        /// The app.
        app: ProviderName,
        /// Its type.
        kind: String,
    },
    /// What is stored does not open.
    #[error("what is stored for {of} does not open: {source}")]
    Seal {
        /// Whose.
        of: String,
        /// Why.
        #[source]
        source: SealError,
    },
    /// A signing key.
    #[error(transparent)]
    Signing(#[from] ohx_fhir::SigningError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The provider.
    #[error("link {link}: {source}")]
    Provider {
        /// The link.
        link: LinkId,
        /// What it said.
        #[source]
        source: Box<ProviderError>,
    },
    /// Another process is refreshing this link's token.
    #[error("link {0}: another process is refreshing its token; try again in a moment")]
    Busy(LinkId),
    /// The provider has refused the link's grant, and is asked again before that is believed.
    #[error("link {link}: the provider has refused its grant; asked again in {} s, before that is believed", wait.as_secs())]
    Doubted {
        /// The link.
        link: LinkId,
        /// How long to wait.
        wait: std::time::Duration,
    },
    /// The provider has refused the grants of many links of the app at once.
    #[error(
        "provider app {app} has refused many links at once, which is taken for an outage; again in {} s",
        wait.as_secs()
    )]
    Outage {
        /// The app.
        app: ProviderName,
        /// How long to wait.
        wait: std::time::Duration,
    },
    /// A quota is used up: the app's, or what the provider allows one patient.
    #[error("{why}; again in {} s", wait.as_secs())]
    Quota {
        /// Which, or what the provider said.
        why: String,
        /// How long to wait: until its place in the queue has come.
        wait: std::time::Duration,
    },
    /// One record is larger than an event can carry.
    #[error("one record of {record} is {size} bytes sealed; an event carries {limit}", limit = ohx_events::envelope::MAX_SEALED)]
    TooLarge {
        /// The record.
        record: ohx_domain::Record,
        /// How large it is, in bytes.
        size: usize,
    },
    /// A dead letter that cannot be replayed.
    #[error("not replayed: {why}")]
    NotReplayed {
        /// Why, and what to do instead.
        why: String,
    },
    /// The bus.
    #[error(transparent)]
    Bus(#[from] ohx_bus::BusError),
    /// An event could not be made.
    #[error(transparent)]
    Event(#[from] ohx_events::EventError),
}

impl From<LinkError> for EventFailure {
    fn from(error: LinkError) -> Self {
        use ohx_providers::Remedy;
        let reason = error.to_string();
        match error {
            LinkError::Store(error) => error.into(),
            LinkError::Busy(_) | LinkError::Bus(_) => Self::retry(reason),
            LinkError::Quota { wait, .. }
            | LinkError::Doubted { wait, .. }
            | LinkError::Outage { wait, .. } => Self::Wait { reason, after: wait },
            LinkError::Provider { source, .. } => match source.remedy() {
                Remedy::Retry { after } => Self::Retry { reason, after },
                Remedy::SlowDown { after } | Remedy::Spent { after } => Self::Wait { reason, after },
                Remedy::Refresh | Remedy::Reauthorize | Remedy::Permanent => Self::Reject { reason },
            },
            // A missing app or key is configuration: it can be mended while the event waits.
            LinkError::NoApp(_)
            | LinkError::NoAdapter { .. }
            | LinkError::NoEhr(_)
            | LinkError::Signing(_) => Self::retry(reason),
            LinkError::Seal { source: SealError::UnknownKey(_), .. } => Self::retry(reason),
            _ => Self::Reject { reason },
        }
    }
}

impl LinkError {
    /// What a provider said, about a link.
    pub fn provider(link: LinkId, source: ProviderError) -> Self {
        Self::Provider { link, source: Box::new(source) }
    }
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, LinkError>;

/// Links, and all that is needed to work with them.
#[derive(Clone)]
pub struct Links {
    parts: Parts,
    providers: Arc<BTreeMap<&'static str, Arc<dyn Provider>>>,
    ehrs: ehr::Clients,
    gate: Gate,
    patience: Patience,
    redirects: Arc<Redirects>,
    reach: Arc<Reach>,
}

/// A link, opened: its key is in hand.
pub struct OpenLink {
    /// The link.
    pub link: Link,
    /// Its data key.
    pub key: DataKey,
}

impl Links {
    /// Over these parts, with every provider's adapter.
    pub fn new(parts: Parts) -> Self {
        let providers = Arc::new(ohx_providers::by_kind(&parts.http, &parts.clock));
        let gate = Gate::new(parts.clone());
        Self {
            parts,
            providers,
            ehrs: ehr::Clients::default(),
            gate,
            patience: Patience::default(),
            redirects: Arc::default(),
            reach: Arc::default(),
        }
    }

    /// With addresses that patients may be sent back to after a consent.
    #[must_use]
    pub fn with_redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = Arc::new(redirects);
        self
    }

    /// The addresses that patients may be sent back to.
    pub fn redirects(&self) -> &Redirects {
        &self.redirects
    }

    /// With what configuration may name as addresses to call. The calls themselves are held to it by [`Parts::http`].
    #[must_use]
    pub fn with_reach(mut self, reach: Reach) -> Self {
        self.reach = Arc::new(reach);
        self
    }

    /// What configuration may name as addresses to call.
    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// What stands before the EHR endpoints.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Every type of provider: its records, capabilities and limits.
    pub fn catalogue(&self) -> Vec<ohx_providers::catalogue::Listed> {
        let listed = |kind: &ohx_providers::Kind| {
            ohx_providers::catalogue::listed(kind, self.providers.get(kind.name)?.as_ref())
        };
        ohx_providers::KINDS.iter().filter_map(listed).collect()
    }

    /// What the links are made of.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// One link.
    ///
    /// # Errors
    /// [`LinkError::Unknown`], [`LinkError::Store`].
    pub async fn get(&self, id: LinkId) -> Result<Link> {
        self.parts.store.link(id).await?.ok_or(LinkError::Unknown(id))
    }

    /// A link that has been connected, with its key; whatever its state now.
    ///
    /// # Errors
    /// As [`Links::get`]; [`LinkError::State`] where it has no key (pending or disconnected), [`LinkError::Seal`].
    pub async fn open(&self, id: LinkId) -> Result<OpenLink> {
        let link = self.get(id).await?;
        let wrapped = link.data_key.as_deref().ok_or(LinkError::State {
            link: id,
            state: link.state,
            hint: "it has no key; the patient has to follow its connect address",
        })?;
        let key = self
            .parts
            .keyring
            .data_key(&id.to_string(), wrapped)
            .map_err(|source| LinkError::Seal { of: format!("link {id}"), source })?;
        Ok(OpenLink { link, key })
    }

    /// A provider app with its secret, and its adapter.
    ///
    /// # Errors
    /// [`LinkError::NoApp`], [`LinkError::NoAdapter`], [`LinkError::Seal`].
    pub async fn app(&self, name: &ProviderName) -> Result<(App, Arc<dyn Provider>)> {
        let (config, sealed) =
            self.parts.store.provider(name).await?.ok_or_else(|| LinkError::NoApp(name.clone()))?;
        let provider = self
            .providers
            .get(config.kind.as_str())
            .cloned()
            .ok_or_else(|| LinkError::NoAdapter { app: name.clone(), kind: config.kind.clone() })?;
        let mut secrets = match sealed {
            Some(sealed) => secrets::open(&self.parts.keyring, name, &sealed)?,
            None => BTreeMap::new(),
        };
        let secret = secrets.remove(secrets::CLIENT).unwrap_or_default();
        Ok((App { config, secret, secrets }, provider))
    }

    /// A secret of the configuration, opened.
    ///
    /// # Errors
    /// [`LinkError::Seal`].
    pub fn open_secret(&self, place: &[&str], sealed: &[u8]) -> Result<SecretString> {
        let seal = |source| LinkError::Seal { of: place.join(" "), source };
        let bytes = self.parts.keyring.open(place, sealed).map_err(seal)?;
        let text = String::from_utf8(bytes).map_err(|_| seal(SealError::Refused))?;
        Ok(text.into())
    }

    /// Where a provider sends notifications of all of an app's patients, where it does so.
    pub fn app_callback(&self, provider: &ProviderName) -> url::Url {
        self.parts.public(&format!("webhook/{provider}"))
    }

    /// Where the provider sends notifications for a link.
    pub fn callback(&self, open: &OpenLink) -> url::Url {
        let token = webhook_token(&open.key);
        self.parts.public(&format!("webhook/{}/{}/{token}", open.link.provider, open.link.id))
    }
}
