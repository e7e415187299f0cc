//! A consent is one browser's, once, for one account of one patient.

use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::{begin, connect, consent, create_link, finish};

use crate::both_shapes;

both_shapes!(
    a_consent_works_once_in_its_own_browser,
    an_account_belongs_to_one_patient,
    declining_changes_nothing
);

async fn world(shape: Shape) -> (Outside, Deployment) {
    let outside = Outside::start().await;
    outside.person(1, "Ada");
    outside.person(2, "Ben");
    let deployment = Deployment::start(shape, &outside).await;
    (outside, deployment)
}

async fn state(deployment: &Deployment, link: &str) -> String {
    let shown = deployment.get(&format!("/api/base/provider-links/{link}/")).await;
    shown["state"].as_str().unwrap().to_owned()
}

async fn a_consent_works_once_in_its_own_browser(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let (link, address) = create_link(&deployment, "Patient/p1", 7).await;

    // Somebody else's browser, or a forged state.
    let (cookie, provider) = begin(&address).await;
    let back = outside.sign_in(&provider, "1").await;
    assert_eq!(finish(&back, None).await.0, 400);
    assert_eq!(finish(&back, Some("ohx_state=another")).await.0, 400);
    let (state_only, verifier_only) = cookie.split_once("; ").unwrap();
    assert_eq!(finish(&back, Some(state_only)).await.0, 400, "without the verifier");
    assert_eq!(finish(&back, Some(verifier_only)).await.0, 400, "without the state");
    let forged = back.replace("state=", "state=x");
    assert_eq!(finish(&forged, Some(&cookie)).await.0, 400);
    assert_eq!(state(&deployment, &link).await, "pending");

    // Its own browser: once.
    assert_eq!(finish(&back, Some(&cookie)).await.0, 200);
    assert_eq!(state(&deployment, &link).await, "active");
    assert_eq!(finish(&back, Some(&cookie)).await.0, 400, "a second time");
    let again = ohx_tests::outside::http().get(&address).send().await.unwrap();
    assert_eq!(again.status(), 409, "the address of a link that is connected");

    let wrong = ohx_tests::outside::http().get(address + "x").send().await.unwrap();
    assert_eq!(wrong.status(), 404);
}

async fn an_account_belongs_to_one_patient(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    connect(&deployment, &outside, "Patient/p1", "1", 7).await;
    let (link, address) = create_link(&deployment, "Patient/p2", 7).await;
    let (status, page) = consent(&outside, &address, "1").await;
    assert_eq!(status, 409, "{page}");
    assert!(page.contains("another patient"), "{page}");
    assert_eq!(state(&deployment, &link).await, "pending");
    // With an account of their own it works.
    assert_eq!(consent(&outside, &address, "2").await.0, 200);
}

async fn declining_changes_nothing(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let (link, address) = create_link(&deployment, "Patient/p1", 7).await;
    let (status, page) = consent(&outside, &address, "decline").await;
    assert_eq!(status, 200);
    assert!(page.contains("did not share"), "{page}");
    assert_eq!(state(&deployment, &link).await, "pending");
    assert_eq!(consent(&outside, &address, "1").await.0, 200, "later after all");
}
