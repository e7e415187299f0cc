//! `ohx apply -f FILE`: configuration as a file, for people who keep it in Git.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use ohx_domain::{
    Clock as _, EhrAuth, EhrEndpoint, EhrName, ProviderApp, ProviderName, SystemClock, WriteStrategy,
};
use ohx_runtime::{Settings, parts};
use ohx_seal::Keyring;
use ohx_store::SharedStore;
use serde::Deserialize;
use url::Url;

/// Puts provider apps and EHR endpoints into the database. Applying a file twice changes nothing.
#[derive(Args)]
pub(crate) struct Apply {
    /// The YAML file; see docs/configuration.md
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

/// A secret: never in the file, but in a variable that the file names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FromEnv {
    env: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppliedProvider {
    name: ProviderName,
    #[serde(rename = "type")]
    kind: String,
    client_id: String,
    client_secret: Option<FromEnv>,
    #[serde(default)]
    base_urls: BTreeMap<String, Url>,
    #[serde(default)]
    scopes: Vec<String>,
    requests_per_minute: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppliedEhr {
    name: EhrName,
    base_url: Url,
    #[serde(default)]
    auth: Option<EhrAuth>,
    token: Option<FromEnv>,
    #[serde(default)]
    strategy: Option<WriteStrategy>,
    batch_size: Option<usize>,
}

/// What a file holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    #[serde(default)]
    providers: Vec<AppliedProvider>,
    #[serde(default)]
    ehrs: Vec<AppliedEhr>,
}

impl Apply {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let file = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("{file} cannot be read"))?;
        let configuration = read(&text).with_context(|| file.to_string())?;
        let keyring = parts::keyring(settings)?;
        let store = parts::store(settings).await?;
        store.migrate().await?;
        let (providers, ehrs) =
            apply(&configuration, settings, &keyring, &store).await.with_context(|| file.to_string())?;
        println!("Applied {providers} provider app(s) and {ehrs} EHR endpoint(s) from {file}.");
        Ok(())
    }
}

/// Reads a configuration; an error shows the place.
pub(crate) fn read(text: &str) -> anyhow::Result<Configuration> {
    serde_saphyr::from_str(text).map_err(|e| anyhow::anyhow!("{e}"))
}

fn secret<'s>(settings: &'s Settings, of: &str, from: Option<&FromEnv>) -> anyhow::Result<Option<&'s str>> {
    let Some(from) = from else {
        return Ok(None);
    };
    match settings.text(&from.env) {
        Some(text) => Ok(Some(text)),
        None => bail!("{of}: the variable {} is not set; it should hold the secret", from.env),
    }
}

/// Applies a configuration; all of it is checked before any of it is written.
pub(crate) async fn apply(
    configuration: &Configuration,
    settings: &Settings,
    keyring: &Keyring,
    store: &SharedStore,
) -> anyhow::Result<(usize, usize)> {
    let now = SystemClock.now();
    let mut providers = Vec::new();
    for p in &configuration.providers {
        let of = format!("provider app {}", p.name);
        if !ohx_link::KINDS.contains(&p.kind.as_str()) {
            bail!("{of}: type must be one of {:?}, got {:?}", ohx_link::KINDS, p.kind);
        }
        if p.requests_per_minute == Some(0) {
            bail!("{of}: requests_per_minute must be at least 1");
        }
        let app = ProviderApp {
            name: p.name.clone(),
            kind: p.kind.clone(),
            client_id: p.client_id.clone(),
            base_urls: p.base_urls.clone(),
            scopes: p.scopes.clone(),
            requests_per_minute: p.requests_per_minute,
        };
        let sealed = match secret(settings, &of, p.client_secret.as_ref())? {
            Some(text) => Some(keyring.seal(&["providers", p.name.as_str(), "secret"], text.as_bytes())?),
            None => None,
        };
        providers.push((app, sealed));
    }
    let mut ehrs = Vec::new();
    for e in &configuration.ehrs {
        let of = format!("EHR endpoint {}", e.name);
        let token = secret(settings, &of, e.token.as_ref())?;
        let auth = e.auth.unwrap_or(if token.is_some() { EhrAuth::Bearer } else { EhrAuth::None });
        if (auth == EhrAuth::Bearer) != token.is_some() {
            bail!("{of}: auth bearer and a token go together");
        }
        let batch_size = e.batch_size.unwrap_or(100);
        if !(1..=500).contains(&batch_size) {
            bail!("{of}: batch_size must be 1 to 500, got {batch_size}");
        }
        if !matches!(e.base_url.scheme(), "http" | "https") {
            bail!("{of}: base_url must begin with http:// or https://");
        }
        let endpoint = EhrEndpoint {
            name: e.name.clone(),
            base_url: e.base_url.clone(),
            auth,
            strategy: e.strategy.unwrap_or(WriteStrategy::Update),
            batch_size,
        };
        let sealed =
            token.map(|t| keyring.seal(&["ehrs", e.name.as_str(), "secret"], t.as_bytes())).transpose()?;
        ehrs.push((endpoint, sealed));
    }
    for (app, sealed) in &providers {
        store.put_provider(app, sealed.as_deref(), now).await?;
    }
    for (endpoint, sealed) in &ehrs {
        if endpoint.auth == EhrAuth::None {
            eprintln!(
                "EHR endpoint {}: no authorization is configured; for test servers only",
                endpoint.name
            );
        }
        store.put_ehr(endpoint, sealed.as_deref(), now).await?;
    }
    Ok((providers.len(), ehrs.len()))
}
