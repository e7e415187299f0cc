//! A key that signs JWTs (RFC 7515), and its public half (RFC 7517).

use std::fmt;

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA384, RsaKeyPair,
};
use data_encoding::BASE64URL_NOPAD;
use ohx_domain::SigningAlgorithm;
use secrecy::{SecretSlice, SecretString};
use serde::{Deserialize, Serialize};

use super::SigningError;

/// The public half of a signing key. It has no member that could hold a private one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kty")]
pub enum PublicJwk {
    /// A point on P-384.
    EC {
        /// The key's id: its RFC 7638 thumbprint.
        kid: String,
        /// `ES384`.
        alg: String,
        /// `sig`.
        #[serde(rename = "use")]
        usage: String,
        /// `P-384`.
        crv: String,
        /// The point's first coordinate, base64url.
        x: String,
        /// The second one.
        y: String,
    },
    /// An RSA modulus and exponent.
    RSA {
        /// The key's id: its RFC 7638 thumbprint.
        kid: String,
        /// `RS384`.
        alg: String,
        /// `sig`.
        #[serde(rename = "use")]
        usage: String,
        /// The modulus, base64url.
        n: String,
        /// The exponent, base64url.
        e: String,
    },
}

impl PublicJwk {
    /// The key's id.
    pub fn kid(&self) -> &str {
        match self {
            Self::EC { kid, .. } | Self::RSA { kid, .. } => kid,
        }
    }

    fn ec(x: String, y: String) -> Self {
        let kid = thumbprint(&format!(r#"{{"crv":"P-384","kty":"EC","x":"{x}","y":"{y}"}}"#));
        let (alg, usage, crv) = ("ES384".into(), "sig".into(), "P-384".into());
        Self::EC { kid, alg, usage, crv, x, y }
    }

    fn rsa(n: String, e: String) -> Self {
        let kid = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        Self::RSA { kid, alg: "RS384".into(), usage: "sig".into(), n, e }
    }
}

/// RFC 7638: SHA-256 over the required members in their order.
fn thumbprint(members: &str) -> String {
    BASE64URL_NOPAD.encode(digest::digest(&digest::SHA256, members.as_bytes()).as_ref())
}

enum Pair {
    Ec(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// A private key and its public half.
pub struct SigningKey {
    algorithm: SigningAlgorithm,
    pair: Pair,
    public: PublicJwk,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid()).finish_non_exhaustive()
    }
}

fn unusable(kid: &str, why: impl fmt::Display) -> SigningError {
    SigningError::Unusable { kid: kid.to_owned(), why: why.to_string() }
}

impl SigningKey {
    /// A new key, P-384 or RSA with 3072 bits, as PKCS #8. RSA takes a second or so of a CPU.
    ///
    /// # Errors
    /// [`SigningError::Unusable`] where the machine has no random numbers.
    pub fn generate(algorithm: SigningAlgorithm) -> Result<(Self, SecretSlice<u8>), SigningError> {
        let failed = |_| unusable("new", "it could not be generated");
        let pkcs8: Vec<u8> = match algorithm {
            SigningAlgorithm::ES384 => {
                let random = SystemRandom::new();
                let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random);
                document.map_err(failed)?.as_ref().to_vec()
            }
            SigningAlgorithm::RS384 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
                let der: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
        };
        let pkcs8 = SecretSlice::from(pkcs8);
        let key = Self::from_pkcs8(algorithm, secrecy::ExposeSecret::expose_secret(&pkcs8))?;
        Ok((key, pkcs8))
    }

    /// The key of a PKCS #8 document.
    ///
    /// # Errors
    /// [`SigningError::Unusable`] where it is no key for the algorithm.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, SigningError> {
        let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
        match algorithm {
            SigningAlgorithm::ES384 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, pkcs8)
                    .map_err(|error| unusable("as stored", error))?;
                // Uncompressed: 4, then both coordinates of 48 bytes (SEC 1, section 2.3.3).
                let point = pair.public_key().as_ref();
                let halves = point.strip_prefix(&[4]).and_then(|rest| rest.split_at_checked(48));
                let (x, y) = halves.ok_or_else(|| unusable("as stored", "it is no point on P-384"))?;
                let public = PublicJwk::ec(encode(x), encode(y));
                Ok(Self { algorithm, pair: Pair::Ec(pair), public })
            }
            SigningAlgorithm::RS384 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|error| unusable("as stored", error))?;
                let key = pair.public_key();
                let n = encode(key.modulus().big_endian_without_leading_zero());
                let e = encode(key.exponent().big_endian_without_leading_zero());
                Ok(Self { algorithm, pair: Pair::Rsa(Box::new(pair)), public: PublicJwk::rsa(n, e) })
            }
        }
    }

    /// Its id.
    pub fn kid(&self) -> &str {
        self.public.kid()
    }

    /// What it signs with.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// Its public half.
    pub fn public_jwk(&self) -> &PublicJwk {
        &self.public
    }

    /// A JWT with these claims, in compact form.
    ///
    /// # Errors
    /// [`SigningError::Unusable`].
    pub fn sign(&self, claims: &impl Serialize) -> Result<SecretString, SigningError> {
        #[derive(Serialize)]
        struct Header<'h> {
            alg: &'static str,
            kid: &'h str,
            typ: &'static str,
        }
        let header = Header { alg: self.algorithm.as_str(), kid: self.kid(), typ: "JWT" };
        let failed = |why| unusable(self.kid(), why);
        let mut jwt = String::new();
        for part in [serde_json::to_vec(&header), serde_json::to_vec(claims)] {
            let part = part.map_err(|_| failed("the claims are no JSON"))?;
            if !jwt.is_empty() {
                jwt.push('.');
            }
            BASE64URL_NOPAD.encode_append(&part, &mut jwt);
        }
        let signature = self.signature(jwt.as_bytes()).ok_or_else(|| failed("it does not sign"))?;
        jwt.push('.');
        BASE64URL_NOPAD.encode_append(&signature, &mut jwt);
        Ok(jwt.into())
    }

    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ec(pair) => pair.sign(&random, message).ok().map(|s| s.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA384, &random, message, &mut signature).ok().map(|()| signature)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{
        ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA384, RsaPublicKeyComponents, UnparsedPublicKey,
    };
    use secrecy::ExposeSecret as _;
    use serde_json::{Value, json};

    use super::*;

    fn decoded(text: &str) -> Vec<u8> {
        BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()
    }

    /// Whether the signature is good for the public half alone.
    fn verifies(public: &PublicJwk, jwt: &str) -> bool {
        let (message, signature) = jwt.rsplit_once('.').unwrap();
        let signature = decoded(signature);
        match public {
            PublicJwk::EC { x, y, .. } => {
                let point = [vec![4], decoded(x), decoded(y)].concat();
                UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point)
                    .verify(message.as_bytes(), &signature)
                    .is_ok()
            }
            PublicJwk::RSA { n, e, .. } => RsaPublicKeyComponents { n: decoded(n), e: decoded(e) }
                .verify(&RSA_PKCS1_2048_8192_SHA384, message.as_bytes(), &signature)
                .is_ok(),
        }
    }

    #[test]
    fn what_is_signed_verifies_with_the_public_half_only() {
        for algorithm in SigningAlgorithm::ALL {
            let (key, pkcs8) = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8(algorithm, pkcs8.expose_secret()).unwrap();
            assert_eq!(again.public_jwk(), key.public_jwk());
            let jwt = again.sign(&json!({"sub": "ohx"})).unwrap();
            let parts: Vec<&str> = jwt.expose_secret().split('.').collect();
            let header: Value = serde_json::from_slice(&decoded(parts[0])).unwrap();
            assert_eq!(header, json!({"alg": algorithm.as_str(), "kid": key.kid(), "typ": "JWT"}));
            assert_eq!(decoded(parts[1]), br#"{"sub":"ohx"}"#);
            assert!(verifies(key.public_jwk(), jwt.expose_secret()));
            let (other, _) = SigningKey::generate(algorithm).unwrap();
            assert!(!verifies(other.public_jwk(), jwt.expose_secret()));
            assert_ne!(other.kid(), key.kid());
        }
    }

    #[test]
    fn a_key_of_the_other_kind_is_refused() {
        let (_, pkcs8) = SigningKey::generate(SigningAlgorithm::ES384).unwrap();
        let error = SigningKey::from_pkcs8(SigningAlgorithm::RS384, pkcs8.expose_secret()).unwrap_err();
        assert!(matches!(error, SigningError::Unusable { .. }));
    }

    #[test]
    fn no_private_member_can_get_into_a_public_key() {
        for (jwk, names) in [
            (
                json!({"kty":"EC","kid":"k","alg":"ES384","use":"sig","crv":"P-384","x":"x","y":"y","d":"hush"}),
                7,
            ),
            (
                json!({"kty":"RSA","kid":"k","alg":"RS384","use":"sig","n":"n","e":"AQAB","d":"hush","p":"hush"}),
                6,
            ),
        ] {
            let public: PublicJwk = serde_json::from_value(jwk).unwrap();
            let printed = serde_json::to_value(&public).unwrap();
            assert_eq!(printed.as_object().unwrap().len(), names, "{printed}");
            assert!(!printed.to_string().contains("hush"));
        }
    }

    /// RFC 7638, section 3.1.
    #[test]
    fn the_thumbprint_is_that_of_the_rfc() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        assert_eq!(
            PublicJwk::rsa(n.into(), "AQAB".into()).kid(),
            "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        );
    }
}
