//! Everything that is sealed under the keyring comes under its newest key, while the functions go on working.
//!
//! A value is read, opened, sealed under the first key, and written back only if it still is what was read: a function that
//! has written meanwhile wins, and what it wrote is looked at in the next pass. What has the newest key already is left
//! alone, so that a run that was cut off is simply begun again. Data keys stay what they are; only their wrapping changes, so
//! nothing that is sealed under one (tokens, accounts, what is on its way) is touched.

use std::collections::BTreeMap;

use ohx_seal::Keyring;
use ohx_store::{SealedIn, SealedRow, SharedStore};

use crate::{LinkError, Result};

/// Rows read together.
const PAGE: u32 = 200;
/// Passes over everything: one for the work, and further ones as long as somebody else writes under an older key.
const PASSES: u32 = 5;

/// What a rotation did, and which keys are still in use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rotated {
    /// By place: how many values were brought under the newest key.
    pub rewrapped: BTreeMap<SealedIn, u64>,
    /// By key id and place: how many values are sealed under it now.
    pub in_use: BTreeMap<String, BTreeMap<SealedIn, u64>>,
    /// The values that do not open, by place and row, and why.
    pub closed: Vec<(SealedIn, String, String)>,
    /// The keys of the keyring, but for the newest, that nothing is sealed under.
    pub removable: Vec<String>,
}

/// Where a value belongs: what it was sealed for.
fn place(sealed_in: SealedIn, row: &str) -> Vec<&str> {
    match sealed_in {
        SealedIn::Providers => vec!["providers", row, "secrets"],
        SealedIn::Ehrs => vec!["ehrs", row, "secret"],
        SealedIn::LinkKeys => vec!["links", row, "data_key"],
        SealedIn::SigningKeys => vec!["signing_keys", row, "sealed_key"],
        SealedIn::Erasures => {
            let (link, seq) = row.split_once('/').unwrap_or((row, ""));
            vec!["erasures", link, seq, "grant"]
        }
        SealedIn::Answers => vec!["idempotency", row],
    }
}

/// Brings everything under the newest key of the keyring: its first. `progress` is told after each page how many values of a
/// place were looked at in this pass.
///
/// # Errors
/// [`LinkError::Store`]; what was done by then stays done.
pub async fn rotate(
    store: &SharedStore,
    keyring: &Keyring,
    mut progress: impl FnMut(SealedIn, u64) + Send,
) -> Result<Rotated> {
    let mut rotated = Rotated::default();
    for _ in 0..PASSES {
        let mut changed = 0;
        rotated.in_use.clear();
        rotated.closed.clear();
        for sealed_in in SealedIn::ALL {
            let (mut after, mut seen) = (String::new(), 0);
            loop {
                let page = store.sealed_rows(sealed_in, &after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.row);
                seen += page.len() as u64;
                for row in &page {
                    changed += u64::from(one(store, keyring, sealed_in, row, &mut rotated).await?);
                }
                progress(sealed_in, seen);
            }
        }
        if changed == 0 {
            break;
        }
    }
    rotated.removable = removable(keyring, &rotated);
    Ok(rotated)
}

/// What is sealed under which key, without changing anything.
///
/// # Errors
/// [`LinkError::Store`].
pub async fn look(store: &SharedStore, keyring: &Keyring) -> Result<Rotated> {
    let mut told = Rotated::default();
    for sealed_in in SealedIn::ALL {
        let mut after = String::new();
        loop {
            let page = store.sealed_rows(sealed_in, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.row);
            for row in &page {
                let key = Keyring::key_of(&row.sealed).unwrap_or("?").to_owned();
                *told.in_use.entry(key).or_default().entry(sealed_in).or_default() += 1;
            }
        }
    }
    told.removable = removable(keyring, &told);
    Ok(told)
}

/// The keys that nothing is sealed under, but for the one that seals.
fn removable(keyring: &Keyring, told: &Rotated) -> Vec<String> {
    let unused = |id: &&str| *id != keyring.newest() && !told.in_use.contains_key(*id);
    keyring.ids().filter(unused).map(str::to_owned).collect()
}

/// Brings one value under the newest key, where it is not. `true` where there was something to do.
async fn one(
    store: &SharedStore,
    keyring: &Keyring,
    sealed_in: SealedIn,
    row: &SealedRow,
    rotated: &mut Rotated,
) -> Result<bool> {
    let key = Keyring::key_of(&row.sealed).unwrap_or("?").to_owned();
    let mut stays = |key: String| {
        *rotated.in_use.entry(key).or_default().entry(sealed_in).or_default() += 1;
    };
    if key == keyring.newest() {
        stays(key);
        return Ok(false);
    }
    match keyring.reseal(&place(sealed_in, &row.row), &row.sealed) {
        Ok(with) => {
            // Where somebody has changed it, the next pass sees what it is now.
            if store.rewrap(sealed_in, row, &with).await.map_err(LinkError::from)? {
                *rotated.rewrapped.entry(sealed_in).or_default() += 1;
            }
            Ok(true)
        }
        Err(error) => {
            stays(key);
            rotated.closed.push((sealed_in, row.row.clone(), error.to_string()));
            Ok(false)
        }
    }
}
