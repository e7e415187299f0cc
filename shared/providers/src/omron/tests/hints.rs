//! Notifications: what is believed of them, and of whom.

use axum::http::Method;
use ohx_domain::LinkId;
use proptest::prelude::*;

use super::*;
use crate::{Notification, Notified};

const WAY: &str = "w3bh00k-and-a-lot-of-random-letters";

fn app_of(secrets: &[(&str, &str)], options: &[(&str, &str)]) -> App {
    let secrets = secrets.iter().map(|(name, value)| ((*name).to_owned(), SecretString::from(*value)));
    App { secrets: secrets.collect(), ..app_with(&[], options) }
}

fn ours() -> App {
    app_of(&[(WEBHOOK, WAY)], &[])
}

async fn came(app: &App, token: Option<&str>, method: Method, body: &[u8]) -> Received {
    let headers = HeaderMap::new();
    let request = WebhookRequest { method: &method, token, query: "", headers: &headers, body, now: at(NOW) };
    adapter().receive(app, request).await.unwrap()
}

async fn told(body: &str) -> Vec<Notified> {
    match came(&ours(), Some(WAY), Method::POST, body.as_bytes()).await {
        Received::Notified { answer: StatusCode::OK, notified } => notified,
        other => panic!("{other:?}"),
    }
}

/// The records, and the window as text.
async fn changed(body: &str) -> (Vec<String>, String, String) {
    let notified = told(body).await;
    let [Notified { account, what: Notification::Changed { records, window } }] = &notified[..] else {
        panic!("{notified:?}")
    };
    assert_eq!(account.reveal(), SUB);
    (records.iter().map(Record::to_string).collect(), window.start.to_string(), window.end.to_string())
}

#[tokio::test]
async fn both_forms_are_read_and_widened() {
    let start = "2026-09-19T00:00:00Z";
    let end = "2026-10-04T06:01:00Z";
    let all: Vec<String> = RECORDS.iter().map(|name| (*name).to_owned()).collect();
    let legacy = format!(r#"{{"id":"{SUB}","timestamp":"2026-10-03T05:42:00Z","new":{{"systolic":[128]}}}}"#);
    assert_eq!(changed(&legacy).await, (all.clone(), start.into(), end.into()));
    let newer = [
        format!(r#"{{"id":"{SUB}","timestamp":1790999000000,"type":"bloodpressure"}}"#),
        format!(r#"{{"id":"{SUB}","timestamp":"1790999000000","type":"bloodPressure"}}"#),
        format!(r#"{{"id":"{SUB}","timestamp":"2026-10-03T05:42:00","type":"blood_pressure"}}"#),
        format!("type=bloodpressure&id={SUB}&timestamp=2026-10-03T05%3A42%3A00Z"),
    ];
    for body in newer {
        assert_eq!(changed(&body).await, (vec!["bloodpressure".into()], start.into(), end.into()), "{body}");
    }
    // What says nothing that makes sense is about everything, as of now.
    for rest in ["", r#","timestamp":null"#, r#","timestamp":"soon","type":"sleep""#, r#","type":[1]"#] {
        let expected = (all.clone(), "2026-09-20T00:00:00Z".to_owned(), end.to_owned());
        assert_eq!(changed(&format!(r#"{{"id":"{SUB}"{rest}}}"#)).await, expected, "{rest}");
    }
    let app = app_of(&[(WEBHOOK, WAY)], &[("overlap-days", "1")]);
    let body = format!(r#"{{"id":"{SUB}","timestamp":"2026-10-03T05:42:00Z"}}"#);
    let Received::Notified { notified, .. } = came(&app, Some(WAY), Method::POST, body.as_bytes()).await
    else {
        panic!()
    };
    assert!(format!("{notified:?}").contains("2026-10-02T00:00:00Z"), "{notified:?}");
    assert!(!format!("{notified:?}").contains(SUB));
}

#[tokio::test]
async fn with_the_right_token_the_answer_is_always_200() {
    for body in ["", "{}", "[]", "<html>", r#"{"id":null}"#, r#"{"id":{}}"#, "timestamp=1", r#"{"id":""#] {
        assert!(told(body).await.is_empty(), "{body}");
    }
    for method in [Method::GET, Method::HEAD] {
        let answer = came(&ours(), Some(WAY), method, b"").await;
        assert!(matches!(answer, Received::Handshake(StatusCode::OK)));
    }
}

#[tokio::test]
async fn without_it_nothing_is_read() {
    let body = format!(r#"{{"id":"{SUB}"}}"#);
    let cases = [
        (ours(), None),
        (ours(), Some("")),
        (ours(), Some("guess")),
        (ours(), Some(&WAY[1..])),
        (app_of(&[], &[]), Some("")),
        (app_of(&[(WEBHOOK, "")], &[]), Some("")),
        (app_of(&[(WEBHOOK, "guess")], &[]), Some("guess")),
        (app_of(&[(WEBHOOK, "a/long/secret/with/slashes")], &[]), Some("a/long/secret/with/slashes")),
        (app_of(&[("webhook-previous", WAY)], &[]), Some(WAY)),
    ];
    for (app, token) in cases {
        let answer = came(&app, token, Method::POST, body.as_bytes()).await;
        let Received::Refused { answer: StatusCode::NOT_FOUND, why } = answer else { panic!("{answer:?}") };
        assert!(!why.contains(SUB) && !why.contains(WAY), "{why}");
    }
    let replacing = app_of(&[(WEBHOOK, "the-new-one-of-20-or-more"), ("webhook-previous", WAY)], &[]);
    for token in ["the-new-one-of-20-or-more", WAY] {
        let answer = came(&replacing, Some(token), Method::POST, body.as_bytes()).await;
        assert!(matches!(answer, Received::Notified { .. }));
    }
}

#[tokio::test]
async fn whether_there_are_notifications_is_what_the_operator_says() {
    let [address, app_address] =
        ["https://ohx.example/webhook/cuffs/l/t", "https://ohx.example/webhook/cuffs"]
            .map(|u| Url::parse(u).unwrap());
    let subscribe = async |app: &App| {
        let subscriber = Subscriber {
            link: LinkId::new(),
            address: &address,
            app_address: &app_address,
            now: "2026-11-20T08:00:00Z".parse().unwrap(),
        };
        adapter().subscribe(app, &[], &TOKEN.into(), subscriber).await
    };
    let registered = [("notifications", "registered")];
    let kept = subscribe(&app_of(&[(WEBHOOK, WAY)], &registered)).await.unwrap();
    assert_eq!(kept, Subscriptions { kept: 1, made: 0, refused: 0 });
    for app in [
        ours(),
        app_of(&[], &registered),
        app_of(&[(WEBHOOK, "short")], &registered),
        app_of(&[(WEBHOOK, WAY)], &[("notifications", "no")]),
    ] {
        let error = subscribe(&app).await.unwrap_err();
        assert!(matches!(error, ProviderError::Configuration { .. }));
        let text = error.to_string();
        assert!(
            text.contains("https://ohx.example/webhook/cuffs/<that secret>") && text.contains("polling"),
            "{text}"
        );
        assert!(!text.contains(WAY), "{text}");
    }
    assert!(adapter().devices(&ours(), &TOKEN.into()).await.unwrap().is_empty());
}

proptest! {
    #[test]
    fn whatever_comes_the_window_is_sensible(body in prop::collection::vec(any::<u8>(), 0..200), stamp in any::<i64>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            came(&ours(), Some(WAY), Method::POST, &body).await;
            let (_, start, end) = changed(&format!(r#"{{"id":"{SUB}","timestamp":{stamp}}}"#)).await;
            let (start, end) = (at(&start), at(&end));
            assert!(start < end && end <= at(NOW) + Duration::from_secs(60));
            assert!(start >= at(NOW) - Duration::from_secs(47 * 86_400));
        });
    }
}
