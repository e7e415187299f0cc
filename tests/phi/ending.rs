//! Ending a link: every step, each of them failing in turn, and the receipt.

use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED, UnparsedPublicKey};
use data_encoding::BASE64URL_NOPAD;
use ohx_domain::LinkId;
use ohx_sandbox::omron;
use ohx_store::SealedIn;
use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::others::{OMRON_WEBHOOK, agree};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::{connect, connect_to};
use ohx_tests::until;
use serde_json::{Value, json};

use crate::gossip::{About, Gossip, Lie};
use crate::plant;

const PATIENT: &str = "Patient/p1";
const OMRON: &str = "7d1b0a6e-4b7e-4c29-9d0a-4f1f6f1f2a31";

struct World {
    outside: Outside,
    deployment: Deployment,
    provider: Gossip,
    ehr: Gossip,
    link: String,
}

/// A patient with readings and devices at the EHR, through liars.
async fn world(shape: Shape) -> World {
    let mut outside = Outside::start().await.and_others().await;
    let person = omron::Person { id: OMRON.into(), name: "Olaf".into(), timezone: "Europe/Vienna".into() };
    outside.others().omron.add_person(person).unwrap();
    outside.others().omron.seed_history(OMRON, 3).unwrap();
    let (provider, own) = Gossip::before(&outside.others().omron_url, "no", None).await;
    outside.others_mut().omron_url = own;
    let (ehr, own) = Gossip::before(&outside.fhir_url, "no", None).await;
    outside.fhir_url = own;
    let deployment = Deployment::start(shape, &outside).await;
    let address = format!("{}/webhook/omron/{OMRON_WEBHOOK}", deployment.public_url());
    outside.others().omron.register_notifications(Some(&address));
    let link = connect_to(&deployment, &outside, "omron", PATIENT, OMRON, 4).await;
    let told = || outside.others().omron.readings(OMRON, &omron::USUAL).unwrap();
    agree(&outside, "omron", PATIENT, told).await;
    deployment.settled(&link).await;
    until("the devices are there", 60, async || {
        (!outside.ehr.resources("DeviceAssociation").is_empty()).then_some(())
    })
    .await;
    World { outside, deployment, provider, ehr, link }
}

fn all(outside: &Outside, kind: &str) -> Vec<Value> {
    outside.ehr.resources(kind).iter().map(|text| serde_json::from_str(text).unwrap()).collect()
}

/// The claims of a receipt, once its signature was found good for a key of the published set.
async fn verified(deployment: &Deployment, answer: &Value) -> Value {
    let jws = answer["jws"].as_str().expect("a signature");
    let (message, signature) = jws.rsplit_once('.').unwrap();
    let decode = |text: &str| BASE64URL_NOPAD.decode(text.as_bytes()).unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    // Without a key of the API: it is published.
    let set = http().get(format!("{}/.well-known/jwks.json", deployment.api())).send().await.unwrap();
    let set: Value = set.json().await.unwrap();
    let key =
        set["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]).expect("the key");
    let point = [vec![4], decode(key["x"].as_str().unwrap()), decode(key["y"].as_str().unwrap())].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point);
    key.verify(message.as_bytes(), &decode(signature)).expect("the signature is good");
    assert!(key.verify(format!("{message}x").as_bytes(), &decode(signature)).is_err());
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    assert_eq!(claims["receipt"], answer["receipt"], "what is signed is what is shown");
    assert_eq!(claims["sub"], answer["receipt"]["link"]);
    claims["receipt"].clone()
}

fn step<'r>(receipt: &'r Value, name: &str) -> &'r Value {
    let steps = receipt["steps"].as_array().expect("steps");
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("{name}: {receipt}"))
}

/// Waits for the last state of a receipt; gives it, verified.
async fn settled(deployment: &Deployment, link: &str) -> Value {
    let path = format!("/api/base/provider-links/{link}/receipt/");
    let answer = until("nothing is left to do", 90, async || {
        let answer = deployment.get(&path).await;
        (answer["receipt"]["state"].as_str()? != "pending").then_some(answer)
    })
    .await;
    verified(deployment, &answer).await
}

/// No token, account or key of the link is left in the database.
async fn nothing_is_left(deployment: &Deployment, link: &str) {
    let (store, id): (_, LinkId) = (plant::store(deployment).await, link.parse().unwrap());
    let row = store.link(id).await.unwrap().unwrap();
    assert_eq!((row.data_key, row.account.is_none()), (None, true));
    assert_eq!(store.tokens(id).await.unwrap(), None);
    assert_eq!(store.sealed_account(id).await.unwrap(), None);
    let erasure = store.erasure(id).await.unwrap().unwrap();
    assert_eq!((erasure.sealed_grant, erasure.report.owners), (None, Vec::new()));
    for place in [SealedIn::LinkKeys, SealedIn::Erasures] {
        let rows = store.sealed_rows(place, "", 1000).await.unwrap();
        assert!(rows.iter().all(|row| !row.row.starts_with(link)), "{}", place.as_str());
    }
}

/// Everything is done, and the receipt says so.
fn complete(world: &World, receipt: &Value) {
    assert_eq!(receipt["state"], "complete", "{receipt}");
    let readings = all(&world.outside, "Observation");
    assert!(readings.len() > 3);
    assert!(readings.iter().all(|reading| reading["status"] == "entered-in-error"), "{readings:#?}");
    let marked = step(receipt, "mark-entered-in-error");
    assert_eq!(
        (marked["state"].as_str(), marked["count"].as_u64()),
        (Some("done"), Some(readings.len() as u64))
    );
    let devices = all(&world.outside, "DeviceAssociation");
    assert!(devices.iter().all(|device| device["period"]["end"].is_string()), "{devices:#?}");
    assert_eq!(step(receipt, "end-devices")["state"], "done");
    assert_eq!(step(receipt, "destroy-keys")["state"], "done");
}

async fn each_step_fails_and_is_done_in_the_end(shape: Shape) {
    let world = world(shape).await;
    let World { deployment, provider, ehr, link, .. } = &world;
    let path = format!("/api/base/provider-links/{link}/disconnect/");
    let (status, problem) = deployment.post(&path, &json!({"mark": true})).await;
    assert_eq!(status, 400, "{problem}");
    let (status, _) =
        deployment.post(&format!("/api/base/provider-links/{link}/receipt/"), &Value::Null).await;
    assert_eq!(status, 405);
    let living = deployment.get(&format!("/api/base/provider-links/{link}/receipt/")).await;
    assert_eq!(living["status"], 409, "{living}");

    provider.lie(About::Tokens, Lie::Error(500));
    provider.lie(About::Tokens, Lie::Html(502));
    for _ in 0..2 {
        ehr.lie(About::Reads, Lie::Error(503));
        ehr.lie(About::Writes, Lie::Error(500));
    }
    let (status, ended) = deployment.post(&path, &json!({"mark_entered_in_error": true})).await;
    assert_eq!(status, 200, "{ended}");
    assert_eq!(ended["at_provider"], "failed", "{ended}");
    let first = verified(deployment, &ended).await;
    assert_eq!(
        (&first["state"], &step(&first, "revoke")["state"]),
        (&json!("pending"), &json!("pending")),
        "{first}"
    );
    assert_eq!(step(&first, "destroy-keys")["state"], "done", "the key is gone whatever the provider says");

    let last = settled(deployment, link).await;
    complete(&world, &last);
    assert_eq!(step(&last, "revoke")["state"], "done", "{last}");
    assert!(step(&last, "revoke")["attempts"].as_u64() >= Some(3), "{last}");
    nothing_is_left(deployment, link).await;
    // Again: nothing is done twice, and it is the same end.
    let (status, again) = deployment.post(&path, &json!({})).await;
    assert_eq!(status, 200);
    assert_eq!(again["receipt"], last);
    let text = last.to_string();
    assert!(!text.contains(PATIENT) && !text.contains(OMRON), "{text}");
    assert_eq!(deployment.get("/api/publishers/dead-letters/").await["items"], json!([]));
}

/// What is left to do survives the processes that were to do it.
async fn an_end_survives_a_crash(shape: Shape) {
    let mut world = world(shape).await;
    for _ in 0..100 {
        world.ehr.lie(About::Data, Lie::Error(503));
        world.provider.lie(About::Tokens, Lie::Error(503));
    }
    let path = format!("/api/base/provider-links/{}/disconnect/", world.link);
    let (status, ended) = world.deployment.post(&path, &json!({"mark_entered_in_error": true})).await;
    assert_eq!((status, &ended["receipt"]["state"]), (200, &json!("pending")), "{ended}");
    for process in &mut world.deployment.processes {
        process.kill();
    }
    world.ehr.forget();
    world.provider.forget();
    for process in &mut world.deployment.processes {
        process.restart();
        process.ready(&http()).await;
    }
    if shape != Shape::OneProcess {
        // Whatever was lost of the queue: the night finds it.
        world.deployment.ping_nightly().await;
    }
    let last = settled(&world.deployment, &world.link).await;
    complete(&world, &last);
    nothing_is_left(&world.deployment, &world.link).await;
}

/// Withings cannot be told of a grant's end by whoever has no signature, and ends subscriptions one by one; what was published
/// stays where nobody asks for more.
async fn what_is_not_asked_for_is_not_done(shape: Shape) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 3, 2).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    let link = connect(&deployment, &outside, PATIENT, "1", 4).await;
    outside.agree(person, PATIENT).await;
    deployment.settled(&link).await;
    let subscribed = outside.withings.subscriptions(person);
    assert!(subscribed > 0);
    let before = all(&outside, "Observation");
    let path = format!("/api/base/provider-links/{link}/disconnect/");
    let (status, refused) = deployment.post(&path, &json!({"mark": true})).await;
    assert_eq!(status, 400, "what is not known is not taken for nothing: {refused}");
    let ended =
        http().post(format!("{}{path}", deployment.api())).bearer_auth(ohx_tests::deployment::API_KEY);
    assert_eq!(ended.send().await.unwrap().status(), 200, "an empty one is");
    let receipt = settled(&deployment, &link).await;
    assert_eq!(receipt["state"], "complete", "{receipt}");
    assert_eq!(step(&receipt, "unsubscribe")["count"], json!(subscribed), "{receipt}");
    assert_eq!(outside.withings.subscriptions(person), 0);
    assert_eq!(step(&receipt, "revoke")["state"], "not-offered", "{receipt}");
    assert_eq!(step(&receipt, "mark-entered-in-error")["state"], "not-needed", "{receipt}");
    assert_eq!(all(&outside, "Observation"), before);
    nothing_is_left(&deployment, &link).await;
    // The command line shows the same.
    let (code, said) = deployment.ohx(&["links", "receipt", &link, "--api", deployment.api()], &[]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("revoke: not-offered") && said.contains("complete"), "{said}");
    let (code, said) = deployment.ohx(&["links", "disconnect", &link, "--api", deployment.api()], &[]);
    assert_eq!(code, Some(0), "{said}");
}

macro_rules! both {
    ($($name:ident),+ $(,)?) => {
        mod one_process {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(ohx_tests::deployment::Shape::OneProcess).await;
            })+
        }
        mod many_processes {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(ohx_tests::deployment::Shape::ManyProcesses).await;
            })+
        }
    };
}

both!(each_step_fails_and_is_done_in_the_end, an_end_survives_a_crash, what_is_not_asked_for_is_not_done);
