//! The pages over HTTP: cookies, forms, headers, and what happens when the API says no or nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod browser;
mod exchange;
mod flow;
mod workshop;

use std::time::Duration;

use browser::{Browser, form, import};
use exchange::{Exchange, KEY, LINK};
use http::StatusCode;
use serde_json::json;

const EXPORT: &[u8] = b"BLUTDRUCK\nDatum;Uhrzeit;Sys;Dia;Puls;MAD;Manuell\n04.10.2026;07:41;128;82;67;97;0\n";

#[tokio::test]
async fn a_key_that_the_api_takes_signs_in_and_rests_only_in_a_sealed_cookie() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    let page = browser.get("/console/import/").await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/console/sign-in/"));
    let page = browser.sign_in(KEY).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/console/"), "{}", page.body);
    let cookie = page.cookie("__Host-ohx-console=");
    for part in ["Path=/", "Max-Age=43200", "HttpOnly", "SameSite=Strict", "Secure"] {
        assert!(cookie.split("; ").any(|p| p == part), "{part}: {cookie}");
    }
    assert!(!cookie.contains(KEY));
    let page = browser.get("/console/import/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Import a file") && !page.body.contains(KEY), "{}", page.body);
    assert_eq!(browser.get("/console/sign-in/").await.location(), "/console/");

    // Twelve hours later it is over, and a plain sentence says so.
    browser.clock.advance(Duration::from_secs(12 * 3600 - 1));
    assert_eq!(browser.get("/console/import/").await.status, StatusCode::OK);
    browser.clock.advance(Duration::from_secs(1));
    let page = browser.get("/console/import/").await;
    assert_eq!(page.location(), "/console/sign-in/?note=ended");
    assert!(page.cookie("__Host-ohx-console=").contains("Max-Age=0"));
    assert!(browser.get("/console/sign-in/?note=ended").await.body.contains("Your sign-in has ended."));
}

#[tokio::test]
async fn without_tls_the_cookie_stays_below_the_console() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "http://127.0.0.1:8080/ohx");
    let page = browser.sign_in(KEY).await;
    let cookie = page.cookie("ohx-console=");
    assert!(cookie.contains("Path=/ohx/console/;") && !cookie.contains("Secure"), "{cookie}");
    assert_eq!(page.location(), "/ohx/console/", "addresses have the path of the public address");
}

#[tokio::test]
async fn a_wrong_key_a_forged_form_and_another_secret_let_nobody_in() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    for wrong in ["another-key-of-32-characters-or-more", "", " ", "line\nbreak", &"x".repeat(2001)] {
        let page = browser.sign_in(wrong).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{wrong:?}");
        assert!(page.body.contains(r#"id="key-error""#), "{}", page.body);
        assert!(wrong.trim().is_empty() || !page.body.contains(wrong), "the key is not shown again");
        assert!(!page.sets("__Host-ohx-console="));
    }
    // Another site's form has no token; neither has one whose token is another browser's.
    let other = Browser::new(&exchange, "https://ohx.example").get("/console/sign-in/").await.token();
    for token in ["", "AAAA", &other] {
        let page = browser.post("/console/sign-in/", &[("token", token), ("key", KEY)]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(!page.sets("__Host-ohx-console="), "{token}");
    }
    // A cookie of a console with another secret, and one that was changed.
    browser.sign_in(KEY).await;
    let mut stranger = Browser::new(&exchange, "https://ohx.example");
    stranger.cookies = browser.cookies.clone();
    assert_eq!(stranger.get("/console/import/").await.location(), "/console/sign-in/?note=ended");
    let sealed = browser.cookies.get_mut("__Host-ohx-console").unwrap();
    let at = sealed.len() - 2;
    let other = if sealed[at..].starts_with('A') { "B" } else { "A" };
    sealed.replace_range(at..=at, other);
    assert_eq!(browser.get("/console/import/").await.location(), "/console/sign-in/?note=ended");
}

#[tokio::test]
async fn forms_of_other_sites_and_of_other_sign_ins_change_nothing() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let mut second = Browser::with(&browser.console, browser.clock.clone());
    second.sign_in(KEY).await;
    let own = browser.get("/console/import/").await.token();
    let foreign = second.get("/console/import/").await.token();
    for (site, origin, token, expected) in [
        (Some("cross-site"), None, &own, StatusCode::FORBIDDEN),
        (Some("same-site"), None, &own, StatusCode::FORBIDDEN),
        (None, Some("https://evil.example"), &own, StatusCode::FORBIDDEN),
        (Some("same-origin"), None, &foreign, StatusCode::FORBIDDEN),
        (Some("same-origin"), None, &String::new(), StatusCode::FORBIDDEN),
        (Some("same-origin"), None, &own, StatusCode::OK),
        (None, Some("https://ohx.example"), &own, StatusCode::OK),
    ] {
        let body =
            form(token, &[("link", LINK), ("zone", "Europe/Berlin"), ("date_order", "")], Some(EXPORT));
        let from: Vec<_> = [("sec-fetch-site", site), ("origin", origin)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let page = browser.send("/console/import/", &from, body).await;
        assert_eq!(page.status, expected, "{site:?} {origin:?}: {}", page.body);
    }
    assert_eq!(exchange.imports().len(), 2, "only the good ones reached the API");
    let page = browser.post("/console/sign-out/", &[("token", &foreign)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/console/import/").await.status, StatusCode::OK, "still signed in");
    let page = browser.post("/console/sign-out/", &[("token", &own)]).await;
    assert_eq!(page.location(), "/console/sign-in/?note=signed-out");
    assert_eq!(browser.get("/console/import/").await.location(), "/console/sign-in/");
}

#[tokio::test]
async fn who_comes_from_another_site_is_still_signed_in() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    // As a browser does on the way from another site: without the strict cookie.
    let kept = std::mem::take(&mut browser.cookies);
    let page = browser.get_with("/console/import/", &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains(r#"http-equiv="refresh""#) && page.cookies.is_empty(), "{}", page.body);
    // Even the page to sign in with does not take the sign-in away.
    browser.get("/console/sign-in/").await;
    browser.cookies.extend(kept);
    assert_eq!(browser.get("/console/import/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn pages_are_confined_and_files_are_kept_for_ever() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let mut pages = Vec::new();
    for path in [
        "/console",
        "/console/",
        "/console/sign-in/",
        "/console/import/",
        "/console/none/",
        "/console/import/none",
    ] {
        pages.push((path, browser.get(path).await));
    }
    pages.push(("a post", browser.post("/console/import/", &[]).await));
    for (path, page) in &pages {
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.split("; ").any(|p| p.trim() == part), "{path}: {part}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), value, "{path}");
        }
        for inline in ["<style", "style=", "javascript:", " onclick", "<script>"] {
            assert!(!page.body.contains(inline), "{path}: {inline}");
        }
    }
    let page = browser.get("/console/import/").await;
    let files: Vec<_> = page.body.split('"').filter(|part| part.starts_with("/console/assets/")).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let file = browser.get(file).await;
        assert_eq!(
            (file.status, file.header("cache-control")),
            (StatusCode::OK, "public, max-age=31536000, immutable")
        );
        assert_eq!(file.header("x-content-type-options"), "nosniff");
    }
    assert_eq!(
        browser.get("/console/assets/console.0000000000000000.css").await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn names_of_others_are_text_and_nothing_else() {
    let exchange = Exchange::start().await;
    let hostile = r#""><script>alert(1)</script><img src=x onerror=alert(2)>"#;
    exchange.set(|s| {
        s.links[0]["patient"] = json!(hostile);
        s.links[0]["ehr"] = json!(hostile);
        s.report["warnings"] = json!([{"code": "x", "text": hostile}]);
        s.report["columns"] = json!([{"line": 1, "section": hostile, "column": hostile, "reason": hostile}]);
        s.report["lines"] =
            json!([{"line": 3, "outcome": hostile, "section": hostile, "column": hostile, "time": hostile,
                    "cells": [{"column": hostile, "reason": hostile}]}]);
    });
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let shown = browser.get("/console/import/").await.body;
    let told = import(&mut browser, "?check=true", &[("zone", "Europe/Berlin")], Some(EXPORT)).await.body;
    exchange.set(|s| s.refuse = Some((422, json!({"detail": hostile, "code": hostile}))));
    let refused = import(&mut browser, "", &[("zone", hostile)], Some(EXPORT)).await.body;
    for page in [shown, told, refused] {
        assert!(!page.contains("<script>alert") && !page.contains("<img"), "{page}");
        assert!(
            page.contains("&#60;script&#62;alert(1)") || page.contains("&lt;script&gt;alert(1)"),
            "{page}"
        );
    }
}

#[tokio::test]
async fn a_file_is_sent_on_with_what_was_chosen_and_its_report_is_in_words() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let page = import(&mut browser, "?check=true", &[("zone", " Europe/Berlin ")], Some(EXPORT)).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    for words in [
        "2 readings can be imported",
        "Nothing was imported yet",
        "2 of 5 rows taken, 1 in the file twice, 2 left out. Dates were read month first.",
        "Left out: the cell begins as a formula does",
        "Taken without this cell: the cell is not a date, time or number as this column has",
        "Taken: the clocks skipped this time in spring",
        "Weight, <strong>Aura</strong>: its name is not known",
        "Line 4: a hint",
        "1 Oct 2026, 00:00",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains(r#"id="progress""#));
    let fields = [("zone", "Europe/Berlin"), ("date_order", "mdy"), ("accept_counts", "yes")];
    let page = import(&mut browser, "", &fields, Some(EXPORT)).await;
    assert!(page.body.contains(r#"data-address="/console/import/progress/sync-1/""#), "{}", page.body);
    let queries: Vec<_> =
        exchange.imports().into_iter().map(|(query, file)| (query, file == EXPORT)).collect();
    let (dry, real) = (
        format!("link={LINK}&zone=Europe%2FBerlin&dry_run=true"),
        format!("link={LINK}&zone=Europe%2FBerlin&date_order=mdy&accept_counts=true"),
    );
    assert_eq!(queries, [(dry, true), (real, true)]);

    // How far it is, until the end.
    let shown = browser.get("/console/import/progress/sync-1/").await.body;
    assert!(shown.contains("On the way to the EHR") && shown.contains("Look again"), "{shown}");
    let ends = [
        (json!({"created": 3, "unchanged": 1}), "All at the EHR"),
        (json!({"unchanged": 4}), "Nothing changed"),
        (json!({"created": 3, "rejected": 1}), "The EHR refused some"),
    ];
    for (counts, words) in ends {
        exchange.set(|s| s.sync = json!({"completed": true, "counts": counts, "requests": []}));
        let shown = browser.get("/console/import/progress/sync-1/").await.body;
        assert!(shown.contains(words) && shown.contains("data-done"), "{words}: {shown}");
    }
    let failed = json!([{"record": "weight", "state": "failed", "note": "bring it again"}]);
    exchange.set(|s| s.sync = json!({"completed": false, "counts": {}, "requests": failed}));
    let shown = browser.get("/console/import/progress/sync-1/").await.body;
    assert!(shown.contains("Weight: not imported: bring it again"), "{shown}");
    assert_eq!(browser.get("/console/import/progress/..%2F..%2Fbase/").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_wrong_is_said_at_the_field() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let zone = [("zone", "Europe/Berlin")];
    let page = import(&mut browser, "", &[], Some(EXPORT)).await;
    assert!(page.says("zone", "Say which time zone"), "{}", page.body);
    let page = import(&mut browser, "", &zone, None).await;
    assert!(page.says("file", "Choose the file."), "{}", page.body);
    let page = import(&mut browser, "", &[("zone", "Europe/Berlin"), ("link", "")], Some(EXPORT)).await;
    assert!(page.says("link", "Choose whose readings"), "{}", page.body);
    let page =
        import(&mut browser, "", &[("zone", "Europe/Berlin"), ("link", "not-one-of-them")], Some(EXPORT))
            .await;
    assert!(page.says("link", "not active any more"), "{}", page.body);
    assert_eq!(exchange.imports(), []);
    for (status, code, field) in [
        (422, Some("ambiguous-dates"), "date_order"),
        (422, Some("date-order"), "date_order"),
        (422, Some("unknown-zone"), "zone"),
        (422, Some("counts"), "accept_counts"),
        (400, Some("pdf"), "file"),
        (413, None, "file"),
        (409, None, "link"),
    ] {
        let problem = json!({"detail": "nothing was imported: as the API says it", "code": code});
        exchange.set(|s| s.refuse = Some((status, problem)));
        let page = import(&mut browser, "?check=true", &zone, Some(EXPORT)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{code:?}");
        assert!(page.says(field, "Nothing was imported: as the API says it"), "{code:?}: {}", page.body);
        assert!(page.body.contains(&format!(r##"<a href="#{field}">"##)), "{code:?}");
        assert!(page.body.contains(r#"value="Europe/Berlin" aria"#), "what was filled in stays");
    }
}

#[tokio::test]
async fn a_file_that_is_too_large_or_cut_short_never_looks_like_a_shorter_one() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let zone = [("zone", "Europe/Berlin")];
    let largest = ohx_providers::beurer::csv::MAX_FILE_BYTES;
    assert_eq!(largest, ohx_console::MAX_FILE_BYTES, "the API's limit");
    let page = import(&mut browser, "", &zone, Some(&vec![b'x'; largest + 1])).await;
    assert!(page.says("file", "more than 10 MiB"), "{}", page.body);
    let page = import(&mut browser, "", &zone, Some(&vec![b'x'; 50_000_000])).await;
    assert!(page.says("file", "more than 10 MiB"), "{}", page.body);
    assert_eq!(exchange.imports(), []);
    let page = import(&mut browser, "", &zone, Some(&vec![b'x'; largest])).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(exchange.imports().len(), 1);
    // The browser goes away in the middle of a file.
    let token = browser.get("/console/import/").await.token();
    let whole = form(&token, &[("link", LINK), ("zone", "Europe/Berlin")], Some(&vec![b'x'; 300_000]));
    let page = browser.send("/console/import/", &[], whole[..200_000].to_vec()).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.body);
    assert_eq!(exchange.imports().len(), 1, "and the API has seen no whole file");
}

#[tokio::test]
async fn every_page_of_links_is_read_and_none_is_a_way_on() {
    let exchange = Exchange::start().await;
    exchange.set(|s| {
        let link = s.links[0].clone();
        s.links = (0..2500)
            .map(|n| {
                let mut link = link.clone();
                link["id"] = json!(format!("link-{n:05}"));
                link
            })
            .collect();
    });
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let page = browser.get("/console/import/?link=link-02400").await.body;
    assert_eq!(page.matches("<option value=\"link-").count(), 2500);
    assert!(page.contains(r#"<option value="link-02400" selected>"#));
    exchange.set(|s| s.links.clear());
    let page = browser.get("/console/import/").await.body;
    assert!(
        page.contains("There is no link to import to") && page.contains("POST /api/base/provider-links/"),
        "{page}"
    );
    exchange.set(|s| s.apps = json!([{"name": "withings", "type": "withings"}]));
    let page = browser.get("/console/import/").await.body;
    assert!(page.contains("No provider app of the type <code>beurer</code>"), "{page}");
}

#[tokio::test]
async fn an_api_that_is_away_or_takes_the_key_no_more_is_told_plainly() {
    let exchange = Exchange::start().await;
    let mut browser = Browser::new(&exchange, "https://ohx.example");
    browser.sign_in(KEY).await;
    let token = browser.get("/console/import/").await.token();
    exchange.set(|s| s.key = "the-next-key-of-32-characters-or-more".into());
    let body = form(&token, &[("link", LINK), ("zone", "Europe/Berlin")], Some(EXPORT));
    let page = browser.send("/console/import/", &[], body).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/console/sign-in/?note=refused"));
    assert!(
        browser.get("/console/sign-in/?note=refused").await.body.contains("does not take your key any more")
    );
    assert_eq!(browser.get("/console/import/").await.location(), "/console/sign-in/", "the cookie is gone");

    browser.sign_in("the-next-key-of-32-characters-or-more").await;
    exchange.set(|s| s.broken = true);
    let page = browser.get("/console/import/").await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY);
    assert!(page.body.contains("could not be read"), "{}", page.body);
    exchange.stop().await;
    let page = browser.get("/console/import/").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(page.body.contains("out of reach") && !page.body.contains("127.0.0.1"), "{}", page.body);
    assert!(browser.ready().await.is_err());
    let mut other = Browser::with(&browser.console, browser.clock.clone());
    assert_eq!(other.sign_in(KEY).await.status, StatusCode::SERVICE_UNAVAILABLE);
}
