//! Fitbit through the Google Health API.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ohx_domain::{Clock, ProviderApp};
use ohx_providers::google_health::GoogleHealth;
use ohx_providers::{App, Provider, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::google_health::{Config, Fault, NewPoint, Person, Simulator};

use crate::world::{About, CLIENT, Cloud, REDIRECT, Shape};

pub(crate) struct Google(Simulator);

const CARLA: u64 = 111_111_256_096_816_351;

impl Cloud for Google {
    const ABOUT: About = About {
        kind: "fitbit",
        record: "weight",
        person: "111111256096816351",
        lasts: Duration::from_secs(3_599),
        scopes: &[
            "https://www.googleapis.com/auth/googlehealth.activity_and_fitness.readonly",
            "https://www.googleapis.com/auth/googlehealth.ecg.readonly",
            "https://www.googleapis.com/auth/googlehealth.health_metrics_and_measurements.readonly",
            "https://www.googleapis.com/auth/googlehealth.settings.readonly",
            "https://www.googleapis.com/auth/googlehealth.sleep.readonly",
        ],
        too_many: Remedy::SlowDown { after: Duration::from_secs(60) },
        broken: (1, 1),
        verbatim: true,
        not_applicable: &[
            (
                "rotation",
                "refresh tokens do not rotate: a refresh brings none, and the one that was given stays",
            ),
            ("retired", "no end is announced"),
        ],
    };

    fn new(shape: Shape) -> Self {
        let mut config = Config::new(CLIENT.0, CLIENT.1, &[REDIRECT]);
        (config.largest_page, config.requests_per_minute) = (shape.page_size, shape.quota);
        let sim = Simulator::new(config, shape.clock, shape.http).unwrap();
        let (name, timezone) = ("Carla".to_owned(), "Europe/Amsterdam".to_owned());
        sim.add_person(Person { id: CARLA, name, timezone, legacy_id: None, linked: true }).unwrap();
        Self(sim)
    }

    fn router(&self) -> Router {
        self.0.router()
    }

    fn adapter(http: reqwest::Client, clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
        Arc::new(GoogleHealth::with_clock(http, clock))
    }

    fn app(base: &str) -> App {
        let bases = ["api", "accounts", "oauth"].map(|name| (name.to_owned(), base.parse().unwrap()));
        let config = ProviderApp {
            name: "home".parse().unwrap(),
            kind: "fitbit".into(),
            client_id: CLIENT.0.into(),
            base_urls: bases.into(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        };
        App { config, secret: CLIENT.1.into(), secrets: BTreeMap::new() }
    }

    fn add(&self, at: i64, nth: i64) {
        let value = format!(r#"{{"weightGrams":{}}}"#, 72_100 + 10 * nth);
        let point = NewPoint::new("weight", at, None, value).unwrap();
        self.0.add_points(CARLA, vec![point]).unwrap();
    }

    fn truth(&self) -> Vec<Reading> {
        self.0.readings(CARLA, &["weight"]).unwrap()
    }

    fn too_many(&self, calls: u32) {
        self.0.inject(Fault::TooManyRequests { calls });
    }

    fn break_one(&self) {
        self.0.inject(Fault::WrongTypeInOnePoint);
    }

    fn leave(&self) {
        self.0.unlink(CARLA).unwrap();
    }
}

promises!(Google);
