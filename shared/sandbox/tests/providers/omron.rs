//! OMRON.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ohx_domain::{Clock, ProviderApp};
use ohx_providers::{App, Provider, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::omron::{Config, Fault, NewRow, Person, Simulator};

use crate::world::{About, CLIENT, Cloud, REDIRECT, Shape};

pub(crate) struct Omron(Simulator);

const DORA: &str = "7d1b0a6e-0000-4000-8000-00000000beef";

impl Cloud for Omron {
    const ABOUT: About = About {
        kind: "omron",
        record: "bloodpressure",
        person: DORA,
        lasts: Duration::from_secs(3600),
        // Its token answer does not say.
        scopes: &[],
        too_many: Remedy::SlowDown { after: Duration::from_secs(9) },
        // One that is no object, one without an id, one without values: all beside the good ones.
        broken: (3, 0),
        verbatim: true,
        not_applicable: &[
            ("lost_reply", "OMRON says nothing of a grace in which a rotated token is still good"),
            ("retired", "no end is announced"),
        ],
    };

    fn new(shape: Shape) -> Self {
        let mut config = Config::new(CLIENT.0, CLIENT.1, &[REDIRECT]);
        (config.page_size, config.requests_per_minute) = (shape.page_size, shape.quota);
        let sim = Simulator::new(config, shape.clock, shape.http);
        sim.add_person(Person { id: DORA.into(), name: "Dora".into(), timezone: "Europe/Vienna".into() })
            .unwrap();
        Self(sim)
    }

    fn router(&self) -> Router {
        self.0.router()
    }

    fn adapter(http: reqwest::Client, clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
        Arc::new(ohx_providers::omron::Omron::new(http).with_clock(clock))
    }

    fn app(base: &str) -> App {
        let bases = [("authorize", ""), ("api", "/stg")];
        let url = |path: &str| format!("{base}{path}").parse().unwrap();
        let config = ProviderApp {
            name: "home".parse().unwrap(),
            kind: "omron".into(),
            client_id: CLIENT.0.into(),
            base_urls: bases.map(|(name, path)| (name.to_owned(), url(path))).into(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        };
        App { config, secret: CLIENT.1.into(), secrets: BTreeMap::new() }
    }

    fn add(&self, at: i64, nth: i64) {
        let [high, low, pulse] = [120, 80, 60].map(|base| (base + nth).to_string());
        self.0.upload(DORA, vec![NewRow::pressure(at, &high, &low, &pulse)]).unwrap();
    }

    fn truth(&self) -> Vec<Reading> {
        self.0.readings(DORA, &["bloodpressure"]).unwrap()
    }

    fn too_many(&self, calls: u32) {
        self.0.inject(Fault::HttpStatus { status: 429, retry_after: Some(9), calls });
    }

    fn break_one(&self) {
        self.0.inject(Fault::UnreadableRows);
    }

    fn leave(&self) {
        self.0.unlink(DORA).unwrap();
    }
}

promises!(Omron);
