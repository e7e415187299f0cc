//! The legacy Fitbit Web API.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::tz::TimeZone;
use ohx_domain::{Clock, Instant, ProviderApp};
use ohx_providers::fitbit_legacy::FitbitLegacy;
use ohx_providers::{App, Provider, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::fitbit_legacy::{Config, Entry, Fault, Person, Retired, Simulator};
use ohx_sandbox::withings::Figure;

use crate::world::{About, CLIENT, Cloud, REDIRECT, Shape};

pub(crate) struct Legacy(Simulator);

const GINA: &str = "GGNJL9";
const ZONE: &str = "Europe/Amsterdam";

impl Cloud for Legacy {
    const ABOUT: About = About {
        kind: "fitbit-legacy",
        // The paged one: most others come by days.
        record: "exercise",
        person: GINA,
        lasts: Duration::from_secs(28_800),
        scopes: &[
            "activity",
            "cardio_fitness",
            "electrocardiogram",
            "heartrate",
            "oxygen_saturation",
            "profile",
            "respiratory_rate",
            "settings",
            "sleep",
            "temperature",
            "weight",
        ],
        // Until the hour is over, and for this person alone.
        too_many: Remedy::Spent { after: Duration::from_secs(3600) },
        broken: (1, 0),
        verbatim: true,
        not_applicable: &[(
            "lost_reply",
            "a refresh token is good once; no window for a second try is documented",
        )],
    };

    fn new(shape: Shape) -> Self {
        let mut config = Config::new(CLIENT.0, CLIENT.1, &[REDIRECT]);
        config.page_size = shape.page_size;
        config.requests_per_hour = u64::try_from(shape.quota).unwrap();
        let sim = Simulator::new(config, shape.clock, shape.http);
        sim.add_person(Person { id: GINA.into(), name: "Gina".into(), timezone: ZONE.into() }).unwrap();
        Self(sim)
    }

    fn router(&self) -> Router {
        self.0.router()
    }

    fn adapter(http: reqwest::Client, clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
        Arc::new(FitbitLegacy::new(http).with_clock(clock))
    }

    fn app(base: &str) -> App {
        let config = ProviderApp {
            name: "home".parse().unwrap(),
            kind: "fitbit-legacy".into(),
            client_id: CLIENT.0.into(),
            base_urls: ["consent", "api"].map(|name| (name.to_owned(), base.parse().unwrap())).into(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: [("accept-retired-service".to_owned(), "yes".to_owned())].into(),
        };
        App { config, secret: CLIENT.1.into(), secrets: [("webhook".to_owned(), "c0de".into())].into() }
    }

    fn add(&self, at: i64, nth: i64) {
        let at = TimeZone::get(ZONE).unwrap().to_datetime(Instant::from_second(at).unwrap());
        let figures = [
            ("activityName", Figure::text("Walk")),
            ("activityTypeId", Figure::whole(90_013)),
            ("logType", Figure::text("tracker")),
            ("duration", Figure::whole(1_800_000)),
            ("activeDuration", Figure::whole(1_784_500)),
            ("calories", Figure::whole(100 + nth)),
            ("steps", Figure::whole(3_000 + nth)),
        ];
        let figures = figures.map(|(name, figure)| (name.to_owned(), figure)).into();
        let entry = Entry { id: 0, at, until: None, figures, samples: Vec::new() };
        self.0.add(GINA, "exercise", vec![entry]).unwrap();
    }

    fn truth(&self) -> Vec<Reading> {
        self.0.readings(GINA, &["exercise"]).unwrap()
    }

    fn too_many(&self, calls: u32) {
        self.0.inject(Fault::TooManyRequests { calls });
    }

    fn break_one(&self) {
        self.0.inject(Fault::UnreadableEntry);
    }

    fn leave(&self) {
        self.0.unlink(GINA, false).unwrap();
    }

    fn retire(&self, nth: usize) -> bool {
        let how = [Retired::Forbidden, Retired::NotFound, Retired::Gone].get(nth).copied();
        self.0.retire(how);
        how.is_some()
    }
}

promises!(Legacy);
