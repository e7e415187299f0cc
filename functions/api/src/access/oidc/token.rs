//! One token: a JSON Web Signature in its compact form (RFC 7515, section 7.1). What its header says is believed as far as which
//! of our own ways to check it is meant, and no further.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaPublicKeyComponents, UnparsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::NotTaken;

/// The longest token that is read, in bytes.
const LONGEST: usize = 16 * 1024;

/// The ways to sign that are taken (RFC 7518, RFC 8037): with a private key that only the issuer has. Neither `none`, nor
/// anything with a shared secret, under which a public key would pass for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

#[derive(Deserialize)]
struct Header {
    alg: Value,
    typ: Option<String>,
    kid: Option<String>,
    /// What must be understood: nothing beyond the standard is.
    crit: Option<Value>,
}

/// A key as the issuer shows it (RFC 7517).
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Jwk {
    kty: String,
    pub(super) kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl Jwk {
    /// Whether the key is one for this way to sign: by its kind, its curve and what it says of itself.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        let (kty, curve) = match algorithm {
            Algorithm::ES256 => ("EC", Some("P-256")),
            Algorithm::ES384 => ("EC", Some("P-384")),
            Algorithm::EdDsa => ("OKP", Some("Ed25519")),
            _ => ("RSA", None),
        };
        let says = self.alg.as_deref().is_none_or(|alg| {
            serde_json::from_value::<Algorithm>(Value::from(alg)).is_ok_and(|own| own == algorithm)
        });
        let signs = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig");
        self.kty == kty && curve.is_none_or(|curve| self.crv.as_deref() == Some(curve)) && says && signs
    }

    fn bytes(text: &Option<String>) -> Option<Vec<u8>> {
        BASE64URL_NOPAD.decode(text.as_deref()?.as_bytes()).ok()
    }

    /// Whether the signature is this key's.
    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<()> {
        let rsa = match algorithm {
            Algorithm::RS256 => &RSA_PKCS1_2048_8192_SHA256,
            Algorithm::RS384 => &RSA_PKCS1_2048_8192_SHA384,
            Algorithm::RS512 => &RSA_PKCS1_2048_8192_SHA512,
            Algorithm::PS256 => &RSA_PSS_2048_8192_SHA256,
            Algorithm::PS384 => &RSA_PSS_2048_8192_SHA384,
            Algorithm::PS512 => &RSA_PSS_2048_8192_SHA512,
            Algorithm::EdDsa => {
                return UnparsedPublicKey::new(&ED25519, Self::bytes(&self.x)?)
                    .verify(message, signature)
                    .ok();
            }
            Algorithm::ES256 | Algorithm::ES384 => {
                let (how, size) = match algorithm {
                    Algorithm::ES256 => (&ECDSA_P256_SHA256_FIXED, 32),
                    _ => (&ECDSA_P384_SHA384_FIXED, 48),
                };
                let (x, y) = (Self::bytes(&self.x)?, Self::bytes(&self.y)?);
                if x.len() != size || y.len() != size {
                    return None;
                }
                let point = [&[4], x.as_slice(), y.as_slice()].concat();
                return UnparsedPublicKey::new(how, point).verify(message, signature).ok();
            }
        };
        let key = RsaPublicKeyComponents { n: Self::bytes(&self.n)?, e: Self::bytes(&self.e)? };
        key.verify(rsa, message, signature).ok()
    }
}

/// A token that was read, and not checked yet.
pub(super) struct Token<'t> {
    /// What is signed.
    message: &'t str,
    payload: &'t str,
    signature: Vec<u8>,
    algorithm: Algorithm,
    kid: Option<String>,
}

impl<'t> Token<'t> {
    pub(super) fn read(text: &'t str) -> Result<Self, NotTaken> {
        let malformed = || NotTaken::Malformed;
        if text.len() > LONGEST {
            return Err(NotTaken::Malformed);
        }
        let (message, signature) = text.rsplit_once('.').ok_or_else(malformed)?;
        let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
        let decode = |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| NotTaken::Malformed);
        let header: Header = serde_json::from_slice(&decode(header)?).map_err(|_| NotTaken::Malformed)?;
        let algorithm = serde_json::from_value(header.alg).map_err(|_| NotTaken::Algorithm)?;
        let typ = header.typ.as_deref().map(str::to_ascii_lowercase);
        let access = typ
            .as_deref()
            .is_none_or(|typ| matches!(typ.strip_prefix("application/").unwrap_or(typ), "jwt" | "at+jwt"));
        if !access || header.crit.is_some() {
            return Err(NotTaken::Type);
        }
        Ok(Self { message, payload, signature: decode(signature)?, algorithm, kid: header.kid })
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Its claims, where the signature is by this key.
    pub(super) fn verified(&self, key: &Jwk) -> Result<Map<String, Value>, NotTaken> {
        let good = key.verifies(self.algorithm, self.message.as_bytes(), &self.signature);
        good.ok_or(NotTaken::Signature)?;
        let payload = BASE64URL_NOPAD.decode(self.payload.as_bytes()).map_err(|_| NotTaken::Malformed)?;
        serde_json::from_slice(&payload).map_err(|_| NotTaken::Malformed)
    }
}
