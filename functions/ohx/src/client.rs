//! The REST API of a running exchange, as the command line calls it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use ohx_runtime::{Settings, outbound};
use reqwest::{Method, RequestBuilder, Response, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

/// Where the exchange is.
#[derive(Args)]
pub(crate) struct Exchange {
    /// The exchange's address [default: OHX_PUBLIC_URL, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    api: Option<Url>,
}

impl Exchange {
    /// Its API, with the key of `OHX_API_KEY`.
    pub(crate) fn api(&self, settings: &Settings) -> anyhow::Result<Api> {
        let base = match (&self.api, settings.text("OHX_PUBLIC_URL")) {
            (Some(url), _) => url.clone(),
            (None, text) => text.unwrap_or("http://127.0.0.1:8080").parse().context("OHX_PUBLIC_URL")?,
        };
        let key = settings.secret("OHX_API_KEY", "the key of the API, as the exchange has it")?;
        Ok(Api { http: outbound::client(Duration::from_secs(60))?, base, key })
    }
}

#[derive(Deserialize)]
struct Problem {
    detail: Option<String>,
}

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    pub(crate) next: Option<String>,
}

/// A running exchange.
pub(crate) struct Api {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Api {
    /// A call that is not sent yet.
    pub(crate) fn call(&self, method: Method, url: Url) -> RequestBuilder {
        let call = self.http.request(method, url).bearer_auth(self.key.expose_secret());
        call.header(header::ACCEPT, "application/json; version=1")
    }

    /// Sends a call. The inner error is what the exchange says against it; the outer one, that it could not be asked.
    pub(crate) async fn send(&self, call: RequestBuilder) -> anyhow::Result<Result<Response, String>> {
        let answer = call.send().await.map_err(|e| self.out_of_reach(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Ok(answer));
        }
        let problem: Option<Problem> = answer.json().await.ok();
        let detail = problem.and_then(|p| p.detail).unwrap_or_else(|| format!("HTTP {status}"));
        if status.is_client_error() && status.as_u16() != 401 {
            return Ok(Err(detail));
        }
        bail!("the exchange at {}: {detail}", self.base)
    }

    /// An address below the exchange's.
    pub(crate) fn at(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        Ok(Url::parse(&format!("{base}/{path}"))?)
    }

    fn out_of_reach(&self, error: &reqwest::Error) -> anyhow::Error {
        let kind = if error.is_connect() { "nothing answers there" } else { "it did not answer in time" };
        anyhow::anyhow!("the exchange at {}: {kind}; is it running? (--api, OHX_PUBLIC_URL)", self.base)
    }
}

/// Reads what the exchange has answered.
pub(crate) async fn read<T: serde::de::DeserializeOwned>(answer: Response) -> anyhow::Result<T> {
    answer.json().await.context("the exchange's answer cannot be read")
}
