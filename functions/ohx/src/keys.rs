//! `ohx keys`.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use ohx_domain::{Clock as _, SigningAlgorithm, SystemClock};
use ohx_link::audit::note_in;
use ohx_link::rotate;
use ohx_link::signing::{JWKS_CACHED, OVERLAP, StoredKeys, signs};
use ohx_runtime::{Settings, parts};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use crate::api_keys::actor;
use crate::apply::jwks_address;

/// Makes keys.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Prints fresh values for OHX_KEYS (the keyring), OHX_API_KEY and OHX_CONSOLE_SECRET
    New {
        /// The new key's id in the keyring; each key of a keyring has its own
        #[arg(long, default_value = "k1")]
        id: String,
    },
    /// Seals everything in the database anew under the newest key, the first of OHX_KEYS, while the functions go on; says
    /// which keys nothing is sealed under any more (see docs/privacy.md)
    Rotate {
        /// Only says what is sealed under which key
        #[arg(long)]
        dry_run: bool,
    },
    /// The keys that OHX proves itself to EHRs with, by signing (see docs/ehr.md)
    #[command(subcommand)]
    Signing(Signing),
}

#[derive(Subcommand)]
pub(crate) enum Signing {
    /// Lists the keys, and says which sign
    List,
    /// Makes new keys: they are shown at once, and sign after the overlap
    Rotate(Rotate),
    /// Takes a key out of use and out of the key set at once, and destroys it
    Retire {
        /// The key's id
        kid: String,
    },
}

#[derive(Args)]
pub(crate) struct Rotate {
    /// Only for this algorithm [default: those that there are keys for, or both]
    #[arg(long)]
    algorithm: Option<Algorithm>,
    /// Hours until the new key signs, and again until the former one is gone; 0 where the former one is known to others
    #[arg(long, value_name = "HOURS", default_value_t = OVERLAP.as_secs() / 3600)]
    overlap: u64,
}

#[derive(Clone, Copy, ValueEnum)]
enum Algorithm {
    #[value(name = "ES384")]
    Es384,
    #[value(name = "RS384")]
    Rs384,
}

impl From<Algorithm> for SigningAlgorithm {
    fn from(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Es384 => Self::ES384,
            Algorithm::Rs384 => Self::RS384,
        }
    }
}

impl Keys {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        match self {
            Self::New { id } => {
                println!("OHX_KEYS={id}:{}", ohx_seal::generate_key().expose_secret());
                println!("OHX_API_KEY={}", ohx_seal::generate_key().expose_secret());
                println!("OHX_CONSOLE_SECRET={id}:{}", ohx_seal::generate_key().expose_secret());
                Ok(())
            }
            Self::Rotate { dry_run } => rotate(settings, *dry_run).await,
            Self::Signing(signing) => signing.run(settings).await,
        }
    }
}

/// `ohx keys rotate`.
async fn rotate(settings: &Settings, dry_run: bool) -> anyhow::Result<()> {
    let (store, keyring) = (crate::store::open(settings).await?, parts::keyring(settings)?);
    store.migrate().await?;
    let told = match dry_run {
        true => rotate::look(&store, &keyring).await?,
        false => {
            rotate::rotate(&store, &keyring, |place, seen| eprintln!("{}: {seen} looked at", place.as_str()))
                .await?
        }
    };
    if !told.rewrapped.is_empty() {
        let by: serde_json::Map<_, _> =
            told.rewrapped.iter().map(|(place, n)| (place.as_str().to_owned(), json!(n))).collect();
        let subject = format!("key:{}", keyring.newest());
        note_in(&store, SystemClock.now(), &actor(settings), "keys.rotate", &subject, &Value::Object(by))
            .await?;
    }
    for (place, count) in &told.rewrapped {
        println!("{}: {count} sealed anew under {}", place.as_str(), keyring.newest());
    }
    for (key, places) in &told.in_use {
        let places: Vec<_> = places.iter().map(|(place, n)| format!("{n} {}", place.as_str())).collect();
        println!("{key} is in use: {}", places.join(", "));
    }
    for (place, row, why) in &told.closed {
        println!("not opened: {} of {row}: {why}", place.as_str());
    }
    for key in &told.removable {
        println!(
            "{key} can be removed from OHX_KEYS, once every function was started with {} in front",
            keyring.newest()
        );
    }
    anyhow::ensure!(
        told.closed.is_empty(),
        "{} value(s) did not open and stay as they are",
        told.closed.len()
    );
    Ok(())
}

impl Signing {
    async fn run(&self, settings: &Settings) -> anyhow::Result<()> {
        let store = crate::store::open(settings).await?;
        store.migrate().await?;
        let by = actor(settings);
        match self {
            Self::List => {
                let now = SystemClock.now();
                let all = store.signing_keys().await?;
                if all.is_empty() {
                    println!(
                        "There are no signing keys. ohx apply makes them where an EHR endpoint needs them."
                    );
                }
                for key in &all {
                    let signing =
                        signs(&all, key.algorithm, now).is_some_and(|current| current.kid == key.kid);
                    let state = match key.retired_at {
                        Some(at) if at <= now => format!("retired {at}"),
                        Some(at) if signing => format!("signs; retires {at}"),
                        Some(at) => format!("is shown; retires {at}"),
                        None if signing => "signs".to_owned(),
                        None => format!("is shown; signs from {}", key.signs_from),
                    };
                    println!("{}  {}  made {}  {state}", key.kid, key.algorithm.as_str(), key.created_at);
                }
            }
            Self::Rotate(rotate) => {
                let keyring = Arc::new(parts::keyring(settings)?);
                let overlap = Duration::from_secs(rotate.overlap.saturating_mul(3600));
                let there: Vec<_> =
                    store.signing_keys().await?.into_iter().map(|key| key.algorithm).collect();
                let mut algorithms = SigningAlgorithm::ALL.to_vec();
                match rotate.algorithm {
                    Some(one) => algorithms = vec![one.into()],
                    None if there.is_empty() => {}
                    None => algorithms.retain(|algorithm| there.contains(algorithm)),
                }
                if overlap < JWKS_CACHED {
                    eprintln!(
                        "EHRs that keep a copy of the key set may refuse OHX until they read it again."
                    );
                }
                let keys = StoredKeys::new(store.clone(), keyring, Arc::new(SystemClock));
                for algorithm in algorithms {
                    if let Some(kid) = keys.rotate(algorithm, overlap, false).await? {
                        println!("Made the signing key {kid} ({}).", algorithm.as_str());
                        let detail = json!({"algorithm": algorithm.as_str()});
                        let subject = format!("signing-key:{kid}");
                        note_in(&store, SystemClock.now(), &by, "signing-key.create", &subject, &detail)
                            .await?;
                    }
                }
                println!("The key set is at {}", jwks_address(settings));
            }
            Self::Retire { kid } => {
                store.retire_signing_key(kid, SystemClock.now()).await?;
                let subject = format!("signing-key:{kid}");
                note_in(&store, SystemClock.now(), &by, "signing-key.retire", &subject, &Value::Null).await?;
                println!("Retired the signing key {kid}.");
            }
        }
        Ok(())
    }
}
