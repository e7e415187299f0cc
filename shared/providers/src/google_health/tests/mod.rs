//! The adapter against a server on loopback that answers as recorded, oddities included.

mod consent;
mod notifications;
mod pages;
mod refusals;
mod subscriptions;

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::{HeaderMap, Method, StatusCode};
use ohx_domain::{Instant, Interval, ManualClock};

use super::*;
use crate::Remedy;
use crate::scripted::{HTTP, Reply, Server, bare, hides, ok, pairs as map};

const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const TOKEN: &str = "ya29.acc3ssT0ken";
const SECRET: &str = "GOCSPX-cl1entS3cret";
const NOW: &str = "2026-11-20T12:00:00Z";
const SETTINGS: &str = r#"{"name":"users/111111256096816351/settings","timeZone":"Europe/Amsterdam","utcOffset":"3600s","weightUnit":"WEIGHT_UNIT_KILOGRAMS"}"#;

/// Google's way to say no.
fn refusal(http: u16, status: &str, reason: &str) -> Reply {
    let details = match reason {
        "" => String::new(),
        reason => format!(
            r#","details":[{{"@type":"type.googleapis.com/google.rpc.Help","links":[]}},{{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"health.googleapis.com","metadata":{{}}}}]"#
        ),
    };
    let body = format!(
        r#"{{"error":{{"code":{http},"message":"For 111111256096816351 no.","status":"{status}"{details}}}}}"#
    );
    bare(http, body)
}

fn now() -> Instant {
    NOW.parse().unwrap()
}

fn adapter() -> GoogleHealth {
    adapter_at(&Arc::new(ManualClock::new(now())))
}

fn adapter_at(clock: &Arc<ManualClock>) -> GoogleHealth {
    GoogleHealth::with_clock(HTTP.clone(), clock.clone())
}

fn app_at(bases: &[(&str, &str)]) -> App {
    App {
        config: ProviderApp {
            name: "home-bands".parse().unwrap(),
            kind: KIND.into(),
            client_id: "123.apps.googleusercontent.com".into(),
            base_urls: bases
                .iter()
                .map(|(name, url)| ((*name).to_owned(), Url::parse(url).unwrap()))
                .collect(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        },
        secret: SECRET.into(),
        secrets: BTreeMap::new(),
    }
}

fn app(server: &Server) -> App {
    let url = server.url.as_str();
    app_at(&[("api", url), ("oauth", url), ("keyset", &format!("{url}keys.json"))])
}

fn redirect() -> Url {
    Url::parse("https://ohx.example/oauth/callback/fitbit").unwrap()
}

fn window(start: &str, end: &str) -> Query {
    Query::Window(Interval::new(start.parse().unwrap(), end.parse().unwrap()).unwrap())
}

/// Makes one call; the server is asked for the zone before.
async fn page(
    adapter: &GoogleHealth,
    app: &App,
    record: &str,
    query: &Query,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    adapter.fetch(app, &TOKEN.into(), &record.parse().unwrap(), query, page).await
}

/// All pages of a query, each of which makes one call at most.
async fn read(server: &Server, record: &str, query: &Query) -> Result<Vec<Page>, ProviderError> {
    let (adapter, app) = (adapter(), app(server));
    let (mut pages, mut token) = (Vec::new(), None);
    loop {
        let calls = server.seen().len();
        let next = page(&adapter, &app, record, query, token.as_ref()).await?;
        assert!(server.seen().len() <= calls + 1, "one call a page, so that the quota is counted right");
        token = next.next.clone();
        pages.push(next);
        if token.is_none() {
            return Ok(pages);
        }
    }
}

fn texts(pages: &[Page]) -> Vec<&str> {
    pages.iter().flat_map(|page| &page.parts).map(|part| part.text.reveal().get()).collect()
}

fn discreet(error: &ProviderError) {
    hides(error, &[TOKEN, SECRET, "1//r3fresh", "4/c0de", "11111125609", "A1B2C3", "72100", "no."]);
}
