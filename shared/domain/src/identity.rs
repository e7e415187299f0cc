//! None doubled: what makes a reading the same reading.
//!
//! The scheme is published in `docs/identity.md`. Nothing here depends on the time of the run, on randomness, or on
//! a value that a correction may change.

use std::fmt;
use std::sync::LazyLock;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{PatientReference, ProviderName, Sensitive};

/// A person's user id at a provider. It identifies a patient, so it prints as a placeholder.
pub type Account = Sensitive<String>;

/// SHA-256 over length-prefixed fields, so that no two lists of fields collide by concatenation.
pub(crate) fn digest(domain: &str, fields: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for field in std::iter::once(domain.as_bytes()).chain(fields.iter().copied()) {
        update(&mut hash, field);
    }
    hash.finalize().into()
}

fn base32(bytes: &[u8]) -> String {
    let mut text = BASE32_NOPAD.encode(bytes);
    text.make_ascii_lowercase();
    text
}

/// Stands for one provider account of one patient in identifiers (128 bits, 26 characters of base32).
///
/// The provider's user id itself never leaves the system. The patient is part of it: should an account ever be
/// connected to another patient, that patient's readings get other identities and overwrite nobody's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountPseudonym(String);

impl AccountPseudonym {
    /// The pseudonym as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountPseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The pseudonym of `account` at `provider`, for `patient`.
pub fn account_pseudonym(
    provider: &ProviderName,
    account: &Account,
    patient: &PatientReference,
) -> AccountPseudonym {
    let fields = [provider.as_str().as_bytes(), account.reveal().as_bytes(), patient.as_str().as_bytes()];
    AccountPseudonym(base32(&digest("ohx-account-v1", &fields)[..16]))
}

/// A FHIR business identifier: a system that this deployment owns, and a value that is unique in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Identifier {
    /// `<identifier base>/<provider>/<record kind>`.
    pub system: String,
    /// `<account pseudonym>.<record id>.<kind>`, from the provider's stable record id.
    pub value: String,
}

impl Identifier {
    /// The resource id for servers that accept client-assigned ids: `ohx-` and the whole SHA-256 in base32 (56
    /// characters of the 64 that FHIR allows).
    pub fn resource_id(&self) -> String {
        format!("ohx-{}", base32(&digest("ohx-id-v1", &[self.system.as_bytes(), self.value.as_bytes()])))
    }
}

/// Tells whether two versions of a reading say the same: 128 bits over the fields of the reading.
///
/// The digest travels with the resource into the EHR (as a `meta.tag`), and is kept nowhere else.
pub fn content_digest(fields: &[&[u8]]) -> String {
    let mut digest = ContentDigest::new();
    fields.iter().for_each(|field| digest.field(field));
    digest.finish()
}

/// [`content_digest`], field by field.
pub struct ContentDigest(Sha256);

impl ContentDigest {
    /// Of no field yet.
    pub fn new() -> Self {
        // The domain's own field is the same for all: hashed once, and copied.
        static DOMAIN: LazyLock<Sha256> = LazyLock::new(|| {
            let mut hash = Sha256::new();
            update(&mut hash, b"ohx-content-v1");
            hash
        });
        Self(DOMAIN.clone())
    }

    /// Adds a field.
    pub fn field(&mut self, field: &[u8]) {
        update(&mut self.0, field);
    }

    /// The digest.
    pub fn finish(self) -> String {
        base32(&self.0.finalize()[..16])
    }
}

impl Default for ContentDigest {
    fn default() -> Self {
        Self::new()
    }
}

fn update(hash: &mut Sha256, field: &[u8]) {
    hash.update((field.len() as u64).to_be_bytes());
    hash.update(field);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pseudonym(user: &str, patient: &str) -> AccountPseudonym {
        account_pseudonym(
            &"withings".parse().unwrap(),
            &Sensitive::new(user.to_owned()),
            &patient.parse().unwrap(),
        )
    }

    #[test]
    fn an_identity_is_fixed_for_ever() {
        // Golden values: a change here doubles every reading at every EHR.
        assert_eq!(pseudonym("363", "Patient/p1").as_str(), "7v7ie2hvu6t5bo5zuuqhuwffg4");
        let identifier = Identifier {
            system: "https://ohx.example/ns/withings/getmeas".into(),
            value: "a.1.body-weight".into(),
        };
        assert_eq!(identifier.resource_id(), "ohx-tdmzwqmezwy6irbx3nmyxbwtge4qhxibrjf5juwmlrepidbb53xa");
    }

    #[test]
    fn another_patient_or_account_is_another_identity() {
        assert_ne!(pseudonym("363", "Patient/p1"), pseudonym("363", "Patient/p2"));
        assert_ne!(pseudonym("363", "Patient/p1"), pseudonym("3631", "Patient/p1"));
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        assert_ne!(content_digest(&[b"ab", b"c"]), content_digest(&[b"a", b"bc"]));
        let whole = digest("ohx-content-v1", &[b"ab", b"c"]);
        assert_eq!(content_digest(&[b"ab", b"c"]), base32(&whole[..16]), "field by field or at once");
    }

    #[test]
    fn an_account_is_not_printed() {
        let shown = format!("{:?}", Sensitive::new("363".to_owned()));
        assert!(!shown.contains("363"));
    }
}
