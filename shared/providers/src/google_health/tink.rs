//! Tink's signatures, as far as Google signs notifications with them: ECDSA on P-256 with SHA-256 over the body.
//!
//! A header is the base64 of a version byte, a key's id in four bytes, and an ASN.1 signature. Keys come as a Tink JSON
//! keyset, each a small protobuf in base64.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD};
use serde::Deserialize;

use crate::loose::Number;
use crate::wire::object;

/// Tink's output prefix of version 1.
const VERSION: u8 = 1;
const PREFIX: usize = 5;
/// P-256 coordinates, in bytes.
const COORDINATE: usize = 32;

/// A signature, and the id of the key that made it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// The key's id.
    pub(super) key: u32,
    der: Vec<u8>,
}

impl Signature {
    /// Reads a header; `None` where it is none with Tink's prefix.
    pub(super) fn read(header: &[u8]) -> Option<Self> {
        let bytes = base64(header.trim_ascii())?;
        let (prefix, der) = bytes.split_at_checked(PREFIX)?;
        let (version, id) = prefix.split_first()?;
        let key = u32::from_be_bytes(id.try_into().ok()?);
        (*version == VERSION && !der.is_empty()).then(|| Self { key, der: der.to_vec() })
    }
}

fn base64(text: &[u8]) -> Option<Vec<u8>> {
    [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD].iter().find_map(|alphabet| alphabet.decode(text).ok())
}

/// A public key: an uncompressed point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Whether it made this signature over these bytes.
    pub(super) fn verifies(&self, signature: &Signature, body: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0).verify(body, &signature.der).is_ok()
    }

    /// Reads Tink's EcdsaPublicKey: field 2 the parameters, 3 and 4 the coordinates.
    fn read(protobuf: &[u8]) -> Option<Self> {
        let (mut sha256, mut x, mut y) = (false, None, None);
        for (number, value) in fields(protobuf)? {
            match (number, value) {
                (2, Value::Bytes(params)) => {
                    let params = fields(params)?;
                    let has = |number, wanted| {
                        params
                            .iter()
                            .any(|(n, v)| *n == number && matches!(v, Value::Number(v) if *v == wanted))
                    };
                    // SHA-256, NIST P-256, DER.
                    sha256 = has(1, 3) && has(2, 2) && has(3, 2);
                }
                (3, Value::Bytes(bytes)) => x = coordinate(bytes),
                (4, Value::Bytes(bytes)) => y = coordinate(bytes),
                _ => {}
            }
        }
        let point = [&[4], x?.as_slice(), y?.as_slice()].concat();
        sha256.then_some(Self(point))
    }
}

/// A coordinate without its leading zeros, as 32 bytes.
fn coordinate(bytes: &[u8]) -> Option<[u8; COORDINATE]> {
    let start = bytes.iter().position(|b| *b != 0).unwrap_or(bytes.len());
    let digits = bytes.get(start..)?;
    let mut out = [0; COORDINATE];
    out.get_mut(COORDINATE.checked_sub(digits.len())?..)?.copy_from_slice(digits);
    Some(out)
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// A protobuf's fields, as far as this one uses their types.
fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut bytes)?),
            2 => {
                let length = usize::try_from(varint(&mut bytes)?).ok()?;
                let (value, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Value::Bytes(value)
            }
            _ => return None,
        };
        all.push((tag >> 3, value));
    }
    Some(all)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f).checked_shl(shift)?;
        if first & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keyset {
    key: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    key_data: KeyData,
    status: String,
    key_id: Number,
    output_prefix_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyData {
    type_url: String,
    value: String,
}

/// The keys of a keyset that may be used, by id. Others in it are passed over: another type, prefix or status.
///
/// # Errors
/// What is wrong with it as a whole.
pub(super) fn keyset(text: &[u8]) -> Result<BTreeMap<u32, Key>, String> {
    let keyset: Keyset = object(text)?;
    let keys = keyset.key.into_iter().filter_map(|key| {
        let listed: Listed = serde_json::from_value(key).ok()?;
        let usable = listed.status == "ENABLED"
            && listed.output_prefix_type == "TINK"
            && listed.key_data.type_url.ends_with("/google.crypto.tink.EcdsaPublicKey");
        let key = Key::read(&base64(listed.key_data.value.as_bytes())?)?;
        usable.then_some((u32::try_from(listed.key_id.0).ok()?, key))
    });
    Ok(keys.collect())
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) const KEYSET: &str = r#"{"primaryKeyId":1234567890,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.EcdsaPublicKey","value":"EgYIAxACGAIaIQD61WyXFXfMUELFalqkHiKoesn5y5iSdlyKbF4NOMyMZSIhALhW7pEocjQhtGaldkQyZTOFJgKNp4zqwyT6/lUp0/G0","keyMaterialType":"ASYMMETRIC_PUBLIC"},"status":"ENABLED","keyId":1234567890,"outputPrefixType":"TINK"}]}"#;
    pub(in super::super) const BODY: &str = r#"{"data":{"version":"1","healthUserId":"111111256096816351","operation":"UPSERT","dataType":"steps","intervals":[{"civilIso8601TimeInterval":{"startTime":"2026-06-01T00:00:00","endTime":"2026-06-01T01:00:00"}}]}}"#;
    pub(in super::super) const HEADER: &str = "AUmWAtIwRQIgEV/D0VX2LXF2OeOa5tEjsdvwvxZe0V7OA2cBR8B/oM8CIQDBsfX/GodygD8oDe/WfVx+zuECExm+qiheN7fNCCuwtw==";
    /// A key that Google has published.
    const GOOGLES: &str = "EgYIAxACGAIaIQBDWg3kaiabjtrVXbSSbcn6e3QqiCLD+B4GuhC/Z1C6miIhACarm0VQv9WjNZG/AB0itXCIGFW5ddInmBFUjK/8w0v3";

    fn ours() -> Key {
        keyset(KEYSET.as_bytes()).unwrap()[&1_234_567_890].clone()
    }

    #[test]
    fn the_vector_is_verified_and_nothing_else() {
        let signature = Signature::read(HEADER.as_bytes()).unwrap();
        assert_eq!(signature.key, 1_234_567_890);
        assert!(ours().verifies(&signature, BODY.as_bytes()));
        assert!(!ours().verifies(&signature, BODY.replace("UPSERT", "DELETE").as_bytes()));
        assert!(!ours().verifies(&signature, format!("{BODY}\n").as_bytes()));
        let other = Key::read(&base64(GOOGLES.as_bytes()).unwrap()).unwrap();
        assert!(!other.verifies(&signature, BODY.as_bytes()));
    }

    #[test]
    fn a_published_key_of_google_is_read() {
        let Key(point) = Key::read(&base64(GOOGLES.as_bytes()).unwrap()).unwrap();
        let hex = data_encoding::HEXLOWER.encode(&point);
        let x = "435a0de46a269b8edad55db4926dc9fa7b742a8822c3f81e06ba10bf6750ba9a";
        let y = "26ab9b4550bfd5a33591bf001d22b570881855b975d2279811548caffcc34bf7";
        assert_eq!(hex, format!("04{x}{y}"));
    }

    #[test]
    fn only_enabled_keys_with_tinks_prefix_are_used() {
        for (what, instead) in [
            ("\"ENABLED\"", "\"DISABLED\""),
            ("\"TINK\"", "\"RAW\""),
            ("\"TINK\"", "\"LEGACY\""),
            ("EcdsaPublicKey", "Ed25519PublicKey"),
            // SHA-512.
            ("EgYIAxACGAI", "EgYIBBACGAI"),
        ] {
            let changed = KEYSET.replace(what, instead);
            assert_ne!(changed, KEYSET);
            assert!(keyset(changed.as_bytes()).unwrap().is_empty(), "{what} as {instead}");
        }
        let two = KEYSET.replace(r#""key":["#, r#""key":[{"status":7},"#);
        assert_eq!(keyset(two.as_bytes()).unwrap().len(), 1, "one that cannot be read hides no other");
        for wrong in ["", "[]", "{}", "<html>"] {
            assert!(keyset(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_header_without_the_prefix_is_none() {
        let bytes = base64(HEADER.as_bytes()).unwrap();
        let encoded = |bytes: &[u8]| BASE64.encode(bytes);
        for wrong in [
            String::new(),
            "AUmWAtI".into(),
            encoded(&bytes[..PREFIX]),
            encoded(&bytes[PREFIX..]),
            encoded(&[&[0], &bytes[1..]].concat()),
            "not base64!".into(),
        ] {
            assert_eq!(Signature::read(wrong.as_bytes()), None, "{wrong}");
        }
        // Cut short it is a signature that nothing verifies.
        let short = Signature::read(encoded(&bytes[..bytes.len() - 1]).as_bytes()).unwrap();
        assert!(!ours().verifies(&short, BODY.as_bytes()));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Key::read(&bytes);
            let _ = Signature::read(&bytes);
            let _ = keyset(&bytes);
            let signature = Signature { key: 1, der: bytes };
            prop_assert!(!ours().verifies(&signature, BODY.as_bytes()));
        }
    }
}
