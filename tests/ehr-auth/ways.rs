//! Each way in, and what it costs.

use std::collections::BTreeSet;

use ohx_domain::{Clock as _, EhrAuth, SecretIn, SigningAlgorithm};
use ohx_events::sealed::MappedResource;
use ohx_fhir::Outcome;
use ohx_tests::outside::http;
use serde_json::{Value, json};

use crate::rig::{API_KEY, SCOPES, SECRET, World, assertion, oauth};

fn reading() -> MappedResource {
    let (system, value) = ("https://ohx.test/ns/withings/getmeas", "p.1.body-weight");
    let resource = json!({
        "resourceType": "Observation",
        "identifier": [{"system": system, "value": value}],
        "status": "final",
        "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "vital-signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]},
        "subject": {"reference": "Patient/p1"},
        "effectiveDateTime": "2026-11-21T07:45:02Z",
        "issued": "2026-11-21T08:00:00Z",
        "valueQuantity": {"value": 72, "unit": "kg", "system": "http://unitsofmeasure.org", "code": "kg"},
    });
    let text = json!({
        "identifier": {"system": system, "value": value}, "digest": "d1", "issued": "2026-11-21T08:00:00Z",
        "resource": resource,
    });
    serde_json::from_str(&text.to_string()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn smart_backend_services_with_both_algorithms() {
    for algorithm in SigningAlgorithm::ALL {
        let world = World::new(algorithm).await;
        let client = world.smart().await;
        let published = client.publish("https://ohx.test/ns", &[], &[reading()]).await.unwrap();
        assert_eq!(published.outcomes, [Outcome::Created]);
        client.clone().capabilities().await.unwrap();
        world.smart().await.capabilities().await.unwrap();

        let seen = world.seen().await;
        assert_eq!(seen["smart"], 1, "discovered once");
        assert_eq!(seen["tokens"].as_array().unwrap().len(), 1, "one token for all of it: {seen}");
        let token = &seen["tokens"][0];
        assert_eq!(token["form"]["grant_type"], "client_credentials");
        assert_eq!(token["form"]["scope"], SCOPES.join(" "));
        assert_eq!(token["basic"], Value::Null);
        let (header, claims) = assertion(token);
        assert_eq!(header["alg"], algorithm.as_str());
        assert_eq!(header["typ"], "JWT");
        let now = world.clock.now().as_second();
        let exp = claims["exp"].as_i64().unwrap();
        assert!(exp > now && exp <= now + 300 && exp - claims["iat"].as_i64().unwrap() <= 300, "{claims}");
        assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("ohx"), Some("ohx")));
        assert_eq!(claims["aud"], format!("{}/token", world.url));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_secret_in_the_header_or_in_the_form() {
    let world = World::new(SigningAlgorithm::ES384).await;
    for (client_id, place) in [("ohx basic:1", SecretIn::Basic), ("ohx-body", SecretIn::Body)] {
        let mut oauth = oauth(client_id);
        oauth.secret_in = place;
        oauth.token_url = Some(format!("{}/token", world.url).parse().unwrap());
        let client = world.client(EhrAuth::ClientCredentials, oauth).await;
        client.capabilities().await.unwrap();
        let seen = world.seen().await;
        let token = seen["tokens"].as_array().unwrap().last().unwrap().clone();
        assert_eq!(token["status"], 200);
        assert_eq!(token["basic"].is_null(), place == SecretIn::Body);
        assert_eq!(token["form"]["client_secret"].as_str(), (place == SecretIn::Body).then_some(SECRET));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_calls_at_once_ask_for_one_token() {
    let world = World::new(SigningAlgorithm::ES384).await;
    let client = world.smart().await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let client = client.clone();
        calls.spawn(async move { client.capabilities().await.map(|_| ()) });
    }
    for call in calls.join_all().await {
        call.unwrap();
    }
    assert_eq!(world.tokens().await, [200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_set_is_public_and_holds_nothing_private() {
    let world = World::new(SigningAlgorithm::RS384).await;
    world.links.signing_keys().rotate(SigningAlgorithm::ES384, crate::rig::OVERLAP, true).await.unwrap();
    let response = http().get(format!("{}/.well-known/jwks.json", world.own)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "public, max-age=3600");
    assert_eq!(response.headers()["content-type"], "application/json");
    let jwks: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    let names = |key: &Value| -> BTreeSet<String> { key.as_object().unwrap().keys().cloned().collect() };
    let keys = jwks["keys"].as_array().unwrap();
    assert_eq!((keys.len(), jwks.as_object().unwrap().len()), (2, 1));
    for key in keys {
        // RFC 7518, section 6: everything else that a key may have is private.
        let public: &[&str] = match key["kty"].as_str() {
            Some("EC") => &["kty", "kid", "alg", "use", "crv", "x", "y"],
            _ => &["kty", "kid", "alg", "use", "n", "e"],
        };
        assert_eq!(names(key), public.iter().map(|name| (*name).to_owned()).collect());
    }
    // Nothing else is told without the key of the API.
    let refused = http().get(format!("{}/api/base/providers/", world.own)).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let api =
        http().get(format!("{}/api/base/providers/", world.own)).bearer_auth(API_KEY).send().await.unwrap();
    assert_eq!(api.status(), 200);
}
