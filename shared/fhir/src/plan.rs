//! How an endpoint is written to: what is configured, and what its CapabilityStatement leaves of it.

use ohx_domain::{BundleKind, EhrEndpoint, WriteStrategy};

use crate::capabilities::{Rest, Statement, offers};
use crate::search::Kind;

/// What the resources of one call travel in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sending {
    /// Bundles of this kind.
    Bundles(BundleKind),
    /// One request for each: the server takes no Bundles.
    Singly,
}

/// How an endpoint is written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Never [`WriteStrategy::Auto`].
    pub strategy: WriteStrategy,
    /// What resources are sent in.
    pub sending: Sending,
    /// Whether resources are looked up by their identifier, whatever their id: where the strategy was not fixed by a person,
    /// it may have been another one before.
    pub(crate) by_identifier: bool,
    /// The types that the server says it does not store.
    pub(crate) without: Vec<Kind>,
    /// What the server does not do and what is done instead, for a person to read.
    pub notes: Vec<String>,
}

impl Plan {
    /// The plan where nothing is known of the server.
    pub(crate) fn unseen(endpoint: &EhrEndpoint) -> Self {
        let strategy = match endpoint.strategy {
            WriteStrategy::Auto => WriteStrategy::SearchThenCreate,
            fixed => fixed,
        };
        Self {
            strategy,
            sending: Sending::Bundles(endpoint.bundle),
            by_identifier: strategy != WriteStrategy::Update,
            without: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The plan for a server that says this of itself. It may be silent or wrong: what it says no to is gone round, and what
    /// it does not speak of is tried.
    pub(crate) fn of(endpoint: &EhrEndpoint, statement: &Statement) -> Self {
        let mut plan = Self::unseen(endpoint);
        let Some(rest) = statement.rest.first() else { return plan };
        plan.choose_sending(endpoint, rest);
        plan.choose_strategy(endpoint, rest);
        if !rest.resource.is_empty() {
            for kind in [Kind::DeviceDefinition, Kind::DeviceAssociation, Kind::Provenance] {
                let stored = rest.resource.iter().any(|resource| {
                    resource.kind == kind.as_str()
                        && ["create", "update"].iter().any(|code| offers(&resource.interaction, code))
                });
                if !stored {
                    plan.without.push(kind);
                    plan.notes.push(format!(
                        "the server does not say that it stores {}: none is written",
                        kind.as_str()
                    ));
                }
            }
            for kind in [Kind::Observation, Kind::Device] {
                if !rest.resource.iter().any(|resource| resource.kind == kind.as_str()) {
                    plan.notes.push(format!(
                        "the server does not say that it stores {}: it is tried all the same",
                        kind.as_str()
                    ));
                }
            }
        }
        plan
    }

    fn choose_sending(&mut self, endpoint: &EhrEndpoint, rest: &Rest) {
        if rest.interaction.is_empty() {
            return;
        }
        let other = match endpoint.bundle {
            BundleKind::Batch => BundleKind::Transaction,
            BundleKind::Transaction => BundleKind::Batch,
        };
        let wanted = endpoint.bundle.as_str();
        if offers(&rest.interaction, wanted) {
            return;
        }
        let instead = if offers(&rest.interaction, other.as_str()) {
            self.sending = Sending::Bundles(other);
            format!("{} Bundles are sent", other.as_str())
        } else {
            self.sending = Sending::Singly;
            "every resource is sent in a request of its own, which is slow".to_owned()
        };
        self.notes.push(format!("the server does not say that it accepts {wanted} Bundles: {instead}"));
    }

    fn choose_strategy(&mut self, endpoint: &EhrEndpoint, rest: &Rest) {
        let both = [Kind::Observation, Kind::Device]
            .map(|kind| rest.resource.iter().find(|resource| resource.kind == kind.as_str()));
        let all = |test: &dyn Fn(&crate::capabilities::Resource) -> bool| {
            both.iter().flatten().count() > 0 && both.iter().flatten().all(|resource| test(resource))
        };
        let update = all(&|r| r.update_create == Some(true) && offers(&r.interaction, "update"));
        let conditional = all(&|r| r.conditional_create == Some(true) && offers(&r.interaction, "create"));
        match endpoint.strategy {
            WriteStrategy::Auto if update => {
                self.strategy = WriteStrategy::Update;
                self.by_identifier = true;
            }
            WriteStrategy::Auto if conditional => {
                self.strategy = WriteStrategy::ConditionalCreate;
                self.notes.push(
                    "the server does not say that it takes ids that OHX assigns: readings are created conditionally, one \
                     writer a link at a time"
                        .to_owned(),
                );
            }
            WriteStrategy::Auto => self.notes.push(
                "the server says neither that it takes ids that OHX assigns nor that it creates conditionally: readings are \
                 searched for and then created, one writer a link at a time"
                    .to_owned(),
            ),
            WriteStrategy::Update if both.iter().flatten().any(|r| r.update_create == Some(false)) => {
                self.notes.push(
                    "the server says that it does not take ids that OHX assigns: set strategy to auto".to_owned(),
                );
            }
            WriteStrategy::ConditionalCreate
                if both.iter().flatten().any(|r| r.conditional_create == Some(false)) =>
            {
                self.notes.push("the server says that it does not create conditionally: set strategy to auto".to_owned());
            }
            _ => {}
        }
        for resource in both.iter().flatten() {
            if !resource.interaction.is_empty() && !offers(&resource.interaction, "search-type") {
                self.notes.push(format!(
                    "the server does not say that it searches {}: unchanged readings may get a new version",
                    resource.kind
                ));
            }
        }
    }

    /// Whether only one writer at a time may write a link's readings to this endpoint: unless a person has fixed that ids are
    /// assigned here. Where the strategy was chosen, another instance may have been told something else by the server, or by a
    /// proxy before it, and create what this one does not find yet.
    pub fn needs_lock(&self) -> bool {
        self.by_identifier
    }
}
