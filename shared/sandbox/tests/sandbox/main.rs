//! Both simulators over real HTTP on loopback, held against what their sources say.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod beurer_contract_adapter;
mod fhir_bundle;
mod fhir_rest;
mod fitbit_legacy_adapter;
mod google_health_adapter;
mod google_health_notify;
mod google_health_sandbox;
mod omron_adapter;
mod omron_readings;
mod omron_sandbox;
mod withings_adapter;
mod withings_control;
mod withings_life;
mod withings_measure;
mod withings_notify;
mod withings_oauth;
mod withings_truth;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ohx_domain::{Clock, Instant, ManualClock};
use ohx_sandbox::withings::{Config, Person, Simulator};
use serde_json::Value;

const REDIRECT: &str = "http://127.0.0.1:1/oauth/withings/callback";

#[expect(clippy::disallowed_methods, reason = "a test's own client, without redirects or a proxy")]
fn client() -> reqwest::Client {
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap()
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new("2026-10-04T06:00:00Z".parse::<Instant>().unwrap()))
}

/// Serves a router on a free port, until the test's runtime ends, and returns its base URL.
async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(ohx_sandbox::serve(listener, router, std::future::pending()));
    format!("http://{address}")
}

/// A Withings with two persons, and what is needed to talk to it.
struct World {
    clock: Arc<ManualClock>,
    sim: Simulator,
    http: reqwest::Client,
    base: String,
}

const ANNA: u64 = 1000;
const BEN: u64 = 1001;

impl World {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (clock, http) = (clock(), client());
        let mut config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
        config.notify_rounds = vec![Duration::ZERO, Duration::from_millis(20)];
        config.requests_per_minute = 100_000;
        change(&mut config);
        let sim = Simulator::new(config, Arc::clone(&clock) as Arc<dyn Clock>, http.clone());
        for (id, name, timezone) in [(ANNA, "Anna <A>", "Europe/Vienna"), (BEN, "Ben", "America/New_York")] {
            let (name, timezone) = (name.to_owned(), timezone.to_owned());
            sim.add_person(Person { id, name, timezone }).unwrap();
        }
        let base = serve(sim.router()).await;
        Self { clock, sim, http, base }
    }

    fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    async fn raw(
        &self,
        path: &str,
        token: Option<&str>,
        form: &[(&str, &str)],
    ) -> reqwest::Result<reqwest::Response> {
        let request = self.http.post(format!("{}{path}", self.base)).form(form);
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await
    }

    /// The envelope; everything comes with HTTP 200.
    async fn call(&self, path: &str, token: Option<&str>, form: &[(&str, &str)]) -> Value {
        let reply = self.raw(path, token, form).await.unwrap();
        assert_eq!(reply.status(), 200);
        reply.json().await.unwrap()
    }

    /// Goes through the consent page as a browser would, and returns where it sends the browser.
    async fn decide(&self, user: &str, scope: &str) -> url::Url {
        let form = [
            ("response_type", "code"),
            ("client_id", "client-1"),
            ("redirect_uri", REDIRECT),
            ("state", "xyz&=1"),
            ("scope", scope),
            ("user", user),
        ];
        let reply = self.raw("/oauth2_user/authorize2", None, &form).await.unwrap();
        assert_eq!(reply.status(), 303);
        url::Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap()
    }

    async fn code(&self, person: u64, scope: &str) -> String {
        let back = self.decide(&person.to_string(), scope).await;
        let pairs: BTreeMap<_, _> = back.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "xyz&=1");
        pairs["code"].clone()
    }

    async fn exchange(&self, code: &str) -> Value {
        let form = [
            ("action", "requesttoken"),
            ("grant_type", "authorization_code"),
            ("client_id", "client-1"),
            ("client_secret", "s3cr3t"),
            ("code", code),
            ("redirect_uri", REDIRECT),
        ];
        self.call("/v2/oauth2", None, &form).await
    }

    async fn refresh(&self, token: &str) -> Value {
        let reply = self.raw("/v2/oauth2", None, &refresh_form(token)).await.unwrap();
        reply.json().await.unwrap()
    }

    /// An access and a refresh token.
    async fn grant(&self, person: u64) -> (String, String) {
        let code = self.code(person, "user.info,user.metrics").await;
        pair(&self.exchange(&code).await)
    }

    async fn getmeas(&self, token: &str, form: &[(&str, &str)]) -> Value {
        let form = [&[("action", "getmeas")], form].concat();
        self.call("/measure", Some(token), &form).await
    }
}

fn refresh_form(token: &str) -> [(&'static str, &str); 5] {
    [
        ("action", "requesttoken"),
        ("grant_type", "refresh_token"),
        ("client_id", "client-1"),
        ("client_secret", "s3cr3t"),
        ("refresh_token", token),
    ]
}

fn pair(envelope: &Value) -> (String, String) {
    assert_eq!(envelope["status"], 0, "{envelope}");
    let text = |name: &str| envelope["body"][name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}
