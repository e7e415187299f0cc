//! `ohx api-keys`: the keys that the API is called with, straight in the database: so there is a first one.

use std::time::Duration;

use clap::{Args, Subcommand};
use ohx_api::access::{NewKey, make_api_key};
use ohx_domain::{ApiKeyId, Clock as _, EhrName, Role, SystemClock};
use ohx_link::audit::note_in;
use ohx_runtime::Settings;
use ohx_store::StoredApiKey;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::put;

/// The keys that the API is called with.
#[derive(Subcommand)]
pub(crate) enum ApiKeys {
    /// Makes a key, and prints it: this once, and never again
    Create(Create),
    /// Lists the keys, without the keys themselves
    List,
    /// Revokes a key at once
    Revoke {
        /// The key's id
        id: ApiKeyId,
    },
}

#[derive(Args)]
pub(crate) struct Create {
    /// What it is called, for people
    #[arg(long)]
    name: String,
    /// admin, integrator, clinician-read or link-creator
    #[arg(long)]
    role: Role,
    /// The only EHR endpoint that it may make and see links of
    #[arg(long)]
    ehr: Option<EhrName>,
    /// It sees only the links that it has made; a link creator's always does
    #[arg(long)]
    own_links: bool,
    /// After how many days it is not taken any more [default: never]
    #[arg(long, value_name = "DAYS")]
    expires_in: Option<u32>,
}

/// Who acts on the command line.
pub(crate) fn actor(settings: &Settings) -> String {
    settings.text("USER").or(settings.text("LOGNAME")).map_or("cli".to_owned(), |user| format!("cli:{user}"))
}

impl ApiKeys {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let store = crate::store::open(settings).await?;
        store.migrate().await?;
        let (now, by) = (SystemClock.now(), actor(settings));
        match self {
            Self::Create(create) => {
                let Create { name, role, ehr, own_links, expires_in } = create;
                let days = |days: u32| Duration::from_secs(u64::from(days) * 24 * 3600);
                let expires_at = expires_in.map(|after| now + days(after));
                let (name, ehr, own_links) = (name.clone(), ehr.clone(), *own_links);
                let new = NewKey { name, role: *role, ehr, own_links, expires_at };
                let (stored, key) = make_api_key(&store, new, &by, now).await?;
                let subject = format!("api-key:{}", stored.key.id);
                note_in(&store, now, &by, "api-key.create", &subject, &json!({"role": role})).await?;
                eprintln!("Made the key {}, which is shown this once:", stored.key.id);
                put(&format!("{}\n", key.expose_secret()))?;
            }
            Self::List => {
                let mut after = None;
                loop {
                    let page = store.api_keys(after, 1000).await?;
                    for key in &page {
                        put(&line(key, now))?;
                    }
                    after = page.last().map(|key| key.key.id);
                    if page.len() < 1000 {
                        break;
                    }
                }
            }
            Self::Revoke { id } => {
                let first = store.revoke_api_key(*id, now).await?;
                note_in(&store, now, &by, "api-key.revoke", &format!("api-key:{id}"), &Value::Null).await?;
                println!("{id}: {}", if first { "revoked" } else { "was revoked before" });
            }
        }
        Ok(())
    }
}

fn line(stored: &StoredApiKey, now: ohx_domain::Instant) -> String {
    let key = &stored.key;
    let state = match (stored.revoked_at, key.expires_at) {
        (Some(at), _) => format!("revoked {at}"),
        (None, Some(at)) if at <= now => format!("expired {at}"),
        (None, Some(at)) => format!("good until {at}"),
        (None, None) => "good".to_owned(),
    };
    let used = stored.last_used_at.map_or("never used".to_owned(), |at| format!("used {at}"));
    let ehr = key.ehr.as_ref().map(|ehr| format!("  only {ehr}")).unwrap_or_default();
    let own = if key.own_links { "  own links" } else { "" };
    format!("{}  {}{ehr}{own}  {state}  {used}  {}\n", key.id, key.role, key.name)
}
