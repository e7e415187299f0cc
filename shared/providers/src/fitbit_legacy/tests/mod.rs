//! The adapter against a server on loopback that answers as recorded, oddities included.

mod records;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode, header};
use ohx_domain::{Instant, Interval, LinkId, ManualClock};
use secrecy::ExposeSecret as _;

use super::*;
use crate::scripted::{HTTP, Reply, Server, bare, hides, ok};
use crate::{Notification, Remedy};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const TOKEN: &str = "acc3ssT0ken";
const GRANT: &str = r#"{"access_token":"eyJhbGciOiJIUzI1NiJ9","expires_in":28800,"refresh_token":"c643a63c072f","scope":"heartrate sleep weight activity","token_type":"Bearer","user_id":"GGNJL9"}"#;
const PROFILE: &str =
    r#"{"user":{"encodedId":"GGNJL9","timezone":"Europe/Amsterdam","offsetFromUTCMillis":7200000}}"#;

/// A server that gives these answers, under a prefix.
async fn scripted(replies: impl IntoIterator<Item = Reply>) -> Server {
    Server::at("/prefix", replies).await
}

fn adapter() -> FitbitLegacy {
    let clock = ManualClock::new("2026-06-04T10:00:00Z".parse().unwrap());
    FitbitLegacy::new(HTTP.clone()).with_clock(Arc::new(clock))
}

fn app_at(base: Option<&Url>) -> App {
    let bases = base.map(|base| ["api", "consent"].map(|name| (name.to_owned(), base.clone())));
    App {
        config: ProviderApp {
            name: "bands".parse().unwrap(),
            kind: KIND.into(),
            client_id: "23ABCD".into(),
            base_urls: bases.into_iter().flatten().collect(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: [(ACCEPT.to_owned(), "yes".to_owned())].into(),
        },
        secret: "s3cr3t".into(),
        secrets: [(WEBHOOK.to_owned(), SecretString::from("v3r1fy"))].into(),
    }
}

fn redirect() -> Url {
    Url::parse("https://ohx.example/oauth/callback/bands").unwrap()
}

fn window(from: &str, to: &str) -> Query {
    Query::Window(Interval::new(from.parse().unwrap(), to.parse().unwrap()).unwrap())
}

/// Two local days of June.
fn two_days() -> Query {
    window("2026-06-01T08:00:00Z", "2026-06-02T08:00:00Z")
}

/// The texts of every part of every page, and how many calls it took.
async fn read(
    adapter: &FitbitLegacy,
    app: &App,
    record: &str,
    query: &Query,
) -> Result<(Vec<String>, usize), ProviderError> {
    let (mut texts, mut token, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = adapter.fetch(app, &TOKEN.into(), &record.parse().unwrap(), query, token.as_ref()).await?;
        texts.extend(page.parts.iter().map(|part| part.text.reveal().get().to_owned()));
        token = page.next;
        pages += 1;
        if token.is_none() {
            return Ok((texts, pages));
        }
    }
}

fn discreet(error: &ProviderError) {
    hides(error, &[TOKEN, "s3cr3t", "0ldRefresh", "c0de", "GGNJL9", "c643a63c072f"]);
}

#[tokio::test]
async fn nothing_is_done_unless_the_app_accepts_the_end() {
    let adapter = adapter();
    for said in [None, Some("no"), Some("true"), Some("")] {
        let mut app = app_at(None);
        app.config.options = said.map(|said| (ACCEPT.to_owned(), said.to_owned())).into_iter().collect();
        let record = "weight".parse().unwrap();
        let (token, query) = (TOKEN.into(), two_days());
        let headers = HeaderMap::new();
        let request = WebhookRequest {
            method: &Method::GET,
            token: None,
            query: "verify=v3r1fy",
            headers: &headers,
            body: b"",
            now: Instant::UNIX_EPOCH,
        };
        let subscriber = Subscriber {
            link: LinkId::new(),
            address: &redirect(),
            app_address: &redirect(),
            now: "2026-11-20T08:00:00Z".parse().unwrap(),
        };
        let errors = [
            adapter.authorize_url(&app, &redirect(), "s", &VERIFIER.into()).unwrap_err(),
            adapter.exchange_code(&app, &token, &redirect(), &VERIFIER.into()).await.unwrap_err(),
            adapter.refresh(&app, &token).await.unwrap_err(),
            adapter.revoke(&app, &token, &token).await.unwrap_err(),
            adapter.fetch(&app, &token, &record, &query, None).await.unwrap_err(),
            adapter.devices(&app, &token).await.unwrap_err(),
            adapter.subscribe(&app, &[], &token, subscriber).await.unwrap_err(),
            adapter.receive(&app, request).await.unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, ProviderError::Configuration { .. }), "{error}");
            let shown = error.to_string();
            assert!(shown.contains("30 September 2026") && shown.contains("type fitbit"), "{shown}");
        }
    }
}

#[test]
fn the_patient_is_sent_to_the_consent_page() {
    let url = adapter().authorize_url(&app_at(None), &redirect(), "st/ate", &VERIFIER.into()).unwrap();
    assert_eq!(url.as_str().split('?').next(), Some("https://www.fitbit.com/oauth2/authorize"));
    let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let scope = "weight heartrate oxygen_saturation respiratory_rate sleep activity temperature cardio_fitness \
                 electrocardiogram settings profile";
    assert_eq!(query["scope"], scope);
    // RFC 7636, appendix B.
    assert_eq!(query["code_challenge"], "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    assert_eq!((&*query["code_challenge_method"], &*query["response_type"]), ("S256", "code"));
    assert_eq!((&*query["state"], &*query["client_id"]), ("st/ate", "23ABCD"));
    let mut app = app_at(None);
    app.config.scopes = vec!["weight".into()];
    let url = adapter().authorize_url(&app, &redirect(), "s", &VERIFIER.into()).unwrap();
    assert!(url.query_pairs().any(|(name, value)| name == "scope" && value == "weight profile"));
}

#[test]
fn every_record_has_an_heir() {
    assert!(RECORDS.iter().all(|record| ABOUT.successors.iter().any(|(ours, _)| ours == record)));
    let newer = crate::kind(ABOUT.replaced_by.unwrap()).unwrap();
    for (ours, theirs) in ABOUT.successors {
        assert!(RECORDS.contains(ours) && newer.records.contains(theirs), "{ours} {theirs}");
    }
}

#[tokio::test]
async fn tokens_are_asked_for_with_basic_authentication() {
    let server = scripted([ok(GRANT), ok(GRANT), ok("{}")]).await;
    let (adapter, app) = (adapter(), app_at(Some(&server.url)));
    let grant = adapter.exchange_code(&app, &"c0de".into(), &redirect(), &VERIFIER.into()).await.unwrap();
    assert_eq!(grant.account.as_ref().map(|a| a.reveal().as_str()), Some("GGNJL9"));
    assert_eq!(grant.scopes, ["heartrate", "sleep", "weight", "activity"]);
    assert_eq!(grant.expires_in, Duration::from_secs(28_800));
    adapter.refresh(&app, &"0ldRefresh".into()).await.unwrap();
    assert!(adapter.revoke(&app, &"a".into(), &"0ldRefresh".into()).await.unwrap());
    let seen = server.seen();
    for one in &seen {
        // 23ABCD:s3cr3t
        assert_eq!(one.headers[header::AUTHORIZATION], "Basic MjNBQkNEOnMzY3IzdA==");
        assert!(!one.form.contains_key("client_secret"));
    }
    let form = |n: usize, name: &str| seen[n].form.get(name).map(String::as_str);
    assert_eq!((form(0, "code"), form(0, "code_verifier")), (Some("c0de"), Some(VERIFIER)));
    assert_eq!((form(0, "redirect_uri"), form(0, "client_id")), (Some(redirect().as_str()), Some("23ABCD")));
    assert_eq!(
        (form(1, "grant_type"), form(1, "refresh_token")),
        (Some("refresh_token"), Some("0ldRefresh"))
    );
    assert_eq!((form(2, "token"), seen[2].uri.as_str()), (Some("0ldRefresh"), "/prefix/oauth2/revoke"));
}

#[tokio::test]
async fn a_dead_grant_is_told_from_a_dead_service() {
    let own = |kind: &str| {
        format!(
            r#"{{"errors":[{{"errorType":"{kind}","message":"Refresh token invalid: 0ldRefresh"}}],"success":false}}"#
        )
    };
    let html = "<html>".to_owned();
    let google = r#"{"error":{"code":403,"message":"The caller does not have permission","status":"PERMISSION_DENIED"}}"#;
    let refused = async |status: u16, body: String| {
        let server = scripted([bare(status, body)]).await;
        let error = adapter().refresh(&app_at(Some(&server.url)), &"0ldRefresh".into()).await.unwrap_err();
        discreet(&error);
        error
    };
    for status in [400, 401] {
        assert_eq!(refused(status, own("invalid_grant")).await.remedy(), Remedy::Reauthorize);
    }
    assert_eq!(refused(401, own("invalid_client")).await.remedy(), Remedy::Permanent);
    for (status, body) in [(403, google.to_owned()), (404, html.clone()), (410, String::new())] {
        let error = refused(status, body).await;
        assert!(matches!(error, ProviderError::Retired { .. }), "{error}");
    }
    for (status, body) in [(502, html.clone()), (500, own("system")), (401, String::new())] {
        assert!(matches!(refused(status, body).await.remedy(), Remedy::Retry { .. }), "{status}");
    }
    assert_eq!(
        refused(429, String::new()).await.remedy(),
        Remedy::SlowDown { after: Duration::from_secs(60) }
    );
}

#[tokio::test]
async fn subscriptions_are_made_kept_or_refused() {
    let conflict = r#"{"errors":[{"errorType":"conflict"}]}"#.to_owned();
    let server = scripted([bare(201, "{}"), ok("{}"), bare(409, conflict)]).await;
    let mut app = app_at(Some(&server.url));
    app.config.options.insert(SUBSCRIBER.to_owned(), "5".to_owned());
    let subscriber = Subscriber {
        link: LinkId::new(),
        address: &redirect(),
        app_address: &redirect(),
        now: "2026-11-20T08:00:00Z".parse().unwrap(),
    };
    let scopes = ["weight".to_owned(), "sleep".to_owned()];
    let done = adapter().subscribe(&app, &scopes, &TOKEN.into(), subscriber).await.unwrap();
    assert_eq!(done, Subscriptions { kept: 1, made: 1, refused: 1 });
    let link = subscriber.link.to_string().replace('-', "");
    for (seen, collection) in server.seen().iter().zip(["body", "sleep", "userRevokedAccess"]) {
        let path = format!("/prefix/1/user/-/{collection}/apiSubscriptions/{link}-{collection}.json");
        assert_eq!((seen.method.as_str(), &seen.uri), ("POST", &path));
        assert_eq!(seen.headers["x-fitbit-subscriber-id"], "5");
    }
}

#[tokio::test]
async fn only_what_is_signed_is_a_notification() {
    let secret = "123ab4567c890d123e4567f8abcdef9a";
    let mut app = app_at(None);
    app.secret = secret.into();
    assert_eq!(app.secret.expose_secret(), secret);
    let now: Instant = "2026-06-01T21:00:00Z".parse().unwrap();
    let call = async |method: Method, query: &str, signature: Option<&str>, body: &str| {
        let mut headers = HeaderMap::new();
        headers.extend(
            signature.map(|s| (http::HeaderName::from_static("x-fitbit-signature"), s.parse().unwrap())),
        );
        let (body, method) = (body.as_bytes(), &method);
        adapter()
            .receive(&app, WebhookRequest { method, token: None, query, headers: &headers, body, now })
            .await
    };
    for (query, expected) in [("verify=v3r1fy", 204), ("verify=wrong", 404), ("verify=", 404), ("", 404)] {
        let status = match call(Method::GET, query, None, "").await.unwrap() {
            Received::Handshake(status) | Received::Refused { answer: status, .. } => status,
            Received::Notified { .. } => panic!(),
        };
        assert_eq!(status.as_u16(), expected, "{query}");
    }
    let body = r#"[{"collectionType":"sleep","date":"2026-06-01","ownerId":"184X36","ownerType":"user","subscriptionId":"sub-1"}]"#;
    let signature = "sOrRyNcpNX/ZX03S6FUTNHUCNw0=";
    let Received::Notified { answer, notified } =
        call(Method::POST, "", Some(signature), body).await.unwrap()
    else {
        panic!()
    };
    assert_eq!((answer.as_u16(), notified.len()), (204, 1));
    assert_eq!(notified[0].account.reveal(), "184X36");
    let Notification::Changed { records, window } = &notified[0].what else { panic!() };
    let names: Vec<&str> = records.iter().map(|record| record.as_str()).collect();
    assert_eq!(names, ["hrv", "spo2", "br", "sleep", "temp-skin"]);
    assert!(window.contains("2026-06-01T00:00:00Z".parse().unwrap()));
    for (signature, body) in [(None, body), (Some("AAAA"), body), (Some(signature), &body[1..])] {
        let received = call(Method::POST, "", signature, body).await.unwrap();
        assert!(matches!(received, Received::Refused { answer: StatusCode::NOT_FOUND, .. }));
    }
}
