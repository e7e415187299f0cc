//! A consent is one browser's, once, for one account of one patient.

use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::patient::{begin, connect, consent, create_link, finish};

use serde_json::json;

use crate::both_shapes;

both_shapes!(
    a_consent_works_once_in_its_own_browser,
    an_account_belongs_to_one_patient,
    declining_changes_nothing,
    an_app_gets_its_patient_back_and_the_log_says_who_did_what,
    the_first_key_is_made_on_the_command_line
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
    let (status, to) = sent_to(&address, "").await;
    assert!(status == 303 && to.contains("/oauth/link/"), "the address of a link that is connected: {to}");

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

/// Where the browser is sent when it comes back from the provider.
async fn sent_to(back: &str, cookie: &str) -> (u16, String) {
    let request = ohx_tests::outside::http().get(back).header("cookie", cookie);
    let response = request.send().await.unwrap();
    let location = response.headers().get("location").map(|to| to.to_str().unwrap().to_owned());
    (response.status().as_u16(), location.unwrap_or_default())
}

async fn an_app_gets_its_patient_back_and_the_log_says_who_did_what(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let links = "/api/base/provider-links/";
    let new = |success: &str, error: &str| {
        json!({"provider": "withings", "ehr": "clinic", "patient": "Patient/p1", "backfill_days": 7,
            "success_url": success, "error_url": error})
    };
    for (success, error) in [
        ("https://evil.example/ohx/", "https://app.test/ohx/failed"),
        ("https://app.test/ohx/../x", "https://app.test/ohx/failed"),
        ("myapp://ohx/done", "javascript:alert(1)"),
    ] {
        let (status, problem) = deployment.post(links, &new(success, error)).await;
        assert_eq!(status, 422, "{problem}");
    }
    let (_, link) =
        deployment.post(links, &new("myapp://ohx/done?session=1", "https://app.test/ohx/failed")).await;
    let (id, address) = (link["id"].as_str().unwrap(), link["connect_url"].as_str().unwrap());
    // Who has no part in it is sent nowhere.
    assert_eq!(
        sent_to(&format!("{}/oauth/callback/withings?state=x&code=y", deployment.public_url()), "").await,
        (400, String::new())
    );
    let (cookie, provider) = begin(address).await;
    let back = outside.sign_in(&provider, "decline").await;
    let declined = format!("https://app.test/ohx/failed?link={id}&status=declined");
    assert_eq!(sent_to(&back, &cookie).await, (303, declined));
    let (cookie, provider) = begin(address).await;
    let back = outside.sign_in(&provider, "1").await;
    let connected = format!("myapp://ohx/done?session=1&link={id}&status=connected");
    assert_eq!(sent_to(&back, &cookie).await, (303, connected));

    deployment.post(&format!("{links}{id}/disconnect/"), &json!({})).await;
    let log = deployment.get("/api/base/audit/").await;
    let entries: Vec<_> = log["items"].as_array().unwrap().iter().collect();
    let about = |entry: &&&serde_json::Value| entry["subject"] == format!("link:{id}").as_str();
    let told: Vec<_> =
        entries.iter().filter(about).map(|e| format!("{} {}", e["actor"], e["action"])).collect();
    let expected =
        [r#""operator" "link.disconnect""#, r#""patient" "link.consent""#, r#""operator" "link.create""#];
    assert_eq!(told, expected);
    let by = |actor: &str| entries.iter().filter(|e| e["actor"].as_str().unwrap().starts_with(actor)).count();
    assert!(by("cli") >= 2, "ohx apply: {log}");
    assert!(!log.to_string().contains("Patient/"), "{log}");
    let (code, text) = deployment.ohx(&["audit", "verify"], &[]);
    assert!(code == Some(0) && text.contains("holds"), "{text}");
}

async fn the_first_key_is_made_on_the_command_line(shape: Shape) {
    let (_outside, deployment) = world(shape).await;
    let (code, text) = deployment.ohx(&["api-keys", "create", "--role", "admin", "--name", "first"], &[]);
    assert_eq!(code, Some(0), "{text}");
    let key = text.lines().find(|line| line.starts_with("ohx_")).unwrap().trim();
    let url = format!("{}/api/base/api-keys/", deployment.api());
    let status = async || {
        let answer = ohx_tests::outside::http().get(&url).bearer_auth(key).send().await.unwrap();
        answer.status().as_u16()
    };
    assert_eq!(status().await, 200);
    let (_, list) = deployment.ohx(&["api-keys", "list"], &[]);
    let line = list.lines().rfind(|line| line.ends_with("  first")).unwrap();
    assert!(line.contains("  admin  good  used ") && !line.contains(key), "{line}");
    let (code, text) = deployment.ohx(&["api-keys", "revoke", line.split_whitespace().next().unwrap()], &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(status().await, 401);
    // What is inside cannot be made an EHR by mistake.
    let metadata = "ehrs:\n  - name: clinic\n    base_url: http://169.254.169.254/latest\n";
    let (code, text) = deployment.apply(metadata);
    assert!(code == Some(2) && text.contains("OHX_OUTBOUND_PRIVATE"), "{text}");
}
