//! What is wrong is told so that an administrator can put it right.

use std::time::Duration;

use ohx_domain::{EhrAuth, SigningAlgorithm};
use ohx_fhir::{EhrClient, EhrError};
use serde_json::json;

use crate::rig::{OVERLAP, SECRET, World, oauth};

const ES384: SigningAlgorithm = SigningAlgorithm::ES384;

/// The code and the whole message of a refusal.
async fn refusal(client: &EhrClient) -> (String, String) {
    let error = client.capabilities().await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("EHR endpoint clinic") && !text.contains(SECRET), "{text}");
    match error {
        EhrError::NoToken { code, .. } => (code, text),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_in_the_key_set() {
    let world = World::new(ES384).await;
    let stranger = world.stranger(ES384).await;
    let endpoint = world.endpoint(EhrAuth::SmartBackend, oauth("ohx"));
    let client = world.client_of(&stranger, &endpoint).await;
    let (code, text) = refusal(&client).await;
    assert_eq!(code, "invalid_client");
    for part in ["client ohx", "/.well-known/jwks.json", "ES384"] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert!(!text.contains("clock"), "{text}");
    assert!(world.answers().await.is_empty(), "nothing was sent to the FHIR base");
    // A key that signs at once and that the server has not read yet is refused as well; a day's overlap is why.
    let client = world.smart().await;
    client.capabilities().await.unwrap();
    world.links.signing_keys().rotate(ES384, Duration::ZERO, false).await.unwrap();
    world.control(json!({ "refuse": 1 })).await;
    assert_eq!(refusal(&client).await.0, "invalid_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scope_that_is_silently_dropped() {
    let world = World::new(ES384).await;
    world.control(json!({ "drop": ["system/DeviceAssociation.cus", "system/Patient.rs"] })).await;
    let client = world.smart().await;
    let (code, text) = refusal(&client).await;
    assert_eq!(code, "scope");
    assert!(text.contains("missing: system/DeviceAssociation.cus system/Patient.rs."), "{text}");
    assert!(text.contains("oauth.scope"), "{text}");
    // Either of the two remedies helps.
    let mut less = oauth("ohx");
    less.scope = Some("system/Observation.cus system/Device.cus".into());
    world.client(EhrAuth::SmartBackend, less).await.capabilities().await.unwrap();
    world.control(json!({ "drop": [] })).await;
    client.capabilities().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_wrong() {
    let world = World::new(ES384).await;
    world.control(json!({ "advance": 600 })).await;
    let (code, text) = refusal(&world.smart().await).await;
    assert_eq!(code, "invalid_client", "our assertions have ended");
    assert!(
        text.contains("The clock of this machine is ") && text.contains(" s behind the server's"),
        "{text}"
    );
    world.clock.advance(Duration::from_secs(600));
    world.smart().await.capabilities().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_client_or_secret_or_grant() {
    let world = World::new(ES384).await;
    let (code, text) = refusal(&world.client(EhrAuth::ClientCredentials, oauth("nobody")).await).await;
    assert_eq!(code, "invalid_client");
    assert!(text.contains("client nobody") && text.contains("oauth.secret_in, which is basic"), "{text}");
    // This one has to sign.
    let (code, _) = refusal(&world.client(EhrAuth::ClientCredentials, oauth("ohx")).await).await;
    assert_eq!(code, "invalid_client");
    let mut grant = oauth("ohx");
    grant.token_url = Some(format!("{}/token", world.url).parse().unwrap());
    let (code, text) = refusal(&world.client(EhrAuth::JwtBearer, grant).await).await;
    assert!(
        matches!(code.as_str(), "unsupported_grant_type" | "invalid_client" | "invalid_request"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_asked_again_later() {
    let world = World::new(ES384).await;
    let mut away = oauth("ohx");
    away.token_url = Some("http://127.0.0.1:1/token".parse().unwrap());
    let error = world.client(EhrAuth::SmartBackend, away).await.capabilities().await.unwrap_err();
    assert!(matches!(error, EhrError::Unavailable { call: "an access token", .. }), "{error:?}");
    // Without a key there is nothing to ask with.
    let stranger = world.stranger(ES384).await;
    let mut rsa = oauth("ohx");
    rsa.algorithm = Some(SigningAlgorithm::RS384);
    let endpoint = world.endpoint(EhrAuth::SmartBackend, rsa);
    let error = world.client_of(&stranger, &endpoint).await.capabilities().await.unwrap_err();
    assert!(error.to_string().contains("ohx keys signing rotate"), "{error}");
    assert_eq!(
        stranger.signing_keys().rotate(ES384, OVERLAP, true).await.unwrap(),
        None,
        "there is one already"
    );
}
