//! Withings.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ohx_domain::{Clock, ProviderApp};
use ohx_providers::{App, Provider, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::withings::{Config, Fault, Measure, NewGroup, Person, Simulator};

use crate::world::{About, CLIENT, Cloud, REDIRECT, Shape};

pub(crate) struct Withings(Simulator);

const ANNA: u64 = 1000;
/// The person's scale.
const SCALE: i64 = 18;

impl Cloud for Withings {
    const ABOUT: About = About {
        kind: "withings",
        record: "getmeas",
        person: "1000",
        lasts: Duration::from_secs(10_800),
        scopes: &["user.info", "user.metrics", "user.activity"],
        too_many: Remedy::SlowDown { after: Duration::from_secs(60) },
        broken: (1, 1),
        verbatim: true,
        not_applicable: &[
            ("pkce", "Withings documents none, and no known client sends it"),
            (
                "revoke",
                "it takes the user id and a signed nonce, not a token; deleting a link ends subscriptions only",
            ),
            ("retired", "no end is announced"),
        ],
    };

    fn new(shape: Shape) -> Self {
        let mut config = Config::new(CLIENT.0, CLIENT.1, &[REDIRECT]);
        (config.page_size, config.requests_per_minute) = (shape.page_size, shape.quota);
        let sim = Simulator::new(config, shape.clock, shape.http);
        sim.add_person(Person { id: ANNA, name: "Anna".into(), timezone: "Europe/Vienna".into() }).unwrap();
        Self(sim)
    }

    fn router(&self) -> Router {
        self.0.router()
    }

    /// It needs no clock.
    fn adapter(http: reqwest::Client, _clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
        Arc::new(ohx_providers::withings::Withings::new(http))
    }

    fn app(base: &str) -> App {
        let config = ProviderApp {
            name: "home".parse().unwrap(),
            kind: "withings".into(),
            client_id: CLIENT.0.into(),
            base_urls: ["consent", "api"].map(|name| (name.to_owned(), base.parse().unwrap())).into(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        };
        App { config, secret: CLIENT.1.into(), secrets: BTreeMap::new() }
    }

    fn add(&self, at: i64, nth: i64) {
        let measures = vec![Measure::new(1, 72_100 + 10 * nth, -3)];
        let group = NewGroup { date: at, attrib: 0, category: 1, modelid: Some(SCALE), measures };
        self.0.add_groups(ANNA, vec![group]).unwrap();
    }

    fn truth(&self) -> Vec<Reading> {
        self.0.readings(ANNA, &["getmeas"]).unwrap()
    }

    fn too_many(&self, calls: u32) {
        self.0.inject(Fault::TooManyRequests { calls });
    }

    fn break_one(&self) {
        self.0.inject(Fault::WrongTypeInOneMeasure);
    }

    fn leave(&self) {
        self.0.unlink(ANNA).unwrap();
    }
}

promises!(Withings);
