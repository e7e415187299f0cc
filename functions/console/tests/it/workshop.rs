//! Set-up and mappings: whose forms are taken. What the pages do is tested in a browser, over the real API.

use http::StatusCode;

use crate::browser::Browser;
use crate::exchange::{Exchange, KEY};

const FORMS: [&str; 9] = [
    "/console/set-up/new-provider/?type=withings",
    "/console/set-up/providers/withings/",
    "/console/set-up/providers/withings/check/",
    "/console/set-up/new-ehr/",
    "/console/set-up/ehrs/clinic/",
    "/console/set-up/ehrs/clinic/check/",
    "/console/mappings/withings/getmeas/",
    "/console/mappings/withings/getmeas/activate/",
    "/console/mappings/withings/getmeas/roll-back/",
];

const PAGES: [&str; 5] = [
    "/console/set-up/",
    "/console/set-up/new-provider/",
    "/console/set-up/ehrs/clinic/",
    "/console/mappings/",
    "/console/mappings/withings/getmeas/",
];

const FIELDS: [(&str, &str); 6] = [
    ("name", "x"),
    ("document", "mapping: a"),
    ("payload", "canary-payload"),
    ("scope", "global"),
    ("version", ""),
    ("seq", "0"),
];

#[tokio::test]
async fn forms_without_the_token_of_this_sign_in_change_nothing() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let mut other = Browser::new(&exchange, "https://ohx.example");
    other.sign_in(KEY).await;
    let theirs = other.get("/console/import/").await.token();
    for form in FORMS {
        for token in ["", "AAAA", &theirs] {
            let fields = [&[("token", token)][..], &FIELDS].concat();
            let page = browser.post(form, &fields).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{form} {token}");
            assert!(page.body.contains("This page was too old"), "{form}: {}", page.body);
            assert!(!page.body.contains("canary-payload"), "{form}");
        }
    }
}

#[tokio::test]
async fn nobody_is_shown_them_who_is_not_signed_in() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    for page in PAGES {
        assert_eq!(browser.get(page).await.location(), "/console/sign-in/", "{page}");
    }
    for form in FORMS {
        assert_eq!(browser.post(form, &FIELDS).await.location(), "/console/sign-in/", "{form}");
    }
}

#[tokio::test]
async fn a_payload_and_a_document_that_are_too_large_are_refused_in_words() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let token = browser.get("/console/import/").await.token();
    let payload = "x".repeat(8 * 1024 * 1024);
    let fields = [("token", token.as_str()), ("document", ""), ("payload", &payload)];
    let page = browser.post("/console/mappings/withings/getmeas/", &fields).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.body.contains("too large together"), "{}", page.body);
}
