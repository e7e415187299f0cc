//! The EHR endpoints of a file: all of them checked before any is written.

use std::sync::Arc;

use anyhow::{Context as _, bail, ensure};
use ohx_api::configuration::{auth_name, check_ehr};
use ohx_domain::{
    BundleKind, EhrAuth, EhrEndpoint, EhrName, EhrOAuth, FhirVersion, Instant, SigningAlgorithm, SystemClock,
    WriteStrategy,
};
use ohx_link::audit::note_in;
use ohx_link::ehr::secret_place;
use ohx_link::signing::{OVERLAP, StoredKeys};
use ohx_runtime::Settings;
use ohx_runtime::outbound::Reach;
use ohx_seal::Keyring;
use ohx_store::SharedStore;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use super::{FromEnv, secret};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppliedEhr {
    pub(super) name: EhrName,
    title: Option<String>,
    base_url: Url,
    auth: Option<EhrAuth>,
    oauth: Option<EhrOAuth>,
    token: Option<FromEnv>,
    client_secret: Option<FromEnv>,
    fhir_version: Option<FhirVersion>,
    strategy: Option<WriteStrategy>,
    bundle: Option<BundleKind>,
    batch_size: Option<usize>,
    concurrency: Option<u32>,
    provenance: Option<bool>,
}

/// An endpoint as it is written, with its sealed secret.
pub(super) struct Checked {
    pub(super) endpoint: EhrEndpoint,
    sealed: Option<Vec<u8>>,
}

/// The secret that belongs to `auth`.
fn secret_of<'s>(
    e: &AppliedEhr,
    auth: EhrAuth,
    of: &str,
    settings: &'s Settings,
) -> anyhow::Result<Option<&'s str>> {
    let name = auth_name(auth);
    if e.token.is_some() && auth != EhrAuth::Bearer {
        bail!("{of}: token is for auth bearer; auth is {name}");
    }
    if e.client_secret.is_some() && auth != EhrAuth::ClientCredentials {
        bail!("{of}: client_secret is for auth client-credentials; auth is {name}");
    }
    let (field, from) = match auth {
        EhrAuth::Bearer => ("token", &e.token),
        EhrAuth::ClientCredentials => ("client_secret", &e.client_secret),
        EhrAuth::None | EhrAuth::SmartBackend | EhrAuth::JwtBearer => return Ok(None),
    };
    let given = secret(settings, of, from.as_ref())?;
    if given.is_none() {
        bail!("{of}: {field} is missing: auth {name} needs it, as {{ env: NAME_OF_A_VARIABLE }}");
    }
    Ok(given)
}

fn checked(e: &AppliedEhr, settings: &Settings, reach: &Reach, keyring: &Keyring) -> anyhow::Result<Checked> {
    let of = format!("EHR endpoint {}", e.name);
    let auth = e.auth.unwrap_or(if e.token.is_some() { EhrAuth::Bearer } else { EhrAuth::None });
    reach.check(&e.base_url).with_context(|| format!("{of}: base_url"))?;
    if let Some(url) = e.oauth.as_ref().and_then(|oauth| oauth.token_url.as_ref()) {
        reach.check(url).with_context(|| format!("{of}: oauth.token_url"))?;
    }
    let mut endpoint = EhrEndpoint::new(e.name.clone(), e.base_url.clone());
    endpoint.title = e.title.clone();
    endpoint.auth = auth;
    endpoint.oauth = e.oauth.clone();
    endpoint.fhir_version = e.fhir_version.unwrap_or(endpoint.fhir_version);
    endpoint.strategy = e.strategy.unwrap_or(endpoint.strategy);
    endpoint.bundle = e.bundle.unwrap_or(endpoint.bundle);
    endpoint.batch_size = e.batch_size.unwrap_or(endpoint.batch_size);
    endpoint.concurrency = e.concurrency.unwrap_or(endpoint.concurrency);
    endpoint.provenance = e.provenance.unwrap_or(endpoint.provenance);
    check_ehr(&endpoint).with_context(|| of.clone())?;
    let plain = secret_of(e, auth, &of, settings)?;
    let sealed = plain.map(|text| keyring.seal(&secret_place(&e.name), text.as_bytes())).transpose()?;
    Ok(Checked { endpoint, sealed })
}

/// Checks the endpoints of a file.
pub(super) fn check(
    ehrs: &[AppliedEhr],
    settings: &Settings,
    reach: &Reach,
    keyring: &Keyring,
) -> anyhow::Result<Vec<Checked>> {
    let checked: Vec<Checked> =
        ehrs.iter().map(|e| checked(e, settings, reach, keyring)).collect::<anyhow::Result<_>>()?;
    for (n, e) in ehrs.iter().enumerate() {
        let twice = ehrs.iter().take(n).any(|other| other.name == e.name);
        ensure!(!twice, "EHR endpoint {}: the file has it twice", e.name);
    }
    Ok(checked)
}

/// Writes them, and makes the signing keys that they need and nobody has made yet.
pub(super) async fn write(
    ehrs: &[Checked],
    settings: &Settings,
    keyring: &Arc<Keyring>,
    store: &SharedStore,
    now: Instant,
) -> anyhow::Result<()> {
    let by = crate::api_keys::actor(settings);
    let mut algorithms = Vec::new();
    for Checked { endpoint, sealed } in ehrs {
        if endpoint.auth == EhrAuth::None {
            eprintln!("EHR endpoint {}: auth is none, which is for tests only", endpoint.name);
        }
        store.put_ehr(endpoint, sealed.as_deref(), now).await?;
        let detail = json!({"auth": auth_name(endpoint.auth), "secret": sealed.is_some()});
        note_in(store, now, &by, "ehr.put", &format!("ehr:{}", endpoint.name), &detail).await?;
        if matches!(endpoint.auth, EhrAuth::SmartBackend | EhrAuth::JwtBearer) {
            let chosen = endpoint.oauth.as_ref().and_then(|oauth| oauth.algorithm);
            // Which one the server takes is only known when it is asked.
            let needed = chosen.map_or(SigningAlgorithm::ALL.to_vec(), |algorithm| vec![algorithm]);
            algorithms.extend(needed);
        }
    }
    algorithms.sort_unstable();
    algorithms.dedup();
    let keys = StoredKeys::new(store.clone(), keyring.clone(), Arc::new(SystemClock));
    for algorithm in algorithms {
        if let Some(kid) = keys.rotate(algorithm, OVERLAP, true).await? {
            println!("Made the signing key {kid} ({}).", algorithm.as_str());
            let detail = json!({"algorithm": algorithm.as_str()});
            note_in(store, now, &by, "signing-key.create", &format!("signing-key:{kid}"), &detail).await?;
            println!("Register this address at the EHR: {}", jwks_address(settings));
        }
    }
    Ok(())
}

/// Where the public keys are.
pub(crate) fn jwks_address(settings: &Settings) -> String {
    let public = settings.text("OHX_PUBLIC_URL").unwrap_or("<OHX_PUBLIC_URL>");
    format!("{}/.well-known/jwks.json", public.trim_end_matches('/'))
}

#[cfg(test)]
#[path = "ehrs_tests.rs"]
mod tests;
