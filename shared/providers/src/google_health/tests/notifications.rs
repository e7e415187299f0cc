//! Requests to the app's notification address.

use super::super::tink::tests::{BODY, HEADER, KEYSET};
use super::*;

const SAID: &str = "Bearer 6f1c-s3cret";

struct Calls {
    adapter: GoogleHealth,
    app: App,
    now: Instant,
}

impl Calls {
    fn to(server: &Server) -> Self {
        let mut app = app(server);
        app.secrets.insert(WEBHOOK.into(), SAID.into());
        Self { adapter: adapter(), app, now: now() }
    }

    async fn receive(&self, headers: &[(&'static str, &str)], body: &str) -> Result<Received, ProviderError> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        let method = Method::POST;
        let request = WebhookRequest {
            method: &method,
            token: None,
            query: "",
            headers: &map,
            body: body.as_bytes(),
            now: self.now,
        };
        self.adapter.receive(&self.app, request).await
    }

    /// What is answered to a body with this signature.
    async fn signed(&self, signature: &str, body: &str) -> u16 {
        status(self.receive(&[("google-health-api-signature", signature)], body).await.unwrap())
    }
}

fn status(received: Received) -> u16 {
    match received {
        Received::Notified { answer, .. }
        | Received::Handshake(answer)
        | Received::Refused { answer, .. } => answer.as_u16(),
    }
}

#[tokio::test]
async fn the_address_is_proven_with_the_secret_and_without() {
    let server = Server::new([]).await;
    let mut calls = Calls::to(&server);
    let verification = r#"{"type":"verification"}"#;
    let answer = calls.receive(&[("authorization", SAID)], verification).await.unwrap();
    assert!(matches!(answer, Received::Handshake(StatusCode::CREATED)), "{answer:?}");
    for headers in [
        &[][..],
        &[("authorization", "Bearer other")],
        &[("authorization", "")],
        &[("google-health-api-signature", HEADER)],
    ] {
        assert_eq!(status(calls.receive(headers, verification).await.unwrap()), 401);
    }
    // While the secret is being replaced both are right.
    calls.app.secrets.insert(WEBHOOK_PREVIOUS.into(), "Bearer old".into());
    for secret in ["Bearer old", SAID] {
        assert_eq!(status(calls.receive(&[("authorization", secret)], verification).await.unwrap()), 201);
    }
    // Without a secret nobody gets in, also not with an empty one.
    calls.app.secrets.clear();
    assert_eq!(status(calls.receive(&[("authorization", SAID)], verification).await.unwrap()), 401);
    calls.app.secrets.insert(WEBHOOK.into(), "".into());
    assert_eq!(status(calls.receive(&[("authorization", "")], verification).await.unwrap()), 401);
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_signed_notification_is_read_and_anything_else_refused() {
    let server = Server::new([ok(KEYSET)]).await;
    let calls = Calls::to(&server);
    for name in ["google-health-api-signature", "x-healthapi-signature"] {
        let received = calls.receive(&[(name, HEADER)], BODY).await.unwrap();
        let Received::Notified { answer, notified } = received else { panic!("{received:?}") };
        assert_eq!((answer.as_u16(), notified.len()), (204, 1));
        assert_eq!(notified[0].account.reveal(), "111111256096816351");
    }
    assert_eq!(calls.signed(HEADER, &BODY.replace("111111256096816351", "111111256096816352")).await, 401);
    assert_eq!(calls.signed(&HEADER[..40], BODY).await, 401);
    assert_eq!(calls.signed("", BODY).await, 401);
    assert_eq!(status(calls.receive(&[], BODY).await.unwrap()), 401);
    assert_eq!(
        status(calls.receive(&[("authorization", SAID)], BODY).await.unwrap()),
        401,
        "the secret alone is not enough"
    );
    assert_eq!(server.seen().len(), 1, "the keys are fetched once");
    assert_eq!(server.seen()[0].path, "/keys.json");
    let get = Method::GET;
    let request = WebhookRequest {
        method: &get,
        token: None,
        query: "",
        headers: &HeaderMap::new(),
        body: b"",
        now: now(),
    };
    assert_eq!(status(calls.adapter.receive(&calls.app, request).await.unwrap()), 405);
}

#[tokio::test]
async fn the_secret_is_needed_too_where_the_app_says_so() {
    let server = Server::new([ok(KEYSET)]).await;
    let mut calls = Calls::to(&server);
    calls.app.config.options.insert(WEBHOOK_AUTHORIZATION.into(), "required".into());
    assert_eq!(calls.signed(HEADER, BODY).await, 401);
    let both = [("google-health-api-signature", HEADER), ("authorization", SAID)];
    assert_eq!(status(calls.receive(&both, BODY).await.unwrap()), 204);
    calls.app.config.options.insert(WEBHOOK_AUTHORIZATION.into(), "perhaps".into());
    assert!(matches!(calls.receive(&both, BODY).await, Err(ProviderError::Configuration { .. })));
}

#[tokio::test]
async fn keys_are_kept_renewed_and_in_need_used_for_a_week() {
    let server = Server::new([ok(KEYSET)]).await;
    let mut calls = Calls::to(&server);
    let hours = |calls: &mut Calls, hours: i64| calls.now += jiff::Span::new().hours(hours);
    assert_eq!(calls.signed(HEADER, BODY).await, 204);
    hours(&mut calls, 23);
    assert_eq!((calls.signed(HEADER, BODY).await, server.seen().len()), (204, 1));
    // A day later they are fetched again; while that fails, at most once a minute, the old ones do.
    hours(&mut calls, 2);
    for _ in 0..2 {
        server.then(Reply(StatusCode::INTERNAL_SERVER_ERROR, &[], String::new()));
        assert_eq!((calls.signed(HEADER, BODY).await, server.seen().len()), (204, 2));
    }
    hours(&mut calls, 7 * 24);
    let error = calls.receive(&[("google-health-api-signature", HEADER)], BODY).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry { after: None }, "Google sends it again");
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_once_a_minute() {
    let other = KEYSET.replace("1234567890", "7");
    let server = Server::new([ok(other.clone()), ok(other), ok(KEYSET)]).await;
    let mut calls = Calls::to(&server);
    assert_eq!(calls.signed(HEADER, BODY).await, 401);
    for _ in 0..3 {
        assert_eq!((calls.signed(HEADER, BODY).await, server.seen().len()), (401, 1));
    }
    calls.now += Duration::from_secs(61);
    assert_eq!((calls.signed(HEADER, BODY).await, server.seen().len()), (401, 2));
    calls.now += Duration::from_secs(61);
    assert_eq!((calls.signed(HEADER, BODY).await, server.seen().len()), (204, 3));
}
