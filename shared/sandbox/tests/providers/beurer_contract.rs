//! A cloud under contract, which is what its contract says.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use jiff::tz::TimeZone;
use ohx_domain::{Clock, Instant, ManualClock, ProviderApp};
use ohx_providers::beurer::contract::BeurerContract;
use ohx_providers::{App, Provider, Remedy};
use ohx_sandbox::beurer_contract::{Config, Fault, Measured, ORIGIN, Simulator};
use ohx_sandbox::{OWN, Reading};
use serde_json::{Value, json};

use crate::world::{About, CLIENT, Cloud, REDIRECT, Shape};

pub(crate) struct Contract {
    sim: Simulator,
    clock: Arc<ManualClock>,
    added: std::sync::Mutex<Vec<(i64, String)>>,
}

const EVA: &str = "eva-1";
const ZONE: &str = "Europe/Vienna";

fn contract() -> Value {
    json!({
        "base_url": format!("{ORIGIN}/health/"), "authorize_url": format!("{ORIGIN}/consent"),
        "token_url": format!("{ORIGIN}/token"), "revoke_url": format!("{ORIGIN}/end"),
        "grant": "authorization_code", "account": { "in_token_answer": true }, "overlap_hours": 48,
        "records": { "weight": {
            "url": "weights", "query": { "from": "{start}", "to": "{end}" }, "changes": { "changed": "{since}" },
            "items": "/rows", "paging": { "cursor": { "parameter": "after", "at": "/more" } },
            "time": { "at": "/t", "format": "rfc3339", "zone_at": "/place" }, "id": "/key",
            "values": { "weight": { "at": "/kg", "unit": "kg" } } } }
    })
}

impl Cloud for Contract {
    const ABOUT: About = About {
        kind: "beurer-contract",
        record: "weight",
        person: EVA,
        lasts: Duration::from_secs(3 * 3600),
        // The contract asks for none.
        scopes: &[],
        too_many: Remedy::SlowDown { after: Duration::from_secs(9) },
        // One that is no object, one without a time, one without a number: all beside the good ones.
        broken: (3, 0),
        verbatim: false,
        not_applicable: &[
            ("lost_reply", "a contract says nothing of a grace in which a rotated token is still good"),
            ("retired", "a contract's end is agreed on, and no answer says it"),
        ],
    };

    fn new(shape: Shape) -> Self {
        let config = Config {
            contract: contract(),
            client_id: CLIENT.0.into(),
            client_secret: CLIENT.1.into(),
            redirect_uri: REDIRECT.into(),
            header_secret: String::new(),
            webhook_secret: String::new(),
            page_size: shape.page_size,
            requests_per_minute: shape.quota,
            access_life: Self::ABOUT.lasts,
        };
        let clock = Arc::clone(&shape.clock);
        let sim = Simulator::new(config, shape.clock, shape.http);
        sim.add_person(EVA, "Eva");
        Self { sim, clock, added: std::sync::Mutex::default() }
    }

    fn router(&self) -> Router {
        self.sim.router()
    }

    fn adapter(http: reqwest::Client, clock: Arc<dyn Clock>) -> Arc<dyn Provider> {
        Arc::new(BeurerContract::new(http).with_clock(clock))
    }

    fn app(base: &str) -> App {
        let contract = contract().to_string().replace(ORIGIN, base);
        let options = [("accept-unverified-contract", "yes".to_owned()), ("contract", contract)];
        let config = ProviderApp {
            name: "home".parse().unwrap(),
            kind: "beurer-contract".into(),
            client_id: CLIENT.0.into(),
            base_urls: BTreeMap::new(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: options.map(|(name, text)| (name.to_owned(), text)).into(),
        };
        assert_eq!(ohx_providers::check(&config), Ok(()));
        App { config, secret: CLIENT.1.into(), secrets: BTreeMap::new() }
    }

    fn add(&self, at: i64, nth: i64) {
        let kg = format!("{}.{:02}", 60 + nth % 40, nth % 100);
        self.sim.measure(Measured {
            person: EVA.into(),
            record: "weight".into(),
            at: Instant::from_second(at).unwrap(),
            changed: self.clock.now(),
            id: format!("w{at}-{nth}"),
            zone: ZONE.into(),
            device: None,
            values: vec![("weight", Box::leak(kg.clone().into_boxed_str()), "kg")],
        });
        self.added.lock().unwrap().push((at, kg));
    }

    fn truth(&self) -> Vec<Reading> {
        let zone = TimeZone::get(ZONE).unwrap();
        let added = self.added.lock().unwrap().clone();
        let readings = added.into_iter().map(|(date, kg)| {
            let at = Instant::from_second(date).unwrap();
            Reading {
                record: "weight",
                id: String::new(),
                kind: "body-weight",
                position: None,
                code: "29463-7",
                date,
                when: at.display_with_offset(zone.to_offset(at)).to_string(),
                preliminary: false,
                values: [(OWN, format!("{kg} kg"))].into(),
            }
        });
        readings.collect()
    }

    fn too_many(&self, calls: u32) {
        (0..calls).for_each(|_| self.sim.inject(Fault::Status(429, Some(9))));
    }

    fn break_one(&self) {
        self.sim.inject(Fault::Malformed);
    }

    fn leave(&self) {
        self.sim.unlink(EVA);
    }
}

promises!(Contract);
