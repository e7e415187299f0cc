//! `ohx links`: ending a link, through the API of a running exchange.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use ohx_domain::{Instant, LinkId};
use ohx_runtime::Settings;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::client::{self, Exchange};
use crate::put;

/// Ends links, and shows the receipts of their ends.
#[derive(Subcommand)]
pub(crate) enum Links {
    /// Ends a link: destroys its key, tokens and account, and ends grant and subscriptions at the provider
    Disconnect {
        /// Also marks the readings that were published as entered in error
        #[arg(long)]
        mark_entered_in_error: bool,
        #[command(flatten)]
        link: Named,
    },
    /// Shows what the end of a link has done by now and what not, with its signature
    Receipt(Named),
}

#[derive(Args)]
pub(crate) struct Named {
    /// The link
    link: LinkId,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    exchange: Exchange,
}

#[derive(Deserialize)]
struct Shown {
    state: String,
    disconnected_at: Instant,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    step: String,
    ehr: Option<String>,
    state: String,
    why: Option<String>,
    count: Option<u64>,
}

impl Links {
    /// Exit code 1 where the exchange refuses.
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let (named, call) = match self {
            Self::Disconnect { mark_entered_in_error, link } => {
                let url = link.exchange.api(settings)?;
                let at = url.at(&format!("api/base/provider-links/{}/disconnect/", link.link))?;
                let body = json!({ "mark_entered_in_error": mark_entered_in_error });
                (link, url.call(Method::POST, at).json(&body))
            }
            Self::Receipt(link) => {
                let url = link.exchange.api(settings)?;
                let at = url.at(&format!("api/base/provider-links/{}/receipt/", link.link))?;
                (link, url.call(Method::GET, at))
            }
        };
        let answer = match named.exchange.api(settings)?.send(call).await? {
            Ok(answer) => client::read::<Value>(answer).await?,
            Err(refused) => {
                eprintln!("{refused}");
                return Ok(ExitCode::FAILURE);
            }
        };
        if named.json {
            put(&format!("{answer:#}\n"))?;
            return Ok(ExitCode::SUCCESS);
        }
        let shown = Shown::deserialize(answer.get("receipt").unwrap_or(&Value::Null))?;
        let mut text = format!("Link {} ended {}: {}\n", named.link, shown.disconnected_at, shown.state);
        for step in shown.steps {
            let at = step.ehr.map(|ehr| format!(" at {ehr}")).unwrap_or_default();
            let count = step.count.map(|count| format!(" ({count})")).unwrap_or_default();
            let why = step.why.map(|why| format!(", because {why}")).unwrap_or_default();
            text.push_str(&format!("  {}{at}: {}{count}{why}\n", step.step, step.state));
        }
        text.push_str(&format!("Signed: {}\n", answer.get("jws").and_then(Value::as_str).unwrap_or("-")));
        put(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
