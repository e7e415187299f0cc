//! What the API says of links, and takes.

use jiff::Timestamp;
use ohx_domain::{Counts, LinkState, RequestState};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{Api, ApiError, Page};

#[derive(Deserialize)]
pub(crate) struct Link {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) ehr: String,
    pub(crate) patient: String,
    #[serde(default)]
    pub(crate) also: Vec<Also>,
    pub(crate) state: LinkState,
    pub(crate) state_reason: Option<String>,
    pub(crate) state_since: Option<Timestamp>,
    pub(crate) backfill_days: u32,
    pub(crate) push: Push,
    pub(crate) history_start: Option<Timestamp>,
    pub(crate) created_at: Timestamp,
    pub(crate) connected_at: Option<Timestamp>,
}

/// A further EHR that the readings go to.
#[derive(Deserialize)]
pub(crate) struct Also {
    pub(crate) ehr: String,
    pub(crate) patient: String,
}

#[derive(Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case")]
pub(crate) enum Push {
    Subscribed {
        checked: Timestamp,
    },
    Polling {
        reason: String,
    },
    #[serde(other)]
    Unknown,
}

/// A link that was made, and where to send the patient.
#[derive(Deserialize)]
pub(super) struct Created {
    pub(super) id: String,
    pub(super) connect_url: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Address {
    pub(super) connect_url: String,
}

#[derive(Deserialize)]
pub(super) struct Ehr {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct Summary {
    pub(super) id: String,
    pub(super) requests: u64,
    pub(super) open: u64,
    pub(super) failed: u64,
    pub(super) counts: Counts,
    pub(super) requested_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct Started {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct Sync {
    pub(super) completed: bool,
    pub(super) counts: Counts,
    pub(super) requests: Vec<Request>,
}

#[derive(Deserialize)]
pub(super) struct Request {
    pub(super) record: String,
    pub(super) state: RequestState,
    pub(super) attempts: u32,
    pub(super) counts: Counts,
    pub(super) note: Option<String>,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) since: Option<Timestamp>,
}

#[derive(Deserialize)]
pub(super) struct Device {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) model: Option<String>,
    pub(super) battery_percent: Option<u8>,
    pub(super) battery: Option<String>,
    pub(super) last_sync: Option<Timestamp>,
}

/// What of a record's time is at the EHR.
#[derive(Deserialize)]
pub(super) struct Coverage {
    pub(super) record: String,
    pub(super) spans: Vec<Span>,
}

#[derive(Deserialize)]
pub(super) struct Span {
    pub(super) start: Timestamp,
    pub(super) end: Timestamp,
    pub(super) state: Fate,
    pub(super) why: Vec<String>,
}

/// What became of a stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fate {
    Published,
    OnItsWay,
    Failed,
    Refused,
    NeverAsked,
    BeforeHistory,
}

/// The receipt of a link's end, and its signature.
#[derive(Deserialize)]
pub(super) struct Signed {
    pub(super) receipt: Receipt,
    pub(super) jws: String,
}

#[derive(Deserialize)]
pub(super) struct Receipt {
    pub(super) provider: String,
    pub(super) disconnected_at: Timestamp,
    pub(super) reason: String,
    pub(super) state: String,
    pub(super) completed_at: Option<Timestamp>,
    pub(super) steps: Vec<Step>,
}

#[derive(Deserialize)]
pub(super) struct Step {
    pub(super) step: String,
    pub(super) ehr: Option<String>,
    pub(super) state: String,
    pub(super) why: Option<String>,
    pub(super) count: Option<u64>,
    pub(super) at: Timestamp,
}

/// A link to make.
#[derive(Serialize)]
pub(super) struct New<'n> {
    pub(super) provider: &'n str,
    pub(super) ehr: &'n str,
    pub(super) patient: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) backfill_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) success_url: Option<&'n str>,
}

const LINKS: [&str; 2] = ["base", "provider-links"];

impl Api {
    /// A page of links.
    pub(super) async fn link_page(
        &self,
        key: &SecretString,
        query: &[(&str, &str)],
    ) -> Result<Page<Link>, ApiError> {
        self.get(key, &LINKS, query).await
    }

    pub(crate) async fn link(&self, key: &SecretString, id: &str) -> Result<Link, ApiError> {
        self.get(key, &["base", "provider-links", id], &[]).await
    }

    pub(super) async fn make_link(&self, key: &SecretString, new: &New<'_>) -> Result<Created, ApiError> {
        self.post(key, &LINKS, new).await
    }

    pub(super) async fn connect_address(&self, key: &SecretString, id: &str) -> Result<Address, ApiError> {
        self.post(key, &["base", "provider-links", id, "initiate_oauth2"], &json!({})).await
    }

    pub(super) async fn disconnect(
        &self,
        key: &SecretString,
        id: &str,
        mark: bool,
    ) -> Result<Value, ApiError> {
        let body = json!({"mark_entered_in_error": mark});
        self.post(key, &["base", "provider-links", id, "disconnect"], &body).await
    }

    pub(super) async fn receipt(&self, key: &SecretString, id: &str) -> Result<Signed, ApiError> {
        self.get(key, &["base", "provider-links", id, "receipt"], &[]).await
    }

    pub(super) async fn devices(&self, key: &SecretString, id: &str) -> Result<Page<Device>, ApiError> {
        self.get(key, &["base", "provider-links", id, "devices"], &[]).await
    }

    pub(super) async fn bring_devices(&self, key: &SecretString, id: &str) -> Result<Value, ApiError> {
        self.post(key, &["base", "provider-links", id, "create_fhir_device"], &json!({})).await
    }

    /// The latest syncs of a link.
    pub(super) async fn syncs(
        &self,
        key: &SecretString,
        link: &str,
        limit: &str,
    ) -> Result<Page<Summary>, ApiError> {
        self.get(key, &["ingestors", "syncs"], &[("link", link), ("limit", limit)]).await
    }

    /// Asks for what changed, or for everything from `from` on.
    pub(super) async fn start_sync(
        &self,
        key: &SecretString,
        link: &str,
        from: Option<Timestamp>,
    ) -> Result<Started, ApiError> {
        let body = match from {
            Some(from) => json!({"link": link, "from": from}),
            None => json!({"link": link}),
        };
        self.post(key, &["ingestors", "syncs"], &body).await
    }

    pub(super) async fn sync_of_link(&self, key: &SecretString, id: &str) -> Result<Sync, ApiError> {
        self.get(key, &["ingestors", "syncs", id], &[]).await
    }

    pub(super) async fn cancel_sync(&self, key: &SecretString, id: &str) -> Result<Value, ApiError> {
        self.post(key, &["ingestors", "syncs", id, "cancel"], &json!({})).await
    }

    /// What became of a stretch of a link's time, by record.
    pub(super) async fn coverage(
        &self,
        key: &SecretString,
        link: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<Coverage>, ApiError> {
        let (from, to) = (from.to_string(), to.to_string());
        let query = [("link", link), ("from", &from), ("to", &to), ("limit", "1000")];
        let page: Page<Coverage> = self.get(key, &["ingestors", "coverage"], &query).await?;
        Ok(page.items)
    }

    /// The names of the EHR endpoints.
    pub(super) async fn ehrs(&self, key: &SecretString) -> Result<Vec<Ehr>, ApiError> {
        let page: Page<Ehr> = self.get(key, &["publishers", "ehr-endpoints"], &[("limit", "1000")]).await?;
        Ok(page.items)
    }
}
