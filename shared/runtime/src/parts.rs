//! The parts that settings name: store, bus, keyring, addresses.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ohx_bus::SharedBus;
use ohx_bus::sink::{Sink, SinkBus};
use ohx_bus_redis::RedisBus;
use ohx_bus_sqs::{Place, SetupError, SqsBus};
use ohx_domain::{Clock, SystemClock};
use ohx_seal::Keyring;
use ohx_store::{SharedStore, StoreError};
use ohx_store_postgres::PostgresStore;
use url::Url;

use crate::outbound::Reach;
use crate::{Ready, SettingError, Settings, outbound};

/// What every function's state is made of.
#[derive(Clone)]
pub struct Parts {
    /// The store.
    pub store: SharedStore,
    /// The bus.
    pub bus: SharedBus,
    /// The keyring.
    pub keyring: Arc<Keyring>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The outbound HTTP client.
    pub http: reqwest::Client,
    /// The address that patients and providers reach us at, without a trailing slash.
    pub public_url: Url,
    /// The base of our identifier systems, without a trailing slash.
    pub identifier_base: String,
}

const DATABASE: &str = "postgres://user:password@host/database; sqlite:// is for ohx itself";
const PUBLIC: &str = "the address that patients and providers reach OHX at, such as https://ohx.example.org";
const IDENTIFIERS: &str =
    "the base of your identifier systems, such as https://ohx.example.org/ns; it must never change";

/// Where Knative's SinkBinding mounts the token for a broker that asks for one.
const SINK_TOKEN: &str = "/oidc/token";

/// How long a provider or an EHR may take over one call.
const OUTBOUND_TIMEOUT: Duration = Duration::from_secs(30);

impl Parts {
    /// From settings, for a function that runs as its own process: `OHX_BUS` is `redis`, `sqs` or `http`.
    ///
    /// # Errors
    /// A setting is missing or wrong, or the database cannot be opened. Nothing is connected yet.
    pub fn from_settings(settings: &Settings) -> anyhow::Result<Self> {
        let bus = bus(settings)?;
        Self::on(settings, store(settings)?, bus)
    }

    /// From settings, on a store and a bus that are there already.
    ///
    /// # Errors
    /// As [`Parts::from_settings`].
    pub fn on(settings: &Settings, store: SharedStore, bus: SharedBus) -> anyhow::Result<Self> {
        let identifier_base = settings.url("OHX_IDENTIFIER_BASE", IDENTIFIERS)?;
        Ok(Self {
            store,
            bus,
            keyring: Arc::new(keyring(settings)?),
            clock: Arc::new(SystemClock),
            http: outbound::guarded(OUTBOUND_TIMEOUT, &Reach::from_settings(settings)?)?,
            public_url: settings.url("OHX_PUBLIC_URL", PUBLIC)?,
            identifier_base: identifier_base.as_str().trim_end_matches('/').to_owned(),
        })
    }

    /// An address under the public one.
    pub fn public(&self, path: &str) -> Url {
        let mut url = self.public_url.clone();
        url.set_path(&format!("{}/{}", url.path().trim_end_matches('/'), path.trim_start_matches('/')));
        url
    }

    /// For `/readyz`: the store and the broker answer.
    pub fn ready(&self) -> Ready {
        ready(self.store.clone(), self.bus.clone())
    }
}

/// For `/readyz`: the store answers. Of a function that publishes nothing.
pub fn store_ready(store: SharedStore) -> Ready {
    Arc::new(move || {
        let store = store.clone();
        Box::pin(async move { store.ping().await.map_err(|e| e.to_string()) })
    })
}

/// For `/readyz`: the store and the broker answer.
pub fn ready(store: SharedStore, bus: SharedBus) -> Ready {
    Arc::new(move || {
        let (store, bus) = (store.clone(), bus.clone());
        Box::pin(async move {
            store.ping().await.map_err(|e| e.to_string())?;
            bus.ping().await.map_err(|e| e.to_string())
        })
    })
}

/// The PostgreSQL database that `DATABASE_URL` names. SQLite is for one process, so only `ohx` knows it: the functions' images do
/// without.
///
/// # Errors
/// [`SettingError`], and what the engine says.
pub fn store(settings: &Settings) -> anyhow::Result<SharedStore> {
    store_within(settings, Duration::ZERO)
}

/// The same, where the database ends what takes longer than `limit`; zero is no limit.
///
/// # Errors
/// As [`store`].
pub fn store_within(settings: &Settings, limit: Duration) -> anyhow::Result<SharedStore> {
    let url = settings
        .text("DATABASE_URL")
        .ok_or(SettingError::Missing { name: "DATABASE_URL", expected: DATABASE })?;
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        // The address may hold a password, so it is not shown.
        return Err(
            SettingError::Wrong { name: "DATABASE_URL", expected: DATABASE.into(), shown: None }.into()
        );
    }
    let explain = |error: StoreError| anyhow::Error::new(error).context("DATABASE_URL");
    Ok(Arc::new(PostgresStore::connect_within(url, limit).map_err(explain)?))
}

/// The bus that `OHX_BUS` names, for a function that runs as its own process.
///
/// # Errors
/// [`SettingError`], and what the engine says.
pub fn bus(settings: &Settings) -> anyhow::Result<SharedBus> {
    let default = if settings.text("K_SINK").is_some() { "http" } else { "redis" };
    match settings.text("OHX_BUS").unwrap_or(default) {
        "redis" => Ok(Arc::new(redis(settings)?)),
        "sqs" => Ok(Arc::new(sqs(settings)?)),
        "http" => Ok(Arc::new(SinkBus::new(sink(settings, OUTBOUND_TIMEOUT)?))),
        other => Err(SettingError::Wrong {
            name: "OHX_BUS",
            expected: "redis, sqs or http for a function on its own, memory for ohx serve".into(),
            shown: Some(other.into()),
        }
        .into()),
    }
}

/// The Knative broker at `K_SINK`, and what else a SinkBinding sets: `K_CE_OVERRIDES`, `K_CA_CERTS`, and a token, which is in
/// `/oidc/token` where there is any; `OHX_SINK_TOKEN_FILE` says where else it is. `timeout` bounds a post.
///
/// # Errors
/// [`SettingError`], and what TLS says of the certificates.
pub fn sink(settings: &Settings, timeout: Duration) -> anyhow::Result<Sink> {
    let url = settings.url("K_SINK", "the broker's address, which Knative's SinkBinding sets")?;
    let client = match settings.text("K_CA_CERTS") {
        Some(authorities) => {
            let wrong = |error: outbound::OutboundError| anyhow::Error::new(error).context("K_CA_CERTS");
            outbound::client_believing(timeout, authorities).map_err(wrong)?
        }
        None => outbound::client(timeout)?,
    };
    let mut sink = Sink::new(client, url);
    if let Some(text) = settings.text("K_CE_OVERRIDES") {
        let wrong = |error: ohx_bus::sink::OverridesError| SettingError::Wrong {
            name: "K_CE_OVERRIDES",
            expected: error.to_string(),
            shown: Some(text.to_owned()),
        };
        sink = sink.with_overrides(text.parse().map_err(wrong)?);
    }
    let file = Path::new(settings.text("OHX_SINK_TOKEN_FILE").unwrap_or(SINK_TOKEN));
    if file.exists() {
        return Ok(sink.with_token_file(file.to_owned()));
    }
    match settings.text("OHX_SINK_TOKEN_FILE") {
        Some(shown) => Err(SettingError::Wrong {
            name: "OHX_SINK_TOKEN_FILE",
            expected: "a file with the token that the broker asks for".into(),
            shown: Some(shown.into()),
        }
        .into()),
        None => Ok(sink),
    }
}

/// Redis Streams at `REDIS_URL`.
///
/// # Errors
/// [`SettingError`].
pub fn redis(settings: &Settings) -> anyhow::Result<RedisBus> {
    let expected = "redis://host:6379, or rediss:// with TLS";
    let url = settings.text("REDIS_URL").ok_or(SettingError::Missing { name: "REDIS_URL", expected })?;
    let wrong = |_| SettingError::Wrong { name: "REDIS_URL", expected: expected.into(), shown: None };
    Ok(RedisBus::connect(url, redis_prefix(settings)).map_err(wrong)?)
}

/// What the keys in Redis begin with: `OHX_REDIS_PREFIX`, `ohx` by default.
pub fn redis_prefix(settings: &Settings) -> &str {
    settings.text("OHX_REDIS_PREFIX").unwrap_or("ohx")
}

/// The queues of SQS at [`sqs_place`].
///
/// # Errors
/// [`SettingError`].
pub fn sqs(settings: &Settings) -> Result<SqsBus, SettingError> {
    Ok(SqsBus::connect(&sqs_place(settings)?))
}

/// Where the queues of SQS are: `SQS_QUEUE_URL`, what their URLs begin with; `OHX_SQS_PREFIX`, what their names begin with,
/// `ohx` by default; `AWS_REGION`, where the address does not tell; and `AWS_ENDPOINT_URL`, where calls go elsewhere.
/// Credentials come from where AWS's own tools look for them.
///
/// # Errors
/// [`SettingError`].
pub fn sqs_place(settings: &Settings) -> Result<Place, SettingError> {
    let first = |names: [&str; 2]| names.into_iter().find_map(|name| settings.text(name));
    let expected =
        "what the queues' URLs begin with, such as https://sqs.eu-central-1.amazonaws.com/123456789012";
    let base =
        settings.text("SQS_QUEUE_URL").ok_or(SettingError::Missing { name: "SQS_QUEUE_URL", expected })?;
    let prefix = settings.text("OHX_SQS_PREFIX").unwrap_or("ohx");
    let region = first(["AWS_REGION", "AWS_DEFAULT_REGION"]);
    let endpoint = first(["AWS_ENDPOINT_URL_SQS", "AWS_ENDPOINT_URL"]);
    Place::new(base, prefix, region, endpoint).map_err(|error| {
        let (name, shown) = match error {
            SetupError::Region => ("AWS_REGION", None),
            SetupError::Prefix => ("OHX_SQS_PREFIX", Some(prefix.to_owned())),
            // The address might hold a password by mistake, so it is not shown.
            SetupError::Address | SetupError::Config(_) => ("SQS_QUEUE_URL", None),
        };
        SettingError::Wrong { name, expected: error.to_string(), shown }
    })
}

/// The keyring that `OHX_KEYS` holds.
///
/// # Errors
/// [`SettingError`], without key material.
pub fn keyring(settings: &Settings) -> Result<Keyring, SettingError> {
    let keys = settings
        .secret("OHX_KEYS", "the keyring that seals tokens and payloads; make one with: ohx keys new")?;
    Keyring::parse(&keys).map_err(|e| SettingError::Wrong {
        name: "OHX_KEYS",
        expected: e.to_string(),
        shown: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_sqs_is_comes_from_settings_and_a_wrong_one_is_named() {
        let address = ("SQS_QUEUE_URL", "https://sqs.eu-central-1.amazonaws.com/123456789012");
        let place = |pairs: &[(&str, &str)]| sqs_place(&Settings::from_pairs(pairs.iter().copied()));
        assert_eq!(place(&[address]).unwrap().names()[3], "ohx-fetch-high");
        assert_eq!(place(&[address, ("OHX_SQS_PREFIX", "test")]).unwrap().dead(), "test-dead");
        let local = ("SQS_QUEUE_URL", "http://user:secret@127.0.0.1:4566/0");
        for (pairs, name) in [
            (&[][..], "SQS_QUEUE_URL is not set"),
            (&[local], "SQS_QUEUE_URL is wrong"),
            (&[("SQS_QUEUE_URL", "http://127.0.0.1:4566/0")], "AWS_REGION is wrong"),
            (&[address, ("OHX_SQS_PREFIX", "a:b")], "OHX_SQS_PREFIX is wrong"),
        ] {
            let error = place(pairs).unwrap_err().to_string();
            assert!(error.starts_with(name) && !error.contains("secret"), "{error}");
        }
        let broker =
            [("OHX_BUS", "http"), ("K_SINK", "http://broker-ingress.knative-eventing.svc/ohx/default")];
        let sink = |more: &[(&str, &str)]| {
            let pairs = broker.iter().chain(more).copied();
            bus(&Settings::from_pairs(pairs)).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(sink(&[]), Ok(()));
        assert_eq!(sink(&[("K_CE_OVERRIDES", r#"{"extensions":{"cluster":"north"}}"#)]), Ok(()));
        for (name, value) in [
            ("K_CE_OVERRIDES", "north"),
            ("K_CE_OVERRIDES", r#"{"extensions":{"id":"1"}}"#),
            ("OHX_SINK_TOKEN_FILE", "/there/is/no/such/file"),
        ] {
            let error = sink(&[(name, value)]).unwrap_err();
            assert!(error.starts_with(name), "{error}");
        }
        let error = sink(&[("K_CA_CERTS", "-----BEGIN CERTIFICATE-----\nx")]).unwrap_err();
        assert!(error.starts_with("K_CA_CERTS"), "{error}");
        let error = bus(&Settings::from_pairs([("OHX_BUS", "kafka")])).err().unwrap().to_string();
        assert!(error.contains("redis, sqs or http"), "{error}");
    }
}
