//! The exchange's REST API, as the pages need it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode, header};
use jiff::Timestamp;
use reqwest::{Body, RequestBuilder, Response};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use url::Url;

/// The version of the API that the pages know.
const VERSION: &str = "application/json; version=1";

/// How many items of a list are asked for at once.
const PAGE: u32 = 1000;

/// How many pages of a list are read at most: nobody chooses from more than so many.
const PAGES: u32 = 20;

/// The largest answer that is read, in bytes. The report about the largest file has 200,000 lines.
const MAX_ANSWER: usize = 64 * 1024 * 1024;

/// How long an import may take: a phone may be slow to send the file.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(600);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// Nothing answers, or not in time.
    #[error("the API does not answer")]
    OutOfReach,
    /// The key is not taken.
    #[error("the API does not take the key")]
    Unauthorized,
    /// It says why not.
    #[error("the API refuses, with HTTP {status}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// What it says.
        problem: Problem,
    },
    /// An answer of another kind.
    #[error("the API's answer cannot be read: {0}")]
    Unreadable(&'static str),
}

/// What the API says against something (RFC 9457).
#[derive(Debug, Default, Deserialize)]
pub struct Problem {
    /// What happened and what to do.
    pub detail: Option<String>,
    /// A name for programs.
    pub code: Option<String>,
    /// What else it says.
    #[serde(flatten)]
    pub more: Box<More>,
}

/// What a problem says of the place that it is at.
#[derive(Debug, Default, Deserialize)]
pub struct More {
    /// What is wrong with fields of the request.
    #[serde(default)]
    pub errors: Vec<Against>,
    /// The line of a mapping document, from 1; 0 where it is about none.
    #[serde(default)]
    pub line: usize,
    /// The column there, in characters, from 1.
    #[serde(default)]
    pub column: usize,
    /// What to do about it.
    #[serde(default)]
    pub hint: String,
    /// The line itself, with a caret below the column.
    #[serde(default)]
    pub snippet: String,
    /// The example of a mapping document that does not hold.
    #[serde(default)]
    pub example: String,
}

/// What is wrong with a field.
#[derive(Debug, Deserialize)]
pub struct Against {
    /// Which, as a JSON pointer into the request's body.
    #[serde(default)]
    pub pointer: String,
    /// What is wrong with it.
    #[serde(default)]
    pub detail: String,
}

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The cursor of the next one; none on the last.
    pub(crate) next: Option<String>,
}

/// A provider app.
#[derive(Deserialize)]
pub(crate) struct App {
    pub(crate) name: String,
    #[serde(rename = "type")]
    pub(crate) kind: String,
}

/// A link.
#[derive(Deserialize)]
pub(crate) struct Link {
    pub(crate) id: String,
    pub(crate) provider: String,
    pub(crate) ehr: String,
    pub(crate) patient: String,
}

/// What a file is imported with.
pub(crate) struct Asked<'a> {
    pub(crate) link: &'a str,
    pub(crate) zone: &'a str,
    pub(crate) date_order: Option<&'a str>,
    pub(crate) accept_counts: bool,
    pub(crate) dry_run: bool,
}

/// What became of a file.
#[derive(Deserialize)]
pub(crate) struct Imported {
    pub(crate) sync: Option<String>,
    pub(crate) records: Vec<Record>,
    pub(crate) report: Report,
}

#[derive(Deserialize)]
pub(crate) struct Record {
    pub(crate) record: String,
    pub(crate) readings: u64,
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

#[derive(Deserialize)]
pub(crate) struct Report {
    pub(crate) counts: Rows,
    pub(crate) date_order: Option<String>,
    #[serde(default)]
    pub(crate) lines: Vec<Line>,
    #[serde(default)]
    pub(crate) columns: Vec<Column>,
    #[serde(default)]
    pub(crate) warnings: Vec<Warning>,
}

#[derive(Deserialize)]
pub(crate) struct Rows {
    pub(crate) rows: u64,
    pub(crate) imported: u64,
    pub(crate) duplicates: u64,
    pub(crate) left_out: u64,
}

#[derive(Deserialize)]
pub(crate) struct Line {
    pub(crate) line: u64,
    pub(crate) section: Option<String>,
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
    pub(crate) column: Option<String>,
    #[serde(default)]
    pub(crate) cells: Vec<Cell>,
    pub(crate) time: Option<String>,
}

#[derive(Deserialize)]
pub(crate) struct Cell {
    pub(crate) column: String,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
pub(crate) struct Column {
    pub(crate) section: String,
    pub(crate) column: String,
    pub(crate) reason: String,
}

#[derive(Deserialize)]
pub(crate) struct Warning {
    pub(crate) line: Option<u64>,
    pub(crate) text: String,
}

/// How far a sync is.
#[derive(Deserialize)]
pub(crate) struct Sync {
    pub(crate) completed: bool,
    pub(crate) counts: ohx_domain::Counts,
    /// What the mapping left out, by record and reason.
    #[serde(default)]
    pub(crate) left_out: BTreeMap<String, BTreeMap<String, u64>>,
    pub(crate) requests: Vec<Request>,
}

#[derive(Deserialize)]
pub(crate) struct Request {
    pub(crate) record: String,
    pub(crate) state: String,
    pub(crate) note: Option<String>,
}

/// The API at one address.
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
}

impl Api {
    pub(crate) fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    /// Whether anything answers there, whatever it says.
    pub(crate) async fn answers(&self) -> Result<(), ApiError> {
        let url = self.at(&["base", "providers"])?;
        self.http.get(url).send().await.map_err(|_| ApiError::OutOfReach)?;
        Ok(())
    }

    /// What an address answers with; `address` is what follows `/api/`, each part a segment.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        address: &[&str],
        query: &[(&str, &str)],
    ) -> Result<T, ApiError> {
        let mut url = self.at(address)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        self.ask(self.call(Method::GET, url, key)?).await
    }

    /// Posts to an address.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        address: &[&str],
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.ask(self.call(Method::POST, self.at(address)?, key)?.json(body)).await
    }

    /// What an address answers with, and the state that a change of it has to name.
    pub(crate) async fn get_tagged<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        address: &[&str],
    ) -> Result<(T, String), ApiError> {
        let call = self.call(Method::GET, self.at(address)?, key)?;
        let answer = call.send().await.map_err(|_| ApiError::OutOfReach)?;
        let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag.unwrap_or_default().to_owned();
        Ok((accepted(answer).await?, tag))
    }

    /// Replaces what is at an address, where it is still in the state that was seen.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        address: &[&str],
        seen: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        let call = self.call(Method::PUT, self.at(address)?, key)?.header(header::IF_MATCH, seen);
        self.ask(call.json(body)).await
    }

    /// All of a short list.
    pub(crate) async fn all<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        address: &[&str],
    ) -> Result<Vec<T>, ApiError> {
        Ok(self.pages(key, address, &[]).await?.0)
    }

    /// Removes what is at an address.
    pub(crate) async fn delete(&self, key: &SecretString, address: &[&str]) -> Result<(), ApiError> {
        let answer = self.call(Method::DELETE, self.at(address)?, key)?.send().await;
        let answer = answer.map_err(|_| ApiError::OutOfReach)?;
        match answer.status() {
            StatusCode::NO_CONTENT => Ok(()),
            _ => accepted::<IgnoredAny>(answer).await.map(|_| ()),
        }
    }

    /// The provider apps.
    pub(crate) async fn apps(&self, key: &SecretString) -> Result<Vec<App>, ApiError> {
        Ok(self.pages(key, &["base", "providers"], &[]).await?.0)
    }

    /// All of a list, and whether there is more of it than is read.
    async fn pages<T: DeserializeOwned>(
        &self,
        key: &SecretString,
        address: &[&str],
        narrowed: &[(&str, &str)],
    ) -> Result<(Vec<T>, bool), ApiError> {
        let mut all = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..PAGES {
            let mut url = self.at(address)?;
            url.query_pairs_mut().append_pair("limit", &PAGE.to_string()).extend_pairs(narrowed);
            if let Some(cursor) = &cursor {
                url.query_pairs_mut().append_pair("cursor", cursor);
            }
            let page: Page<T> = self.ask(self.call(Method::GET, url, key)?).await?;
            all.extend(page.items);
            cursor = page.next;
            if cursor.is_none() {
                return Ok((all, false));
            }
        }
        Ok((all, true))
    }

    /// The active links of an app, and whether there are more of them than are read.
    pub(crate) async fn links(&self, key: &SecretString, app: &str) -> Result<(Vec<Link>, bool), ApiError> {
        self.pages(key, &["base", "provider-links"], &[("provider", app), ("state", "active")]).await
    }

    /// Sends a file as it comes.
    pub(crate) async fn import(
        &self,
        key: &SecretString,
        asked: &Asked<'_>,
        file: Body,
    ) -> Result<Imported, ApiError> {
        let mut url = self.at(&["ingestors", "imports"])?;
        url.query_pairs_mut().extend_pairs([("link", asked.link), ("zone", asked.zone)]);
        if let Some(order) = asked.date_order {
            url.query_pairs_mut().append_pair("date_order", order);
        }
        for (name, flag) in [("accept_counts", asked.accept_counts), ("dry_run", asked.dry_run)] {
            if flag {
                url.query_pairs_mut().append_pair(name, "true");
            }
        }
        let call = self.call(Method::POST, url, key)?.timeout(IMPORT_TIMEOUT);
        self.ask(call.header(header::CONTENT_TYPE, "text/csv").body(file)).await
    }

    /// How far a sync is.
    pub(crate) async fn sync(&self, key: &SecretString, id: &str) -> Result<Sync, ApiError> {
        let url = self.at(&["ingestors", "syncs", id])?;
        self.ask(self.call(Method::GET, url, key)?).await
    }

    /// An address of the API; every part is one segment, whatever is in it.
    fn at(&self, parts: &[&str]) -> Result<Url, ApiError> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut path) => {
                path.pop_if_empty().push("api").extend(parts).push("");
            }
            Err(()) => return Err(ApiError::Unreadable("OHX_API_URL has no path")),
        }
        Ok(url)
    }

    fn call(&self, method: Method, url: Url, key: &SecretString) -> Result<RequestBuilder, ApiError> {
        // What cannot stand in a header is no key.
        let bearer = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
        let mut bearer = bearer.map_err(|_| ApiError::Unauthorized)?;
        bearer.set_sensitive(true);
        let accept = HeaderValue::from_static(VERSION);
        let call = self.http.request(method, url).header(header::AUTHORIZATION, bearer);
        Ok(call.header(header::ACCEPT, accept))
    }

    async fn ask<T: DeserializeOwned>(&self, call: RequestBuilder) -> Result<T, ApiError> {
        accepted(call.send().await.map_err(|_| ApiError::OutOfReach)?).await
    }
}

/// What an answer holds, where it is none that refuses.
async fn accepted<T: DeserializeOwned>(answer: Response) -> Result<T, ApiError> {
    match answer.status() {
        StatusCode::UNAUTHORIZED => Err(ApiError::Unauthorized),
        status if status.is_success() => read(answer).await,
        status if status.is_redirection() => Err(ApiError::Unreadable("it redirects")),
        status => {
            let problem = read(answer).await.unwrap_or_default();
            Err(ApiError::Refused { status, problem })
        }
    }
}

async fn read<T: DeserializeOwned>(mut answer: Response) -> Result<T, ApiError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| ApiError::OutOfReach)? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(ApiError::Unreadable("it is too long"));
        }
        body.extend_from_slice(&chunk);
    }
    // What exactly is wrong may quote the answer.
    serde_json::from_slice(&body).map_err(|_| ApiError::Unreadable("it is not what this version expects"))
}
