//! A new key for everything, while everything goes on.

use std::time::Duration;

use ohx_tests::deployment::{Deployment, KEYRING, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::connect;
use secrecy::ExposeSecret as _;
use serde_json::json;

const PATIENT: &str = "Patient/p1";

async fn keys_rotate_while_readings_arrive(shape: Shape) {
    let outside = Outside::start().await;
    let (ada, ben, cleo) = (outside.person(1, "Ada"), outside.person(2, "Ben"), outside.person(3, "Cleo"));
    for person in [ada, ben, cleo] {
        outside.withings.seed_history(person, 5, 3).unwrap();
    }
    let new = format!("k2:{}", ohx_seal::generate_key().expose_secret());
    let mut deployment = Deployment::start(shape, &outside).await;
    // An EHR that wants a token: one more secret, and one that is needed at every call.
    let with_token = format!(
        "ehrs:\n  - name: clinic\n    base_url: {}\n    strategy: update\n    auth: bearer\n    token: {{ env: CLINIC_TOKEN }}\n",
        outside.fhir_url
    );
    let file = deployment.folder().join("token.yaml");
    std::fs::write(&file, with_token).unwrap();
    let (code, said) = deployment
        .ohx(&["apply", "-f", file.to_str().unwrap()], &[("CLINIC_TOKEN", "a-token-for-the-clinic")]);
    assert_eq!(code, Some(0), "{said}");
    let link = connect(&deployment, &outside, PATIENT, "1", 6).await;
    outside.agree(ada, PATIENT).await;
    deployment.settled(&link).await;

    // First everybody knows the new key, then everybody seals with it.
    deployment.restart_with(&[("OHX_KEYS", &format!("{KEYRING},{new}"))]).await;
    let both = format!("{new},{KEYRING}");
    deployment.restart_with(&[("OHX_KEYS", &both)]).await;
    let (code, said) = deployment.ohx(&["keys", "rotate", "--dry-run"], &[("OHX_KEYS", &both)]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("k1 is in use: "), "{said}");

    // While it rotates: a consent, news, a history.
    let working = async {
        connect(&deployment, &outside, "Patient/p2", "2", 6).await;
        for n in 0..5 {
            outside.withings.weigh_now(ada, &format!("71.{n}1")).unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        outside.agree(ben, "Patient/p2").await
    };
    let rotating =
        async { tokio::task::block_in_place(|| deployment.ohx(&["keys", "rotate"], &[("OHX_KEYS", &both)])) };
    let (_, (code, said)) = tokio::join!(working, rotating);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("links' data keys: ") && said.contains("EHR secrets: 1 sealed anew under k2"),
        "{said}"
    );
    assert!(said.contains("k1 can be removed from OHX_KEYS"), "{said}");
    // Begun again, as after one that was cut off: nothing is left to do.
    let (_, again) = deployment.ohx(&["keys", "rotate"], &[("OHX_KEYS", &both)]);
    let again = again.strip_prefix(&said).unwrap_or(&again);
    assert!(!again.contains("sealed anew") && again.contains("k1 can be removed"), "{again}");
    outside.agree(ada, PATIENT).await;

    // Without the old key everything still opens: tokens, secrets, what signs, and a new consent.
    deployment.restart_with(&[("OHX_KEYS", &new)]).await;
    outside.withings.weigh_now(ada, "71.91").unwrap();
    outside.agree(ada, PATIENT).await;
    connect(&deployment, &outside, "Patient/p3", "3", 6).await;
    outside.agree(cleo, "Patient/p3").await;
    let path = format!("/api/base/provider-links/{link}/disconnect/");
    let (status, ended) = deployment.post(&path, &json!({})).await;
    assert_eq!(status, 200, "{ended}");
    assert!(!deployment.logs().contains("not in the keyring"), "at no time was a key missing");
    let rest = deployment.ohx(&["keys", "rotate"], &[("OHX_KEYS", &format!("{new},{KEYRING}"))]).1;
    assert!(!rest.contains("sealed under key"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_in_one_process() {
    keys_rotate_while_readings_arrive(Shape::OneProcess).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_rotate_in_many_processes() {
    keys_rotate_while_readings_arrive(Shape::ManyProcesses).await;
}
