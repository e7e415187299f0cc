use secrecy::ExposeSecret as _;

use super::*;

const SECRETS: [(&str, &str); 1] = [("EHR_SECRET", "canary-ehr-secret")];

async fn store() -> (SharedStore, Arc<Keyring>) {
    let store: SharedStore = Arc::new(ohx_store_sqlite::SqliteStore::open("sqlite::memory:").await.unwrap());
    store.migrate().await.unwrap();
    let keys = format!("k:{}", ohx_seal::generate_key().expose_secret());
    (store, Arc::new(Keyring::parse(&keys.into()).unwrap()))
}

fn endpoint(fields: &str) -> String {
    format!("ehrs:\n  - name: clinic\n    base_url: https://ehr.example/fhir\n{fields}")
}

async fn apply(yaml: &str, store: &SharedStore, keyring: &Arc<Keyring>) -> anyhow::Result<()> {
    let configuration = crate::apply::read(yaml)?;
    let settings = Settings::from_pairs(SECRETS);
    crate::apply::apply(&configuration, &settings, keyring, store).await.map(|_| ())
}

#[tokio::test]
async fn every_field_is_kept() {
    let (store, keyring) = store().await;
    let yaml = endpoint(
        "    title: St. Anna Hospital\n    auth: jwt-bearer\n    fhir_version: R4B\n    strategy: search-then-create\n    bundle: transaction\n    \
         batch_size: 7\n    concurrency: 3\n    provenance: false\n    oauth: { client_id: ohx, token_url: \
         \"https://as.example/token\", scope: system/Observation.cus, algorithm: ES384, audience: aud, issuer: iss, \
         subject: sub }\n",
    );
    apply(&yaml, &store, &keyring).await.unwrap();
    let (kept, sealed) = store.ehr(&"clinic".parse().unwrap()).await.unwrap().unwrap();
    let expected = serde_json::json!({
        "name": "clinic", "title": "St. Anna Hospital", "base_url": "https://ehr.example/fhir", "fhir_version": "R4B", "auth": "jwt-bearer",
        "oauth": { "client_id": "ohx", "token_url": "https://as.example/token", "scope": "system/Observation.cus",
            "secret_in": "basic", "algorithm": "ES384", "audience": "aud", "issuer": "iss", "subject": "sub" },
        "strategy": "search-then-create", "bundle": "transaction", "batch_size": 7, "concurrency": 3,
        "provenance": false,
    });
    assert_eq!(serde_json::to_value(&kept).unwrap(), expected);
    assert_eq!(sealed, None);
}

#[tokio::test]
async fn a_smart_endpoint_makes_the_keys_it_may_need_once() {
    let (store, keyring) = store().await;
    let smart = endpoint("    auth: smart-backend\n    oauth: { client_id: ohx }\n");
    apply(&endpoint(""), &store, &keyring).await.unwrap();
    assert!(store.signing_keys().await.unwrap().is_empty());
    for _ in 0..2 {
        apply(&smart, &store, &keyring).await.unwrap();
        let made: Vec<_> = store.signing_keys().await.unwrap().iter().map(|key| key.algorithm).collect();
        assert_eq!(made.len(), 2, "{made:?}");
        assert!(SigningAlgorithm::ALL.iter().all(|algorithm| made.contains(algorithm)));
    }
}

#[tokio::test]
async fn a_client_secret_is_sealed() {
    let (store, keyring) = store().await;
    let yaml = endpoint(
        "    auth: client-credentials\n    oauth: { client_id: ohx, secret_in: body }\n    client_secret: { env: EHR_SECRET }\n",
    );
    apply(&yaml, &store, &keyring).await.unwrap();
    let name: EhrName = "clinic".parse().unwrap();
    let sealed = store.ehr(&name).await.unwrap().unwrap().1.unwrap();
    assert!(!sealed.windows(6).any(|bytes| bytes == b"canary"));
    assert_eq!(keyring.open(&secret_place(&name), &sealed).unwrap(), b"canary-ehr-secret");
}

#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_written() {
    let (store, keyring) = store().await;
    let oauth = |auth: &str, oauth: &str| format!("    auth: {auth}\n    oauth: {{ {oauth} }}\n");
    let token = "    token: { env: EHR_SECRET }\n";
    let secret = "    client_secret: { env: EHR_SECRET }\n";
    for (fields, parts) in [
        ("    batch_size: 0\n".to_owned(), vec!["batch_size", "1 to 500"]),
        ("    title: \" \"\n".to_owned(), vec!["title", "1 to 120"]),
        ("    concurrency: 65\n".into(), vec!["concurrency", "1 to 64"]),
        ("    auth: bearer\n".into(), vec!["token is missing", "env"]),
        ("    auth: bearer\n    token: { env: NOT_SET }\n".into(), vec!["NOT_SET is not set"]),
        (format!("    auth: none\n{token}"), vec!["token is for auth bearer", "none"]),
        (format!("    auth: bearer\n{token}{secret}"), vec!["client_secret is for auth client-credentials"]),
        ("    auth: smart-backend\n".into(), vec!["oauth is missing", "oauth.client_id"]),
        (
            oauth("none", "client_id: a"),
            vec!["oauth is for auth client-credentials, smart-backend or jwt-bearer"],
        ),
        (oauth("client-credentials", "client_id: a"), vec!["client_secret is missing"]),
        (oauth("smart-backend", "client_id: ''"), vec!["oauth.client_id must be"]),
        (
            oauth("smart-backend", "client_id: a, secret_in: body"),
            vec!["oauth.secret_in is for auth client-credentials"],
        ),
        (oauth("smart-backend", "client_id: a, issuer: b"), vec!["oauth.issuer is for auth jwt-bearer"]),
        (
            oauth("client-credentials", "client_id: a, algorithm: ES384") + secret,
            vec!["oauth.algorithm is for"],
        ),
        (
            oauth("smart-backend", "client_id: a, token_url: 'http://as.example/t'"),
            vec!["oauth.token_url must begin with https://"],
        ),
        (
            oauth("smart-backend", "client_id: a, token_url: 'ftp://as.example/t'"),
            vec!["oauth.token_url must begin with http"],
        ),
        (
            oauth("smart-backend", "client_id: a, scope: system/Observation.suc"),
            vec!["oauth.scope", "system/Observation.suc", "cruds"],
        ),
    ] {
        let error = apply(&endpoint(&fields), &store, &keyring).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.starts_with("EHR endpoint clinic: "), "{error}");
        for part in parts {
            assert!(error.contains(part), "{part:?} in {error}");
        }
        assert!(!error.contains("canary"), "{error}");
    }
    // What cannot even be read is shown at its place, with what it should be.
    for (fields, parts) in [
        ("    auth: basic\n", ["basic", "smart-backend", "4"]),
        ("    auth: smart-backend\n    oauth: { client_id: a, algorithm: RS256 }\n", ["RS256", "ES384", "5"]),
        ("    fhir_version: R6\n", ["R6", "R4B", "4"]),
        ("    tokens: { env: A }\n", ["tokens", "token", "4"]),
    ] {
        let error = apply(&endpoint(fields), &store, &keyring).await.unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "{part:?} in {error}");
        }
    }
    for base in ["https://user:pass@ehr.example/fhir", "ftp://ehr.example/", "https://ehr.example/fhir?x=1"] {
        let yaml = endpoint("").replace("https://ehr.example/fhir", base);
        let error = format!("{:#}", apply(&yaml, &store, &keyring).await.unwrap_err());
        assert!(error.starts_with("EHR endpoint clinic: base_url must"), "{error}");
    }
    assert!(store.ehrs().await.unwrap().is_empty());
    assert!(store.signing_keys().await.unwrap().is_empty());
}
