//! What the API knows about a mapping.

use serde::Deserialize;

use super::active::{Activation, Scope};
use crate::api::ApiError;
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// Documents of one's own are numbered from here on.
const FIRST_OWN: u32 = 1000;

#[derive(Deserialize)]
pub(super) struct Version {
    pub(super) version: u32,
    pub(super) origin: String,
    pub(super) note: Option<String>,
    pub(super) saved_at: Option<String>,
    pub(super) saved_by: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Document {
    pub(super) version: u32,
    pub(super) document: String,
}

#[derive(Deserialize)]
struct Endpoint {
    name: String,
}

/// What the API knows about a mapping.
pub(super) struct Known {
    pub(super) name: String,
    pub(super) versions: Vec<Version>,
    pub(super) scopes: Vec<Scope>,
    pub(super) builtin: Option<u32>,
    pub(super) active: Option<u32>,
    pub(super) next: u32,
}

impl Known {
    pub(super) async fn read(
        console: &Console,
        signed_in: &SignedIn,
        provider: &str,
        record: &str,
    ) -> Result<Self, ConsoleError> {
        let (key, address) = (&signed_in.key, ["transformers", "mappings", provider, record]);
        let versions: Vec<Version> = console.api.all(key, &address).await?;
        let address = ["transformers", "mappings", provider, record, "activations"];
        let activations: Vec<Activation> = console.api.all(key, &address).await?;
        let ehrs: Vec<Endpoint> = console.api.all(key, &["publishers", "ehr-endpoints"]).await?;
        let ehrs: Vec<_> = ehrs.into_iter().map(|ehr| ehr.name).collect();
        let builtin = versions.iter().find(|version| version.origin == "program").map(|own| own.version);
        let newest =
            versions.iter().filter(|version| version.origin == "saved").map(|saved| saved.version).max();
        let global = activations.iter().find(|activation| activation.scope == "global");
        Ok(Self {
            name: format!("{provider}/{record}"),
            scopes: Scope::all(&activations, &ehrs, builtin),
            // A version of an older program is not there any more; the program's own stands in for it.
            active: global
                .and_then(|activation| activation.version)
                .filter(|active| versions.iter().any(|known| known.version == *active))
                .or(builtin),
            next: newest.map_or(FIRST_OWN, |newest| newest.saturating_add(1)),
            versions,
            builtin,
        })
    }

    /// The text of a version.
    pub(super) async fn document(
        &self,
        console: &Console,
        signed_in: &SignedIn,
        version: &str,
    ) -> Result<Document, ApiError> {
        let (provider, record) = self.name.split_once('/').unwrap_or_default();
        let address = ["transformers", "mappings", provider, record, "versions", version];
        console.api.get(&signed_in.key, &address, &[]).await
    }

    /// The active version as the API wants it named.
    pub(super) fn active_name(&self) -> Option<String> {
        self.active.map(|active| active.to_string())
    }
}
