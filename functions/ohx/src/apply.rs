//! `ohx apply -f FILE`: configuration as a file, for people who keep it in Git.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use ohx_domain::{
    Clock as _, EhrAuth, EhrEndpoint, EhrName, ProviderApp, ProviderName, Record, SystemClock, WriteStrategy,
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
    #[serde(default)]
    records: Vec<Record>,
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
        let mut seen = BTreeSet::new();
        if let Some(twice) = p.records.iter().find(|record| !seen.insert(*record)) {
            bail!("{of}: records names {twice} twice");
        }
        let app = ProviderApp {
            name: p.name.clone(),
            kind: p.kind.clone(),
            client_id: p.client_id.clone(),
            base_urls: p.base_urls.clone(),
            scopes: p.scopes.clone(),
            records: p.records.clone(),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(records: &str) -> String {
        format!("providers:\n  - name: withings\n    type: withings\n    client_id: abc\n{records}")
    }

    #[test]
    fn records_are_read() {
        let some = read(&provider("    records: [getmeas, sleep-getsummary]\n")).unwrap();
        let names: Vec<_> = some.providers.iter().flat_map(|p| &p.records).map(Record::as_str).collect();
        assert_eq!(names, ["getmeas", "sleep-getsummary"]);
        assert!(read(&provider("")).unwrap().providers.iter().all(|p| p.records.is_empty()));
    }

    #[test]
    fn a_malformed_record_is_named_with_its_place() {
        let error = read(&provider("    records: [getmeas, Sleep_Get]\n")).err().unwrap().to_string();
        for part in ["a record must be", "hyphens", "Sleep_Get", "5"] {
            assert!(error.contains(part), "{part:?} in {error}");
        }
    }
}
