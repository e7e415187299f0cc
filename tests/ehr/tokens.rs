//! Tokens of a server that checks them: JWTs with SMART scopes, signed here with ES384 (RFC 7518, section 3.4).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD as BASE64;
use ohx_domain::{Clock, EhrAuth, EhrEndpoint, SystemClock};
use ohx_fhir::{Credentials, EhrClient, EhrError};
use serde_json::{Value, json};

use crate::readings::{Case, stored};
use crate::servers::{Server, WAYS, client};

pub(crate) const ISSUER: &str = "https://authorization.example";
pub(crate) const AUDIENCE: &str = "https://ehr.example";

/// What OHX asks for (`providers/fhir-r5.md` 5.1).
const SCOPE: &str =
    "system/Observation.cruds system/Device.cruds system/Patient.cruds system/Provenance.cruds";

/// Who signs tokens.
pub(crate) struct Key {
    id: &'static str,
    pair: EcdsaKeyPair,
}

/// What a token says.
#[derive(Clone)]
pub(crate) struct Token {
    issuer: &'static str,
    audience: &'static str,
    scope: &'static str,
    /// Seconds from now.
    ends: i64,
}

impl Token {
    /// One that may do all that OHX does.
    pub(crate) fn good() -> Self {
        Self { issuer: ISSUER, audience: AUDIENCE, scope: SCOPE, ends: 3600 }
    }
}

impl Key {
    /// A new key.
    pub(crate) fn new(id: &'static str) -> Self {
        Self { id, pair: EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap() }
    }

    /// The JWK Set of it.
    pub(crate) fn public(&self) -> Value {
        // Uncompressed: a 4, then both coordinates.
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(48);
        let (x, y) = (BASE64.encode(x), BASE64.encode(y));
        json!({"keys": [
            {"kty": "EC", "crv": "P-384", "alg": "ES384", "use": "sig", "kid": self.id, "x": x, "y": y}
        ]})
    }

    /// A token.
    pub(crate) fn sign(&self, token: &Token) -> String {
        let now = SystemClock.now().as_second();
        let header = json!({"alg": "ES384", "typ": "JWT", "kid": self.id});
        let claims = json!({
            "iss": token.issuer, "aud": token.audience, "sub": "ohx", "client_id": "ohx", "scope": token.scope,
            "iat": now - 5, "exp": now + token.ends, "jti": format!("{}", rand::random::<u64>()),
        });
        let part = |value: &Value| BASE64.encode(value.to_string().as_bytes());
        let text = format!("{}.{}", part(&header), part(&claims));
        let signature = self.pair.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        format!("{text}.{}", BASE64.encode(signature.as_ref()))
    }
}

pub(crate) async fn only_a_token_of_the_right_key_and_scope_is_taken(server: &Server) {
    let key = server.key.as_ref().unwrap();
    let impostor = Key::new("ohx-tests-1");
    let unknown = Key::new("ohx-tests-2");
    let good = Token::good();
    let refused = [
        ("another key under the same name", impostor.sign(&good)),
        ("a key that is not published", unknown.sign(&good)),
        ("no scope to write readings", key.sign(&Token { scope: "system/Observation.rs", ..good.clone() })),
        ("scopes for something else", key.sign(&Token { scope: "system/Patient.cruds", ..good.clone() })),
        ("over", key.sign(&Token { ends: -3600, ..good.clone() })),
        ("for another server", key.sign(&Token { audience: "https://other.example", ..good.clone() })),
        ("from another issuer", key.sign(&Token { issuer: "https://other.example", ..good.clone() })),
        ("no token", String::new()),
    ];
    for way in WAYS {
        let case = Case::new("tokens", *way);
        let reading = case.reading(1, "72.10", 0);
        for (why, token) in &refused {
            let mut endpoint = EhrEndpoint::new("main-clinic".parse().unwrap(), server.base.parse().unwrap());
            (endpoint.strategy, endpoint.bundle, endpoint.auth) = (way.strategy, way.bundle, EhrAuth::Bearer);
            let ehr = EhrClient::new(client(), endpoint, Credentials::secret(token.as_str().into()));
            let published = ehr.publish(&case.base, &[], std::slice::from_ref(&reading)).await;
            assert!(matches!(published, Err(EhrError::Unauthorized { .. })), "{why}: {published:?}");
            assert!(stored(server, &reading).await.is_empty(), "{why}");
        }
        server.client(*way).publish(&case.base, &[], std::slice::from_ref(&reading)).await.unwrap();
        assert_eq!(stored(server, &reading).await.len(), 1);
    }
}
