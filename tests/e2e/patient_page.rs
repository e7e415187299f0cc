//! What the patient sees: the page before the consent, the page after it, and the way out.

use std::time::Duration;

use ohx_tests::deployment::{Deployment, Shape};
use ohx_tests::outside::{Outside, http};
use ohx_tests::patient::{answer, begin, come_back, create_link};
use serde_json::json;

use crate::both_shapes;

both_shapes!(
    looking_changes_nothing_and_no_is_no,
    a_patient_sees_the_readings_come_and_disconnects,
    the_address_of_the_clinic_leads_to_the_page_while_it_is_good,
);

async fn world(shape: Shape) -> (Outside, Deployment) {
    let outside = Outside::start().await;
    let person = outside.person(1, "Ada");
    outside.withings.seed_history(person, 30, 3).unwrap();
    let deployment = Deployment::start(shape, &outside).await;
    (outside, deployment)
}

/// A page in a language, with its status.
async fn read(address: &str, language: &str) -> (u16, String) {
    let answer = http().get(address).header("accept-language", language).send().await.unwrap();
    let status = answer.status().as_u16();
    if status == 200 {
        let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        assert!(header("content-security-policy").starts_with("default-src 'none'; style-src 'self'"));
        assert_eq!(
            (header("cache-control"), header("referrer-policy")),
            ("no-store".into(), "no-referrer".into())
        );
        assert!(header("x-robots-tag").contains("noindex"));
    }
    (status, answer.text().await.unwrap())
}

async fn looking_changes_nothing_and_no_is_no(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let titled = format!(
        "ehrs:\n  - name: clinic\n    title: St. Anna <Hospital>\n    base_url: {}\n",
        outside.fhir_url
    );
    assert_eq!(deployment.apply(&titled).0, Some(0));
    let (link, address) = create_link(&deployment, "Patient/p1", 30).await;
    for (language, words) in [
        (
            "en-GB,de;q=0.5",
            ["<html lang=\"en\">", "Blood pressure", "The last 30 days", "Continue to Withings"],
        ),
        ("de-AT", ["<html lang=\"de\">", "Blutdruck", "Die letzten 30 Tage", "Weiter zu Withings"]),
        (
            "fr",
            ["<html lang=\"fr\">", "Tension artérielle", "Les 30 derniers jours", "Continuer vers Withings"],
        ),
        ("es-MX", ["<html lang=\"es\">", "Presión arterial", "Los últimos 30 días", "Continuar a Withings"]),
    ] {
        let (status, page) = read(&address, language).await;
        assert_eq!(status, 200, "{page}");
        for word in words {
            assert!(page.contains(word), "{language}: no {word} in {page}");
        }
        assert!(page.contains("St. Anna &#60;Hospital&#62;"), "{page}");
        assert!(!page.contains("Patient/p1") && !page.contains(&link), "{page}");
        assert!(!page.contains("<script"), "nothing moves here: {page}");
    }
    // Another site cannot answer in the patient's place, and half an answer is none.
    let foreign =
        http().post(&address).header("sec-fetch-site", "cross-site").form(&[("answer", "continue")]);
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    assert_eq!(answer(&http(), &address, "perhaps").await.status(), 403);
    assert_eq!(http().post(&address).send().await.unwrap().status(), 403);

    let no = answer(&http(), &address, "decline").await;
    assert_eq!(no.status(), 303);
    assert!(no.headers().get("set-cookie").is_none());
    let page = no.url().join(no.headers()["location"].to_str().unwrap()).unwrap();
    let (status, page) = read(page.as_str(), "en").await;
    assert!(status == 200 && page.contains("did not share anything"), "{page}");
    assert!(page.contains("St. Anna"), "{page}");
    let shown = deployment.get(&format!("/api/base/provider-links/{link}/")).await;
    assert_eq!(shown["state"], "pending");
    // And yes is still possible.
    begin(&address).await;

    // An app that said where it wants its patient back is told in a word.
    let new = json!({"provider": "withings", "ehr": "clinic", "patient": "Patient/p2", "error_url": "myapp://ohx/no"});
    let (_, link) = deployment.post("/api/base/provider-links/", &new).await;
    let no = answer(&http(), link["connect_url"].as_str().unwrap(), "decline").await;
    let to = format!("myapp://ohx/no?link={}&status=declined", link["id"].as_str().unwrap());
    assert_eq!(no.headers()["location"], to.as_str());

    for (language, words) in
        [("en", "has expired"), ("de", "abgelaufen"), ("fr", "a expiré"), ("es", "Ha caducado")]
    {
        for wrong in [format!("{address}x"), address.replace("/connect/", "/link/") + "x/"] {
            let (status, page) = read(&wrong, language).await;
            assert!(status == 404 && page.contains(words), "{page}");
        }
    }
}

/// Reads the page until it holds the words.
async fn read_until(address: &str, words: &str) -> String {
    let end = tokio::time::Instant::now() + Duration::from_secs(90);
    loop {
        let (status, page) = read(address, "en").await;
        if status == 200 && page.contains(words) {
            return page;
        }
        assert!(tokio::time::Instant::now() < end, "no {words:?} in {page}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Connects; gives the link and the address of the patient's page.
async fn connected(outside: &Outside, deployment: &Deployment) -> (String, String, String) {
    let (link, address) = create_link(deployment, "Patient/p1", 30).await;
    let (cookie, provider) = begin(&address).await;
    let back = outside.sign_in(&provider, "1").await;
    let (answer, page) = come_back(&http(), &back, Some(&cookie)).await;
    assert_eq!(answer.status(), 200);
    (link, address, page.expect("the patient's own page").to_string())
}

async fn a_patient_sees_the_readings_come_and_disconnects(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let (link, _, page) = connected(&outside, &deployment).await;
    assert!(page.ends_with("/?lang=en"), "{page}");
    let told = read_until(&page, "All readings that were there have arrived").await;
    let there = outside.agree(1, "Patient/p1").await;
    assert!(told.contains("Readings delivered"), "{told}");
    let delivered = told.split("Readings delivered</dt><dd>").nth(1).unwrap();
    let delivered: usize = delivered.split('<').next().unwrap().replace(',', "").parse().unwrap();
    assert_eq!(delivered, there.provider, "{there:?}");
    assert!(!told.contains("data-open") && !told.contains("http-equiv"), "nothing more moves: {told}");
    assert!(!told.contains("Patient/p1") && !told.contains(&link), "{told}");

    let plain = page.split('?').next().unwrap();
    let sure = format!("{plain}disconnect/");
    let (status, text) = read(&sure, "fr").await;
    assert!(status == 200 && text.contains("Couper la connexion avec Withings"), "{text}");
    let state = async || deployment.get(&format!("/api/base/provider-links/{link}/")).await["state"].clone();
    assert_eq!(state().await, "active", "asking is not doing");
    let foreign = http().post(&sure).header("origin", "https://evil.example").send().await.unwrap();
    assert_eq!((foreign.status().as_u16(), state().await), (403, "active".into()));

    let done = http().post(&sure).send().await.unwrap();
    assert_eq!(done.status(), 303);
    assert_eq!(state().await, "disconnected");
    let receipt = read_until(&page, "Everything is done").await;
    for words in [
        "Disconnected",
        "key to your data",
        "not possible",
        "remove the permission there",
        "stays in your medical record",
    ] {
        assert!(receipt.contains(words), "no {words} in {receipt}");
    }
    assert!(!receipt.contains("/disconnect/"), "{receipt}");
    let (status, text) = read(&page.replace("lang=en", "lang=es"), "en").await;
    assert!(status == 200 && text.contains("Todo está hecho"), "{text}");
    // Once more does nothing.
    assert_eq!(http().post(&sure).send().await.unwrap().status(), 303);
    let log = deployment.get("/api/base/audit/").await;
    let by_patient: Vec<_> =
        log["items"].as_array().unwrap().iter().filter(|e| e["actor"] == "patient").collect();
    let actions: Vec<_> = by_patient.iter().map(|e| e["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["link.disconnect", "link.consent"], "{log}");
}

async fn the_address_of_the_clinic_leads_to_the_page_while_it_is_good(shape: Shape) {
    let (outside, deployment) = world(shape).await;
    let (link, address, own) = connected(&outside, &deployment).await;
    let sent = http().get(&address).send().await.unwrap();
    assert_eq!(sent.status(), 303);
    let page = sent.url().join(sent.headers()["location"].to_str().unwrap()).unwrap();
    let (status, text) = read(page.as_str(), "en").await;
    assert!(status == 200 && text.contains("works for a few days only"), "{text}");
    let (_, text) = read(&own, "en").await;
    assert!(text.contains("works for 400 days"), "{text}");
    // The clinic can give another address, which leads there as well; and one that begins a consent ends nothing.
    let (status, fresh) =
        deployment.post(&format!("/api/base/provider-links/{link}/initiate_oauth2/"), &json!(null)).await;
    assert_eq!(status, 200, "{fresh}");
    let sent = http().get(fresh["connect_url"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(sent.status(), 303);
    let (other, address) = create_link(&deployment, "Patient/p2", 7).await;
    let end = address.replace("/connect/", "/link/") + "/disconnect/";
    assert_eq!(http().post(&end).send().await.unwrap().status(), 303);
    let shown = deployment.get(&format!("/api/base/provider-links/{other}/")).await;
    assert_eq!(shown["state"], "pending");
}
