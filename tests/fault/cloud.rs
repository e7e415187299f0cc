//! The providers of a world: simulated clouds, each behind a proxy, that a person's readings come from.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{Clock, Instant, ProviderApp};
use ohx_link::secrets::CLIENT;
use ohx_sandbox::withings::{Measure, NewGroup};
use ohx_sandbox::{Reading, google_health, omron, withings};
use ohx_tests::outside::CLIENT_SECRET;
use ohx_tests::proxy::Proxy;
use secrecy::SecretString;
use tokio::net::TcpListener;

use crate::dice::Dice;
use crate::plan::Source;

const DAY: i64 = 86_400;
/// How many days of history a person has, and how many are brought in.
pub const HISTORY: u32 = 12;
pub const BACKFILL: u32 = HISTORY + 1;

const WITHINGS: [&str; 1] = ["getmeas"];
const GOOGLE: [&str; 3] = ["weight", "body-fat", "daily-resting-heart-rate"];
const OMRON: [&str; 2] = ["bloodpressure", "weight"];
const OMRON_WEBHOOK: &str = "a-part-of-an-address-that-nobody-guesses";
const GOOGLE_WEBHOOK: &str = "Bearer a-header-that-nobody-guesses";

/// A cloud and its proxy.
pub struct Cloud {
    pub source: Source,
    pub proxy: Proxy,
    simulator: Simulator,
}

enum Simulator {
    Withings(withings::Simulator),
    Google(google_health::Simulator),
    Omron(omron::Simulator),
}

/// Serves a router on a port of its own; gives the address.
pub async fn serve(router: axum::Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(ohx_sandbox::serve(listener, router, std::future::pending()));
    address
}

impl Cloud {
    pub async fn start(
        source: Source,
        page_size: usize,
        clock: Arc<dyn Clock>,
        http: reqwest::Client,
    ) -> Self {
        let rounds = [0, 3, 6].map(Duration::from_millis).to_vec();
        let (simulator, router) = match source {
            Source::Withings => {
                let mut config = withings::Config::new("ohx-test", CLIENT_SECRET, &[]);
                config.requests_per_minute = 100_000;
                config.page_size = page_size;
                config.notify_rounds = rounds;
                let simulator = withings::Simulator::new(config, clock, http);
                let router = simulator.router();
                (Simulator::Withings(simulator), router)
            }
            Source::Google => {
                let mut config = google_health::Config::new("ohx-test", CLIENT_SECRET, &[]);
                config.requests_per_minute = 100_000;
                config.largest_page = page_size;
                config.notify_rounds = rounds;
                let simulator = google_health::Simulator::new(config, clock, http).expect("a key");
                let router = simulator.router();
                (Simulator::Google(simulator), router)
            }
            Source::Omron => {
                let mut config = omron::Config::new("ohx-test", CLIENT_SECRET, &[]);
                config.requests_per_minute = 100_000;
                config.page_size = page_size;
                config.notify_retry = Duration::from_millis(3);
                // Refresh tokens that stay good: where they do not, a lost answer ends the consent, and nobody can help it.
                // The patient's id in the access token: an id_token is judged by the machine's own clock.
                config.manner = omron::Manner {
                    rotation: omron::Rotation::Keep,
                    no_id_token: true,
                    ..omron::Manner::default()
                };
                let simulator = omron::Simulator::new(config, clock, http);
                let router = simulator.router();
                (Simulator::Omron(simulator), router)
            }
        };
        let proxy = Proxy::before(serve(router).await).await;
        Self { source, proxy, simulator }
    }

    /// The name of its app, and of its type.
    pub fn name(&self) -> &'static str {
        match self.source {
            Source::Withings => "withings",
            Source::Google => "fitbit",
            Source::Omron => "omron",
        }
    }

    /// Its app, as an integrator configures it, and the app's secrets.
    pub fn app(&self) -> (ProviderApp, BTreeMap<String, SecretString>) {
        let url = format!("http://{}", self.proxy.address());
        let base = |name: &str, path: &str| (name.to_owned(), format!("{url}{path}"));
        let mut secrets: BTreeMap<String, SecretString> = [(CLIENT.to_owned(), CLIENT_SECRET.into())].into();
        let mut options = BTreeMap::<String, String>::new();
        let (base_urls, records): (BTreeMap<String, String>, &[&str]) = match &self.simulator {
            Simulator::Withings(_) => ([base("api", ""), base("consent", "")].into(), &WITHINGS),
            Simulator::Google(google) => {
                secrets.insert("webhook".into(), GOOGLE_WEBHOOK.into());
                let account = google.service_account(&url).expect("a key");
                secrets.insert("service-account".into(), account.into());
                options.insert("project".to_owned(), "123456789012".to_owned());
                let keyset = base("keyset", "/keyset.json");
                ([base("api", ""), base("accounts", ""), base("oauth", ""), keyset].into(), &GOOGLE)
            }
            Simulator::Omron(_) => {
                secrets.insert("webhook".into(), OMRON_WEBHOOK.into());
                options.insert("notifications".to_owned(), "registered".to_owned());
                ([base("authorize", ""), base("api", "/prd")].into(), &OMRON)
            }
        };
        let app = serde_json::json!({
            "name": self.name(), "type": self.name(), "client_id": "ohx-test", "base_urls": base_urls,
            "records": records, "requests_per_minute": 100_000, "options": options
        });
        let app = serde_json::from_value(app).expect("an app");
        (app, secrets)
    }

    /// A new person with a past; gives the id to sign in with.
    pub fn person(&self, n: u64, dice: Dice) -> String {
        let (name, timezone) = ("Ada".to_owned(), "Europe/Vienna".to_owned());
        match &self.simulator {
            Simulator::Withings(simulator) => {
                simulator.add_person(withings::Person { id: n, name, timezone }).expect("a person");
                let a_day = dice.below(&format!("person {n}/groups"), 2) + 1;
                simulator.seed_history(n, HISTORY, a_day as u32).expect("a past");
                n.to_string()
            }
            Simulator::Google(simulator) => {
                let person = google_health::Person { id: n, name, timezone, legacy_id: None, linked: true };
                simulator.add_person(person).expect("a person");
                simulator.seed_daily(n, HISTORY).expect("a past");
                n.to_string()
            }
            Simulator::Omron(simulator) => {
                let id = format!("7d1b0a6e-4b7e-4c29-9d0a-{n:012}");
                simulator.add_person(omron::Person { id: id.clone(), name, timezone }).expect("a person");
                simulator.seed_history(&id, HISTORY).expect("a past");
                id
            }
        }
    }

    /// What an operator does once at the provider: where patients come back to, and where notifications go.
    pub fn register(&self, redirect: &str, public: &url::Url) {
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.register_redirect(redirect),
            Simulator::Google(simulator) => simulator.register_redirect(redirect),
            Simulator::Omron(simulator) => {
                simulator.register_redirect(redirect);
                let address = format!("{public}webhook/omron/{OMRON_WEBHOOK}");
                simulator.register_notifications(Some(&address));
            }
        }
    }

    /// What the EHR is to have of a person in the end.
    pub fn readings(&self, person: &str) -> Vec<Reading> {
        let number = || person.parse().expect("a number");
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.readings(number(), &WITHINGS).expect("a person"),
            Simulator::Google(simulator) => simulator.readings(number(), &GOOGLE).expect("a person"),
            Simulator::Omron(simulator) => simulator.readings(person, &OMRON).expect("a person"),
        }
    }

    /// Something happens to a person: a new reading, one that comes late, or one that is corrected. The cloud notifies.
    pub fn news(&self, person: &str, now: Instant, dice: Dice, step: &str) {
        let now = now.as_second();
        let value = |first, last| dice.between(&format!("{step}/value"), first, last);
        let which = dice.below(&format!("{step}/kind"), 4);
        let back = |days: i64| now - 60 - dice.below(&format!("{step}/back"), (days * DAY) as u64) as i64;
        match &self.simulator {
            Simulator::Withings(simulator) => {
                let id: u64 = person.parse().expect("a number");
                let groups = simulator.truth(id).expect("a person");
                let group = &groups[dice.below(&format!("{step}/group"), groups.len() as u64) as usize];
                let done = match which {
                    0 => simulator.weigh_now(id, &format!("{}.{}0", value(50, 99), value(0, 9))).map(drop),
                    1 => {
                        let date = Instant::from_second(back(10)).expect("a time");
                        simulator.late(id, date, value(88, 100) as i64).map(drop)
                    }
                    2 if group.content.attrib == 1 => simulator.confirm(group.grpid),
                    2 => {
                        let one_less = |m: &Measure| Measure { value: m.value - 1, ..*m };
                        simulator.correct(group.grpid, group.content.measures.iter().map(one_less).collect())
                    }
                    _ => {
                        let measures = vec![
                            Measure::new(9, value(60, 95) as i64, 0),
                            Measure::new(10, value(100, 150) as i64, 0),
                            Measure::new(11, value(50, 99) as i64, 0),
                        ];
                        let group =
                            NewGroup { date: back(2), attrib: 0, category: 1, modelid: Some(45), measures };
                        simulator.add_group(id, group).map(drop)
                    }
                };
                done.expect("the person and the group are there");
            }
            Simulator::Google(simulator) => {
                let id: u64 = person.parse().expect("a number");
                let weight = || format!(r#"{{"weightGrams":{}}}"#, value(50_000, 99_999));
                let points = simulator.points(id, "weight").expect("a person");
                // Not later than its overlap allows for, should a night be missed.
                let back = dice.below(&format!("{step}/back"), DAY as u64 / 4) as i64;
                let done = match which {
                    0 | 1 => simulator.weigh_now(id, value(50_000, 99_999) as u32).map(drop),
                    2 if points.first().is_some_and(|point| point.content.start > now - DAY) => {
                        simulator.change(id, "weight", &points[0].id, weight())
                    }
                    _ => {
                        let point = google_health::NewPoint::new("weight", now - 60 - back, None, weight());
                        simulator.add_points(id, vec![point.expect("a point")]).map(drop)
                    }
                };
                done.expect("the person and the point are there");
            }
            Simulator::Omron(simulator) => {
                let pressure = |at| {
                    let (systolic, diastolic, pulse) = (value(100, 150), value(60, 95), value(50, 99));
                    omron::NewRow::pressure(
                        at,
                        &systolic.to_string(),
                        &diastolic.to_string(),
                        &pulse.to_string(),
                    )
                };
                let weight =
                    |at| omron::NewRow::weight(at, &format!("{}.{}", value(50, 99), value(1, 9)), "kg");
                let row = match which {
                    0 => pressure(now - 60),
                    1 => pressure(back(5)),
                    2 => weight(now - 60),
                    _ => weight(back(5)),
                };
                simulator.upload(person, vec![row]).expect("the person is there");
            }
        }
    }

    /// Every group of a person at Withings is corrected.
    pub fn correct_all(&self, person: &str) {
        let Simulator::Withings(simulator) = &self.simulator else { panic!("only at Withings") };
        for group in simulator.truth(person.parse().expect("a number")).expect("a person") {
            let one_less = |m: &Measure| Measure { value: m.value - 1, ..*m };
            let measures = group.content.measures.iter().map(one_less).collect();
            simulator.correct(group.grpid, measures).expect("the group is there");
        }
    }

    /// The next call gets no good answer.
    pub fn fail_once(&self, which: u64) {
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.inject(match which % 5 {
                0 => withings::Fault::TooManyRequests { calls: 1 },
                1 => withings::Fault::HttpStatus { status: 500, calls: 1 },
                2 => withings::Fault::HtmlErrorPage { status: 200, calls: 1 },
                3 => withings::Fault::TruncateNextPage,
                _ => withings::Fault::HttpStatus { status: 429, calls: 1 },
            }),
            Simulator::Google(simulator) => simulator.inject(match which % 5 {
                0 => google_health::Fault::TooManyRequests { calls: 1 },
                1 => google_health::Fault::HttpStatus { status: 503, calls: 1 },
                2 => google_health::Fault::HtmlErrorPage { status: 502, calls: 1 },
                3 => google_health::Fault::TruncateNextPage,
                _ => google_health::Fault::EmptyPages { count: 1 },
            }),
            Simulator::Omron(simulator) => simulator.inject(match which % 5 {
                0 => omron::Fault::HttpStatus { status: 429, retry_after: Some(5), calls: 1 },
                1 => omron::Fault::HttpStatus { status: 500, retry_after: None, calls: 1 },
                2 => omron::Fault::HtmlErrorPage { status: 502, calls: 1 },
                3 => omron::Fault::TruncateNextPage,
                _ => omron::Fault::HttpStatus { status: 503, retry_after: None, calls: 1 },
            }),
        }
    }

    /// The next refresh is carried out and never answered. Google's tokens do not rotate: there is nothing to lose.
    pub fn lose_next_refresh(&self) {
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.inject(withings::Fault::DropReplyAfterRefresh),
            Simulator::Omron(simulator) => simulator.inject(omron::Fault::DropReplyAfterRefresh),
            Simulator::Google(_) => {}
        }
    }

    /// Notifications are lost, or doubled, until the faults are cleared.
    pub fn disturb_notifications(&self, lose: bool) {
        let count = 1_000;
        match &self.simulator {
            Simulator::Withings(simulator) if lose => {
                simulator.inject(withings::Fault::LoseNotifications { count })
            }
            Simulator::Withings(simulator) => {
                simulator.inject(withings::Fault::DoubleNotifications { count })
            }
            Simulator::Google(simulator) if lose => {
                simulator.inject(google_health::Fault::LoseNotifications { count })
            }
            Simulator::Google(simulator) => {
                simulator.inject(google_health::Fault::DoubleNotifications { count })
            }
            Simulator::Omron(simulator) if lose => {
                simulator.inject(omron::Fault::LoseNotifications { count })
            }
            Simulator::Omron(simulator) => simulator.inject(omron::Fault::DoubleNotifications { count }),
        }
    }

    /// Refreshes that were carried out so far.
    pub fn refreshes(&self) -> u64 {
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.stats().refreshes,
            Simulator::Google(_) => 0,
            Simulator::Omron(simulator) => simulator.stats().refreshes,
        }
    }

    /// Every fault is over.
    pub fn recover(&self) {
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.clear_faults(),
            Simulator::Google(simulator) => simulator.clear_faults(),
            Simulator::Omron(simulator) => simulator.clear_faults(),
        }
    }

    /// No notification is on its way.
    pub async fn idle(&self) {
        match &self.simulator {
            Simulator::Withings(simulator) => simulator.idle().await,
            Simulator::Google(simulator) => simulator.idle().await,
            Simulator::Omron(simulator) => simulator.idle().await,
        }
    }
}
