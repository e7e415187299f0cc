//! What the API says of dead letters, and takes.

use jiff::Timestamp;
use ohx_domain::RequestState;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use crate::api::{Api, ApiError, Page};

/// How many letters are counted at most: one page of the API.
const COUNTED: &str = "1000";

#[derive(Deserialize)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) event_type: String,
    pub(super) function: String,
    pub(super) link: Option<String>,
    pub(super) reason: String,
    pub(super) attempts: u32,
    pub(super) at: Timestamp,
    pub(super) replay: Option<Replay>,
}

#[derive(Deserialize)]
pub(super) struct Replay {
    pub(super) at: Timestamp,
}

/// A letter, with the work that it stands for.
#[derive(Deserialize)]
pub(super) struct Whole {
    #[serde(flatten)]
    pub(super) letter: Letter,
    pub(super) stands_for: Option<Work>,
    pub(super) replayed_as: Option<Work>,
}

#[derive(Deserialize)]
pub(super) struct Work {
    pub(super) record: String,
    pub(super) start: Option<Timestamp>,
    pub(super) end: Option<Timestamp>,
    pub(super) since: Option<Timestamp>,
    pub(super) state: RequestState,
    pub(super) attempts: u32,
    pub(super) note: Option<String>,
    pub(super) updated_at: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct Replayed {
    pub(super) letter: String,
    pub(super) outcome: String,
    pub(super) says: String,
}

#[derive(Deserialize)]
pub(super) struct Refused {
    pub(super) letter: String,
    pub(super) detail: String,
}

#[derive(Deserialize)]
pub(super) struct Many {
    pub(super) replayed: Vec<Replayed>,
    pub(super) refused: Vec<Refused>,
    pub(super) next: Option<String>,
}

/// Which letters to replay.
#[derive(Serialize)]
pub(super) struct Which<'w> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) link: Option<&'w str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) function: Option<&'w str>,
    pub(super) all: bool,
    pub(super) limit: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cursor: Option<&'w str>,
}

const LETTERS: [&str; 2] = ["publishers", "dead-letters"];

impl Api {
    /// How many letters there are, and whether there are more than were counted.
    pub(crate) async fn count_letters(&self, key: &SecretString) -> Result<(u64, bool), ApiError> {
        let page: Page<serde::de::IgnoredAny> = self.get(key, &LETTERS, &[("limit", COUNTED)]).await?;
        Ok((u64::try_from(page.items.len()).unwrap_or(u64::MAX), page.next.is_some()))
    }

    pub(super) async fn letters(
        &self,
        key: &SecretString,
        query: &[(&str, &str)],
    ) -> Result<Page<Letter>, ApiError> {
        self.get(key, &LETTERS, query).await
    }

    pub(super) async fn letter(&self, key: &SecretString, id: &str) -> Result<Whole, ApiError> {
        self.get(key, &["publishers", "dead-letters", id], &[]).await
    }

    pub(super) async fn replay(&self, key: &SecretString, id: &str) -> Result<Replayed, ApiError> {
        self.post(key, &["publishers", "dead-letters", id, "replay"], &serde_json::json!({})).await
    }

    pub(super) async fn replay_many(&self, key: &SecretString, which: &Which<'_>) -> Result<Many, ApiError> {
        self.post(key, &["publishers", "dead-letters", "replay"], which).await
    }

    pub(super) async fn discard(&self, key: &SecretString, id: &str) -> Result<(), ApiError> {
        self.delete(key, &["publishers", "dead-letters", id]).await
    }
}
