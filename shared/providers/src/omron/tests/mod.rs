//! The adapter against a server on loopback that answers as the sheet says, oddities included.

mod hints;
mod pages;
mod tokens;

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode};
use data_encoding::BASE64URL_NOPAD;
use ohx_domain::{Instant, Interval, ManualClock};
use secrecy::ExposeSecret as _;

use super::*;
use crate::Remedy;
use crate::scripted::{HTTP, Reply, Server, hides, ok, pairs as form};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
const TOKEN: &str = "acc3ssT0ken";
const SECRET: &str = "cl1entS3cret";
const SUB: &str = "7d1b0a6e-0000-4000-8000-00000000beef";
const NOW: &str = "2026-10-04T06:00:00Z";

fn adapter() -> Omron {
    Omron::new(HTTP.clone()).with_clock(Arc::new(ManualClock::new(NOW.parse().unwrap())))
}

fn app_with(bases: &[(&str, &str)], options: &[(&str, &str)]) -> App {
    App {
        config: ProviderApp {
            name: "cuffs".parse().unwrap(),
            kind: KIND.into(),
            client_id: "abc123".into(),
            base_urls: bases
                .iter()
                .map(|(name, url)| ((*name).to_owned(), Url::parse(url).unwrap()))
                .collect(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: form(options),
        },
        secret: SECRET.into(),
        secrets: BTreeMap::new(),
    }
}

fn app(server: &Server) -> App {
    app_with(&[("api", server.url.as_str())], &[])
}

fn redirect() -> Url {
    Url::parse("https://ohx.example/oauth/callback/cuffs").unwrap()
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn between(start: &str, end: &str) -> Query {
    Query::Window(Interval::new(at(start), at(end)).unwrap())
}

/// A JWT without a signature that anybody could look at.
fn jwt(claims: &str) -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("signature"))
}

fn discreet(error: &ProviderError) {
    hides(error, &[TOKEN, SECRET, "0ldRefresh", "c0de", SUB, "n3wAccess", "n3wRefresh", "128"]);
}

/// A server that gives these answers, under the prefix of the staging environment.
async fn scripted(replies: impl IntoIterator<Item = Reply>) -> Server {
    Server::at("/stg", replies).await
}
