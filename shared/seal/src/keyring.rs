//! Keys that wrap keys.

use std::fmt;

use chacha20poly1305::aead::{Aead, Generate, Key, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use data_encoding::{BASE32_NOPAD, BASE64};
use hmac::{Hmac, Mac};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::{SealError, associated};

const NONCE: usize = 24;

/// A fresh 256-bit key, in base64, as the keyring's text form holds it.
pub fn generate_key() -> SecretString {
    BASE64.encode(&Key::<XChaCha20Poly1305>::generate()).into()
}

fn encrypt(cipher: &XChaCha20Poly1305, plain: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    let nonce = XNonce::generate();
    let mut out = nonce.to_vec();
    out.extend(cipher.encrypt(&nonce, Payload { msg: plain, aad }).map_err(|_| SealError::Refused)?);
    Ok(out)
}

fn decrypt(cipher: &XChaCha20Poly1305, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    let (nonce, text) = sealed.split_at_checked(NONCE).ok_or(SealError::Refused)?;
    let nonce = XNonce::try_from(nonce).map_err(|_| SealError::Refused)?;
    cipher.decrypt(&nonce, Payload { msg: text, aad }).map_err(|_| SealError::Refused)
}

/// The keys from the environment (`OHX_KEYS`): the first seals, every one opens.
///
/// A sealed value begins with its key's id, so that a new key can be put in front while old values still open.
pub struct Keyring {
    keys: Vec<(String, XChaCha20Poly1305)>,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|(id, _)| id)).finish()
    }
}

impl Keyring {
    /// Reads `<id>:<base64>[,<id>:<base64>…]`.
    ///
    /// # Errors
    /// [`SealError::Keyring`] where an id is missing, too long (over 32 characters) or used twice, or a key is not 32
    /// bytes. The message never holds key material.
    pub fn parse(text: &SecretString) -> Result<Self, SealError> {
        let mut keys: Vec<(String, XChaCha20Poly1305)> = Vec::new();
        for (n, entry) in text.expose_secret().split(',').map(str::trim).filter(|e| !e.is_empty()).enumerate()
        {
            let n = n + 1;
            let (id, key) =
                entry.split_once(':').ok_or_else(|| SealError::Keyring(format!("entry {n} has no colon")))?;
            let id_ok = (1..=32).contains(&id.len())
                && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if !id_ok || keys.iter().any(|(other, _)| other == id) {
                return Err(SealError::Keyring(format!(
                    "the id of entry {n} is not 1 to 32 letters, digits, hyphens or underscores, or is used twice"
                )));
            }
            let key =
                BASE64.decode(key.as_bytes()).ok().and_then(|k| XChaCha20Poly1305::new_from_slice(&k).ok());
            let cipher = key.ok_or_else(|| {
                SealError::Keyring(format!("the key of entry {n} is not 32 bytes in base64"))
            })?;
            keys.push((id.to_owned(), cipher));
        }
        if keys.is_empty() {
            return Err(SealError::Keyring("it is empty".into()));
        }
        Ok(Self { keys })
    }

    /// Seals `plain` for one place, named by `place` (table, row, column).
    ///
    /// # Errors
    /// [`SealError::Refused`] only where `plain` is larger than the cipher allows (256 GiB).
    pub fn seal(&self, place: &[&str], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let (id, cipher) = self.keys.first().ok_or_else(|| SealError::Keyring("it is empty".into()))?;
        let mut out = vec![u8::try_from(id.len()).unwrap_or(0)];
        out.extend_from_slice(id.as_bytes());
        out.extend(encrypt(cipher, plain, &associated(place))?);
        Ok(out)
    }

    /// Opens what [`Keyring::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError::UnknownKey`] or [`SealError::Refused`].
    pub fn open(&self, place: &[&str], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let (length, rest) = sealed.split_first().ok_or(SealError::Refused)?;
        let (id, text) = rest.split_at_checked(usize::from(*length)).ok_or(SealError::Refused)?;
        let id = std::str::from_utf8(id).map_err(|_| SealError::Refused)?;
        let (_, cipher) = self
            .keys
            .iter()
            .find(|(other, _)| other == id)
            .ok_or_else(|| SealError::UnknownKey(id.to_owned()))?;
        decrypt(cipher, text, &associated(place))
    }

    /// The id of the key that seals: the first.
    pub fn newest(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// The ids of all keys, the newest first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(id, _)| id.as_str())
    }

    /// The id of the key that a value was sealed under, as the value says.
    pub fn key_of(sealed: &[u8]) -> Option<&str> {
        let (length, rest) = sealed.split_first()?;
        std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
    }

    /// The same value, sealed for the same place under the newest key.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn reseal(&self, place: &[&str], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        let plain = Zeroizing::new(self.open(place, sealed)?);
        self.seal(place, &plain)
    }

    /// A new data key for a link, and its wrapped form for the store.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn new_data_key(&self, link: &str) -> Result<(DataKey, Vec<u8>), SealError> {
        let key = Key::<XChaCha20Poly1305>::generate();
        let wrapped = self.seal(&["links", link, "data_key"], &key)?;
        Ok((DataKey { bytes: key.into(), cipher: XChaCha20Poly1305::new(&key) }, wrapped))
    }

    /// A link's data key from its wrapped form.
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn data_key(&self, link: &str, wrapped: &[u8]) -> Result<DataKey, SealError> {
        let bytes = self.open(&["links", link, "data_key"], wrapped)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| SealError::Refused)?;
        Ok(DataKey { bytes, cipher: XChaCha20Poly1305::new(&bytes.into()) })
    }
}

/// One link's own key.
pub struct DataKey {
    bytes: [u8; 32],
    cipher: XChaCha20Poly1305,
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey")
    }
}

impl DataKey {
    /// Seals `plain` for one place.
    ///
    /// # Errors
    /// As [`Keyring::seal`].
    pub fn seal(&self, place: &[&str], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        encrypt(&self.cipher, plain, &associated(place))
    }

    /// Opens what [`DataKey::seal`] made for the same place.
    ///
    /// # Errors
    /// [`SealError::Refused`].
    pub fn open(&self, place: &[&str], sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        decrypt(&self.cipher, sealed, &associated(place))
    }
}

/// 128 bits that only one who holds the data key can tell, for one purpose.
fn token(key: &DataKey, purpose: &[u8]) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(&key.bytes).expect("any length");
    mac.update(purpose);
    let mac = mac.finalize().into_bytes();
    BASE32_NOPAD.encode(&mac[..16]).to_ascii_lowercase()
}

/// The unguessable part of a link's notification URL (128 bits), for providers that sign nothing.
///
/// It is derived from the data key, so nothing more has to be stored, and it dies with the link.
pub fn webhook_token(key: &DataKey) -> String {
    token(key, b"ohx-webhook-token-v1")
}

/// Whether `token` is the link's, in constant time.
pub fn webhook_token_matches(key: &DataKey, token: &str) -> bool {
    webhook_token(key).as_bytes().ct_eq(token.as_bytes()).into()
}

/// What a gateway proves itself with that sends readings for a link (128 bits). Derived like [`webhook_token`].
pub fn gateway_token(key: &DataKey) -> String {
    token(key, b"ohx-gateway-token-v1")
}

/// Whether `token` is the link's gateway's, in constant time.
pub fn gateway_token_matches(key: &DataKey, token: &str) -> bool {
    gateway_token(key).as_bytes().ct_eq(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(ids: &[&str]) -> (Keyring, String) {
        let text: Vec<_> = ids.iter().map(|id| format!("{id}:{}", generate_key().expose_secret())).collect();
        (Keyring::parse(&text.join(",").into()).unwrap(), text.join(","))
    }

    #[test]
    fn a_value_opens_only_where_it_belongs() {
        let (ring, _) = ring(&["k1"]);
        let sealed = ring.seal(&["tokens", "a"], b"secret").unwrap();
        assert_eq!(ring.open(&["tokens", "a"], &sealed).unwrap(), b"secret");
        assert_eq!(ring.open(&["tokens", "b"], &sealed), Err(SealError::Refused));
        assert_eq!(ring.open(&["tokensa", ""], &sealed), Err(SealError::Refused));
    }

    #[test]
    fn a_new_key_in_front_still_opens_old_values() {
        let (old, text) = ring(&["k1"]);
        let sealed = old.seal(&["x"], b"v").unwrap();
        let both = Keyring::parse(&format!("k2:{},{text}", generate_key().expose_secret()).into()).unwrap();
        assert_eq!(both.open(&["x"], &sealed).unwrap(), b"v");
        let (other, _) = ring(&["k3"]);
        assert_eq!(other.open(&["x"], &sealed), Err(SealError::UnknownKey("k1".into())));
    }

    #[test]
    fn a_value_comes_under_the_newest_key_and_stays_the_same() {
        let (old, text) = ring(&["k1"]);
        let sealed = old.seal(&["x"], b"v").unwrap();
        let fresh = generate_key();
        let both = Keyring::parse(&format!("k2:{},{text}", fresh.expose_secret()).into()).unwrap();
        let again = both.reseal(&["x"], &sealed).unwrap();
        assert_eq!((Keyring::key_of(&sealed), Keyring::key_of(&again)), (Some("k1"), Some("k2")));
        let new = Keyring::parse(&format!("k2:{}", fresh.expose_secret()).into()).unwrap();
        assert_eq!(new.open(&["x"], &again).unwrap(), b"v");
        assert_eq!(both.reseal(&["y"], &sealed), Err(SealError::Refused));
        assert_eq!((both.newest(), both.ids().collect::<Vec<_>>()), ("k2", vec!["k2", "k1"]));
        assert_eq!((Keyring::key_of(b""), Keyring::key_of(b"\x05k1")), (None, None));
    }

    #[test]
    fn every_flipped_or_missing_byte_is_refused() {
        let (ring, _) = ring(&["k1"]);
        let sealed = ring.seal(&["x"], b"v").unwrap();
        for n in 0..sealed.len() {
            let mut bad = sealed.clone();
            bad[n] ^= 1;
            assert!(ring.open(&["x"], &bad).is_err());
            assert!(ring.open(&["x"], &sealed[..n]).is_err());
        }
    }

    #[test]
    fn malformed_keyrings_are_explained_without_the_key() {
        for text in ["", "k1", "k1:c2hvcnQ=", ":AAAA", "k1:!!"] {
            let error = Keyring::parse(&text.to_owned().into()).unwrap_err().to_string();
            assert!(error.starts_with("a keyring is"), "{error}");
            assert!(!error.contains("c2hvcnQ"), "{error}");
        }
    }

    #[test]
    fn a_webhook_token_is_the_links_own() {
        let (ring, _) = ring(&["k1"]);
        let (key, wrapped) = ring.new_data_key("l1").unwrap();
        let again = ring.data_key("l1", &wrapped).unwrap();
        assert!(webhook_token_matches(&again, &webhook_token(&key)));
        assert!(ring.data_key("l2", &wrapped).is_err());
        let (other, _) = ring.new_data_key("l1").unwrap();
        assert!(!webhook_token_matches(&other, &webhook_token(&key)));
        assert_eq!(webhook_token(&key).len(), 26);
        assert!(gateway_token_matches(&again, &gateway_token(&key)));
        assert!(!gateway_token_matches(&key, &webhook_token(&key)), "one is not good for the other");
        assert!(!gateway_token_matches(&other, &gateway_token(&key)));
    }
}
