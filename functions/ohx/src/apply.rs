//! `ohx apply -f FILE`: configuration as a file, for people who keep it in Git.

mod ehrs;
mod mappings;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use ipnet::IpNet;
use ohx_domain::{Clock as _, EhrName, ProviderApp, ProviderName, Record, SystemClock};
use ohx_link::audit::note_in;
use ohx_runtime::outbound::Reach;
use ohx_runtime::{Settings, parts};
use ohx_seal::Keyring;
use ohx_store::SharedStore;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;
use url::Url;

pub(crate) use self::ehrs::{AppliedEhr, jwks_address};
use self::mappings::{AppliedActivation, AppliedMapping, Plan};

/// Puts provider apps, EHR endpoints and mapping documents into the database, and says which version is active for whom.
/// Applying a file twice changes nothing.
#[derive(Args)]
pub(crate) struct Apply {
    /// The YAML file; see docs/operate.md
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
    /// Further secrets, by the adapter's own names.
    #[serde(default)]
    secrets: BTreeMap<String, FromEnv>,
    #[serde(default)]
    options: BTreeMap<String, String>,
    #[serde(default)]
    base_urls: BTreeMap<String, Url>,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    records: Vec<Record>,
    requests_per_minute: Option<u32>,
    #[serde(default)]
    notify_from: Vec<IpNet>,
}

/// What a file holds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Configuration {
    #[serde(default)]
    providers: Vec<AppliedProvider>,
    #[serde(default)]
    ehrs: Vec<AppliedEhr>,
    #[serde(default)]
    mappings: Vec<AppliedMapping>,
    #[serde(default)]
    activations: Vec<AppliedActivation>,
    /// Where the files that it names are.
    #[serde(skip)]
    folder: PathBuf,
}

/// What was applied.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    providers: usize,
    ehrs: usize,
    /// Documents that were not saved before.
    saved: usize,
    /// Pointers that were moved.
    activated: usize,
}

impl Apply {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let file = self.file.display();
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("{file} cannot be read"))?;
        let mut configuration = read(&text).with_context(|| file.to_string())?;
        configuration.folder = self.file.parent().map(Path::to_owned).unwrap_or_default();
        let keyring = Arc::new(parts::keyring(settings)?);
        let store = crate::store::open(settings).await?;
        store.migrate().await?;
        let Applied { providers, ehrs, saved, activated } =
            apply(&configuration, settings, &keyring, &store).await.with_context(|| file.to_string())?;
        println!("Applied {providers} provider app(s) and {ehrs} EHR endpoint(s) from {file}.");
        if !configuration.mappings.is_empty() || !configuration.activations.is_empty() {
            println!(
                "Saved {saved} mapping document(s), and made {activated} activation(s), that were not there yet."
            );
        }
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
    keyring: &Arc<Keyring>,
    store: &SharedStore,
) -> anyhow::Result<Applied> {
    let now = SystemClock.now();
    let reach = Reach::from_settings(settings)?;
    let mut providers = Vec::new();
    for p in &configuration.providers {
        let of = format!("provider app {}", p.name);
        let app = ProviderApp {
            name: p.name.clone(),
            kind: p.kind.clone(),
            client_id: p.client_id.clone(),
            base_urls: p.base_urls.clone(),
            scopes: p.scopes.clone(),
            records: p.records.clone(),
            requests_per_minute: p.requests_per_minute,
            notify_from: p.notify_from.clone(),
            options: p.options.clone(),
        };
        if let Err(wrong) = ohx_api::configuration::check_provider(&app, p.secrets.keys()) {
            bail!("{of}: {wrong}");
        }
        for (name, url) in &p.base_urls {
            reach.check(url).with_context(|| format!("{of}: base_urls.{name}"))?;
        }
        let mut secrets = BTreeMap::new();
        if let Some(text) = secret(settings, &of, p.client_secret.as_ref())? {
            secrets.insert(ohx_link::secrets::CLIENT.to_owned(), SecretString::from(text));
        }
        for (name, from) in &p.secrets {
            if let Some(text) = secret(settings, &of, Some(from))? {
                secrets.insert(name.clone(), SecretString::from(text));
            }
        }
        // They are sealed together: what is stored stays only where none is given.
        let sealed = match secrets.is_empty() {
            true => None,
            false => Some(ohx_link::secrets::seal(keyring, &p.name, &secrets)?),
        };
        providers.push((app, sealed));
    }
    let ehrs = ehrs::check(&configuration.ehrs, settings, &reach, keyring)?;
    let names: Vec<EhrName> = configuration.ehrs.iter().map(|e| e.name.clone()).collect();
    let Configuration { mappings, activations, folder, .. } = configuration;
    let plan = Plan::new(mappings, activations, folder, &names, store).await?;
    let by = crate::api_keys::actor(settings);
    for (app, sealed) in &providers {
        store.put_provider(app, sealed.as_deref(), now).await?;
        let detail = json!({"type": app.kind, "secret": sealed.is_some()});
        note_in(store, now, &by, "provider.put", &format!("provider:{}", app.name), &detail).await?;
    }
    ehrs::write(&ehrs, settings, keyring, store, now).await?;
    let (saved, activated) = plan.write(store, &by, now).await?;
    Ok(Applied { providers: providers.len(), ehrs: ehrs.len(), saved, activated })
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

    #[tokio::test]
    async fn a_record_that_the_provider_does_not_have_is_refused_and_nothing_is_written() {
        let store: SharedStore =
            std::sync::Arc::new(ohx_store_sqlite::SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let keys = format!("k:{}", secrecy::ExposeSecret::expose_secret(&ohx_seal::generate_key()));
        let keyring = Arc::new(Keyring::parse(&keys.into()).unwrap());
        let applied = async |records: &str| {
            let configuration = read(&provider(records)).unwrap();
            apply(&configuration, &Settings::default(), &keyring, &store).await
        };
        let error = applied("    records: [getmeas, getmood]\n").await.unwrap_err().to_string();
        for part in ["provider app withings", "getmood", "getmeas", "heart-get"] {
            assert!(error.contains(part), "{part:?} in {error}");
        }
        assert!(store.providers().await.unwrap().is_empty());
        let done = Applied { providers: 1, ehrs: 0, saved: 0, activated: 0 };
        assert_eq!(applied("    records: [getmeas, heart-get]\n").await.unwrap(), done);
    }

    #[test]
    fn a_malformed_record_is_named_with_its_place() {
        let error = read(&provider("    records: [getmeas, Sleep_Get]\n")).err().unwrap().to_string();
        for part in ["a record must be", "hyphens", "Sleep_Get", "5"] {
            assert!(error.contains(part), "{part:?} in {error}");
        }
    }
}
