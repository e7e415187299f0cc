//! Tokens that end, and keys that change.

use std::collections::BTreeSet;
use std::time::Duration;

use ohx_domain::SigningAlgorithm;
use ohx_fhir::{EhrError, SigningKeys as _};
use ohx_tests::outside::http;
use serde_json::json;

use crate::rig::{OVERLAP, World, assertion};

const ES384: SigningAlgorithm = SigningAlgorithm::ES384;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_renewed_before_it_ends() {
    let world = World::new(ES384).await;
    world.control(json!({ "lasts": 100 })).await;
    let client = world.smart().await;
    for expected in [1, 1, 2] {
        client.capabilities().await.unwrap();
        assert_eq!(world.tokens().await.len(), expected);
        // Twice: well within its life, and past its end.
        world.advance(Duration::from_secs(60)).await;
    }
    assert_eq!(world.answers().await, [200, 200, 200], "no call was made with a token that had ended");
    let seen = world.seen().await;
    let jti = |n: usize| assertion(&seen["tokens"][n]).1["jti"].clone();
    assert_ne!(jti(0), jti(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_server_finds_expired_is_renewed_once() {
    let world = World::new(ES384).await;
    world.control(json!({ "lasts": 100 })).await;
    let client = world.smart().await;
    client.capabilities().await.unwrap();
    // Only the server's clock.
    world.control(json!({ "advance": 110 })).await;
    client.capabilities().await.unwrap();
    assert_eq!(world.answers().await, [200, 401, 200]);
    assert_eq!(world.tokens().await, [200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_renewed_once_and_no_more() {
    let world = World::new(ES384).await;
    let client = world.smart().await;
    client.capabilities().await.unwrap();
    world.control(json!({ "refuse": 1 })).await;
    client.capabilities().await.unwrap();
    assert_eq!(world.tokens().await.len(), 2);
    world.control(json!({ "refuse": 2 })).await;
    let error = client.capabilities().await.unwrap_err();
    assert!(matches!(error, EhrError::Unauthorized { status: 401, .. }), "{error:?}");
    assert_eq!(world.tokens().await.len(), 3);
    assert_eq!(world.answers().await, [200, 401, 200, 401, 401]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_without_a_refused_token() {
    let world = World::new(ES384).await;
    let client = world.smart().await;
    let keys = world.links.signing_keys();
    let shown = async || -> Vec<String> {
        keys.jwks().await.unwrap().keys.iter().map(|key| key.kid().to_owned()).collect()
    };
    let first = shown().await;
    client.capabilities().await.unwrap();
    let second = keys.rotate(ES384, OVERLAP, false).await.unwrap().unwrap();
    // Every hour for three days a fresh token is asked for: the server has a copy of the key set that is up to an hour old.
    let mut signed = Vec::new();
    for hour in 0..72 {
        client.capabilities().await.unwrap_or_else(|error| panic!("hour {hour}: {error}"));
        let seen = world.seen().await;
        let last = seen["tokens"].as_array().unwrap().last().unwrap();
        signed.push(assertion(last).0["kid"].as_str().unwrap().to_owned());
        if hour % 24 == 12 {
            // Both were made at the same moment, so that their order says nothing.
            let former = (hour < 48).then(|| first[0].clone());
            let expected: BTreeSet<String> = former.into_iter().chain([second.clone()]).collect();
            assert_eq!(BTreeSet::from_iter(shown().await), expected, "hour {hour}");
        }
        world.advance(Duration::from_secs(3600)).await;
    }
    let change = signed.iter().position(|kid| *kid == second).unwrap();
    assert_eq!(change, 24);
    assert!(signed[..24].iter().all(|kid| *kid == first[0]) && signed[24..].iter().all(|kid| *kid == second));
    assert!(world.tokens().await.iter().all(|status| *status == 200));
    assert!(!world.answers().await.contains(&401));
    assert_eq!(keys.signing_key(ES384).await.unwrap().kid(), second);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_assertion_is_good_once() {
    let world = World::new(ES384).await;
    let client = world.smart().await;
    client.capabilities().await.unwrap();
    let seen = world.seen().await;
    let form = seen["tokens"][0]["form"].as_object().unwrap().clone();
    let again = http().post(format!("{}/token", world.url)).form(&form).send().await.unwrap();
    assert_eq!(again.status(), 401, "the server remembers the jti");
    // Ours are new every time.
    world.control(json!({ "refuse": 1 })).await;
    client.capabilities().await.unwrap();
    assert_eq!(world.tokens().await, [200, 401, 200]);
}
