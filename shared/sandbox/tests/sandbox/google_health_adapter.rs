//! The adapter against the simulated Google Health API: every record arrives whole, once, and to the last digit.

mod again;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{
    Account, Clock as _, Instant, Interval, ManualClock, ProviderApp, Query, Record, Sensitive,
    account_pseudonym,
};
use ohx_mapping::{Context, Mapping};
use ohx_providers::google_health::GoogleHealth;
use ohx_providers::{App, Grant, Page, PageToken, Part, Provider as _, ProviderError, RecordSpec, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::google_health::{Config, Fault, Person, Simulator, USUAL};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{client, serve};

pub(super) const CARLA: u64 = 111_111_256_096_816_351;
pub(super) const DAN: u64 = 111_111_256_096_816_352;
const UMA: u64 = 111_111_256_096_816_353;
const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/fitbit";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-in-all";
const SAID: &str = "Bearer n0t1fy";

/// A cloud with three people, an app and its adapter. The clock is some days after summer time has ended.
pub(super) struct Cloud {
    pub(super) clock: Arc<ManualClock>,
    pub(super) sim: Simulator,
    pub(super) adapter: Arc<GoogleHealth>,
    pub(super) app: App,
}

impl Cloud {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(ManualClock::new("2026-10-30T09:00:00Z".parse().unwrap()));
        let mut config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
        config.requests_per_minute = 100_000;
        config.notify_rounds = vec![Duration::ZERO, Duration::from_millis(20)];
        change(&mut config);
        let sim = Simulator::new(config, clock.clone(), client()).unwrap();
        let person = |id, name: &str, timezone: &str| Person {
            id,
            name: name.to_owned(),
            timezone: timezone.to_owned(),
            legacy_id: None,
            linked: true,
        };
        let carla = person(CARLA, "Carla", "Europe/Amsterdam");
        sim.add_person(Person { legacy_id: Some("A1B2C3".to_owned()), ..carla }).unwrap();
        sim.add_person(person(DAN, "Dan", "America/New_York")).unwrap();
        sim.add_person(Person { linked: false, ..person(UMA, "Uma", "Europe/Vienna") }).unwrap();
        let base = serve(sim.router()).await;
        let url = |path: &str| Url::parse(&format!("{base}{path}")).unwrap();
        let bases = [("api", ""), ("accounts", ""), ("oauth", ""), ("keyset", "/keyset.json")];
        let config = ProviderApp {
            name: "bands".parse().unwrap(),
            kind: "fitbit".into(),
            client_id: "client-1".into(),
            base_urls: bases.map(|(name, path)| (name.to_owned(), url(path))).into(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: [("project".to_owned(), "123456789012".to_owned())].into(),
        };
        let key = sim.service_account(&base).unwrap();
        let secrets = [("webhook", SAID.to_owned()), ("service-account", key)];
        let secrets = secrets.map(|(name, secret)| (name.to_owned(), SecretString::from(secret))).into();
        let adapter = Arc::new(GoogleHealth::with_clock(client(), clock.clone()));
        Self { clock, sim, adapter, app: App { config, secret: "s3cr3t".into(), secrets } }
    }

    /// Goes through the consent page as a browser would, and returns what it sends back with.
    async fn decide(&self, user: &str, untick: &[&str]) -> BTreeMap<String, String> {
        let url = self.adapter.authorize_url(&self.app, &redirect(), "xyz&=1", &VERIFIER.into()).unwrap();
        let page = client().get(url.clone()).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains("Carla"));
        let mut form: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        form.push(("user".into(), user.into()));
        let scope = |name: &&str| format!("https://www.googleapis.com/auth/googlehealth.{name}.readonly");
        form.extend(untick.iter().map(|name| ("untick".into(), scope(name))));
        let mut bare = url;
        bare.set_query(None);
        let reply = client().post(bare).form(&form).send().await.unwrap();
        assert_eq!(reply.status(), 303);
        let back = Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap();
        back.query_pairs().into_owned().collect()
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Result<Grant, ProviderError> {
        self.adapter.exchange_code(&self.app, &code.into(), &redirect(), &verifier.into()).await
    }

    async fn connect_without(&self, person: u64, untick: &[&str]) -> Result<Grant, ProviderError> {
        let back = self.decide(&person.to_string(), untick).await;
        assert_eq!(back["state"], "xyz&=1");
        self.exchange(&back["code"], VERIFIER).await
    }

    pub(super) async fn connect(&self, person: u64) -> Grant {
        self.connect_without(person, &[]).await.unwrap()
    }

    async fn page(
        &self,
        grant: &Grant,
        record: &str,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let record: Record = record.parse().unwrap();
        self.adapter.fetch(&self.app, &grant.access_token, &record, query, page).await
    }

    /// Every part of every page of a query.
    pub(super) async fn read(
        &self,
        grant: &Grant,
        record: &str,
        query: &Query,
    ) -> Result<Vec<Part>, ProviderError> {
        let (mut parts, mut token) = (Vec::new(), None);
        loop {
            let page = self.page(grant, record, query, token.as_ref()).await?;
            parts.extend(page.parts);
            token = page.next;
            if token.is_none() {
                return Ok(parts);
            }
        }
    }

    fn spec(&self, record: &str) -> RecordSpec {
        let mut config = self.app.config.clone();
        config.records = vec![record.parse().unwrap()];
        self.adapter.records(&config, &[]).remove(0)
    }

    /// Every part of the last days, cut into windows as the record wants it.
    async fn days(&self, grant: &Grant, record: &str, days: i64) -> Vec<Part> {
        let now = self.clock.now();
        let mut parts = Vec::new();
        for window in self.spec(record).windows(interval(now.as_second() - days * 86_400, now.as_second())) {
            parts.extend(self.read(grant, record, &Query::Window(window)).await.unwrap());
        }
        parts
    }

    fn last(&self, seconds: i64) -> Query {
        let now = self.clock.now().as_second();
        Query::Window(interval(now - seconds, now))
    }

    /// What arrives of a record once mapped, each reading once, as lines.
    async fn delivered(&self, grant: &Grant, record: &str, days: i64) -> BTreeSet<String> {
        let mut lines = BTreeSet::new();
        for part in self.days(grant, record, days).await {
            lines.extend(mapped(record, &part));
        }
        lines
    }

    /// The same as it should be.
    fn truth(&self, person: u64, record: &str) -> BTreeSet<String> {
        self.sim.readings(person, &[record]).unwrap().iter().map(line).collect()
    }
}

fn redirect() -> Url {
    Url::parse(REDIRECT).unwrap()
}

fn interval(from: i64, to: i64) -> Interval {
    Interval::new(Instant::from_second(from).unwrap(), Instant::from_second(to).unwrap()).unwrap()
}

/// The first second of a person's day.
fn today(cloud: &Cloud, person: u64) -> i64 {
    let zone = cloud.sim.persons().into_iter().find(|p| p.id == person).unwrap().timezone;
    cloud.clock.now().in_tz(&zone).unwrap().start_of_day().unwrap().timestamp().as_second()
}

fn line(reading: &Reading) -> String {
    format!("{} {} {} {:?}", reading.identity(), reading.code, reading.when, reading.values)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    identifier: Vec<BTreeMap<String, String>>,
    code: Concept,
    effective_period: Option<BTreeMap<String, String>>,
    effective_date_time: Option<String>,
    value_quantity: Option<Quantity>,
    #[serde(default)]
    component: Vec<Component>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    code: Concept,
    value_quantity: Option<Quantity>,
    value_codeable_concept: Option<Concept>,
}

#[derive(Deserialize)]
struct Concept {
    coding: Vec<Coding>,
}

#[derive(Deserialize)]
struct Coding {
    code: String,
}

#[derive(Deserialize)]
struct Quantity {
    value: Box<RawValue>,
    code: String,
}

/// A part's Observations as lines of the truth.
pub(super) fn mapped(record: &str, part: &Part) -> Vec<String> {
    let mapping = Mapping::parse(ohx_mapping::builtin("fitbit", record).unwrap()).unwrap();
    let (provider, subject) = ("bands".parse().unwrap(), "Patient/p1".parse().unwrap());
    let account = account_pseudonym(&provider, &Sensitive::new("x".to_owned()), &subject);
    let identifier_base = "https://ohx.example/ns".into();
    let context = Context { identifier_base, provider, account, subject, covers: part.covers };
    let mapped = mapping.map(part.text.reveal().get().as_bytes(), &context).unwrap();
    let observations = mapped.observations.iter().map(|o| {
        let said: Observation = serde_json::from_str(o.resource.get()).unwrap();
        let quantity = |q: &Quantity| format!("{} {}", q.value.get(), q.code);
        let mut values = BTreeMap::new();
        values.extend(said.value_quantity.iter().map(|own| ("value", quantity(own))));
        for Component { code, value_quantity, value_codeable_concept } in &said.component {
            let coded = value_codeable_concept.as_ref().map(|concept| concept.coding[0].code.clone());
            let value = value_quantity.as_ref().map(quantity).or(coded);
            values.insert(code.coding[0].code.as_str(), value.unwrap());
        }
        let when = said.effective_period.map(|p| format!("{}/{}", p["start"], p["end"]));
        let when = when.or(said.effective_date_time).unwrap();
        let identity = said.identifier[0]["value"].split_once('.').unwrap().1.to_owned();
        format!("{identity} {} {when} {values:?}", said.code.coding[0].code)
    });
    observations.collect()
}

#[tokio::test]
async fn a_patient_is_known_at_both_services_and_needs_a_profile() {
    let cloud = Cloud::new().await;
    let grant = cloud.connect(CARLA).await;
    assert_eq!(grant.former, Some(("fitbit-legacy", Account::new("A1B2C3".to_owned()))));
    assert_eq!(cloud.connect(DAN).await.former, None);
    let error = cloud.connect_without(UMA, &[]).await.unwrap_err();
    assert!(matches!(error, ProviderError::AccountNotLinked { .. }), "{error}");
}

#[tokio::test]
async fn while_the_consent_screen_is_in_testing_a_week_is_all() {
    let cloud = Cloud::with(|config| config.testing = true).await;
    let refresh = cloud.connect(CARLA).await.refresh_token.unwrap();
    cloud.clock.advance(Duration::from_secs(6 * 86_400));
    cloud.adapter.refresh(&cloud.app, &refresh).await.unwrap();
    cloud.clock.advance(Duration::from_secs(86_400));
    let error = cloud.adapter.refresh(&cloud.app, &refresh).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reauthorize);
}

#[tokio::test]
async fn what_was_not_granted_is_not_read() {
    let cloud = Cloud::new().await;
    cloud.sim.seed_daily(CARLA, 3).unwrap();
    let grant = cloud.connect_without(CARLA, &["sleep", "settings"]).await.unwrap();
    let read = cloud.adapter.records(&cloud.app.config, &grant.scopes);
    assert!(read.iter().all(|spec| spec.record.as_str() != "sleep") && read.len() == 22);
    let error = cloud.read(&grant, "sleep", &cloud.last(86_400)).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
    // Without the settings nothing is known of the zone, and the rest is read all the same.
    let parts = cloud.read(&grant, "weight", &cloud.last(3 * 86_400)).await.unwrap();
    assert!(parts[0].text.reveal().get().starts_with(r#"{"timeZone":null,"#));
    let error = cloud.adapter.devices(&cloud.app, &grant.access_token).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
}

#[tokio::test]
async fn every_reading_arrives_to_the_last_digit_over_pages_of_any_size() {
    for (largest_page, person) in [(10_000, CARLA), (40, DAN)] {
        let cloud = Cloud::with(|config| config.largest_page = largest_page).await;
        cloud.sim.seed_daily(person, 12).unwrap();
        cloud.sim.inject(Fault::EmptyPages { count: 3 });
        let grant = cloud.connect(person).await;
        for record in USUAL {
            let truth = cloud.truth(person, record);
            assert!(!truth.is_empty(), "{record}");
            let delivered = cloud.delivered(&grant, record, 13).await;
            let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| {
                a.difference(b).take(3).cloned().collect::<Vec<_>>()
            };
            assert_eq!((only(&truth, &delivered), only(&delivered, &truth)), (vec![], vec![]), "{record}");
        }
        // Those that are counted: each point once.
        let counts = cloud.sim.counts(person).unwrap();
        for (record, mark) in [
            ("sleep", "minutesInSleepPeriod"),
            ("exercise", "exerciseType"),
            ("blood-glucose", "specimen"),
            ("electrocardiogram", "waveformSamples"),
            ("daily-heart-rate-variability", "entropy"),
            ("daily-sleep-temperature-derivations", "baselineTemperatureCelsius"),
            ("active-minutes", "activeMinutesByActivityLevel"),
            ("heart-rate-variability", "standardDeviationMilliseconds"),
            ("oxygen-saturation", "percentage"),
        ] {
            let parts = cloud.days(&grant, record, 13).await;
            let held: usize = parts.iter().map(|p| p.text.reveal().get().matches(mark).count()).sum();
            // Of what totals are made of, a day that is not over is not read.
            let midnight = today(&cloud, person);
            let points = cloud.sim.points(person, record).unwrap();
            let begun = points.iter().filter(|p| p.content.merged && p.content.start >= midnight).count();
            let begun = if record == "active-minutes" { begun } else { 0 };
            assert_eq!(held, counts[record] - begun, "{record}");
        }
        assert_eq!(cloud.sim.stats().bad_requests, 0, "nothing was asked wrongly");
    }
}

#[tokio::test]
async fn hours_of_samples_are_whole_and_cover_the_window() {
    let cloud = Cloud::with(|config| config.largest_page = 50).await;
    cloud.sim.seed_daily(CARLA, 4).unwrap();
    let grant = cloud.connect(CARLA).await;
    let now = cloud.clock.now().as_second();
    let mut parts = cloud.days(&grant, "heart-rate", 3).await;
    let held: usize = parts.iter().map(|p| p.text.reveal().get().matches("beatsPerMinute").count()).sum();
    assert_eq!(held, 3 * 24 * 4);
    parts.sort_by_key(|part| part.covers.map(|covers| covers.start));
    let covers: Vec<Interval> = parts.iter().map(|part| part.covers.unwrap()).collect();
    assert_eq!(
        (covers[0].start.as_second(), covers[covers.len() - 1].end.as_second()),
        (now - 3 * 86_400, now)
    );
    assert!(covers.windows(2).all(|pair| pair[0].end == pair[1].start));
}

#[tokio::test]
async fn a_page_that_is_too_slow_is_asked_for_in_smaller_ones() {
    let cloud = Cloud::new().await;
    cloud.sim.seed_daily(CARLA, 3).unwrap();
    let grant = cloud.connect(CARLA).await;
    let weight = async || cloud.read(&grant, "weight", &cloud.last(3 * 86_400)).await;
    let whole = weight().await.unwrap()[0].text.reveal().get().to_owned();
    cloud.sim.inject(Fault::TruncateNextPage);
    assert_eq!(weight().await.unwrap_err().remedy(), Remedy::Retry { after: None });
    cloud.sim.inject(Fault::SlowPages { larger_than: 800 });
    assert_eq!(weight().await.unwrap()[0].text.reveal().get(), whole);
}

#[tokio::test]
async fn devices_are_listed() {
    let cloud = Cloud::new().await;
    let grant = cloud.connect(CARLA).await;
    let devices = cloud.adapter.devices(&cloud.app, &grant.access_token).await.unwrap();
    let told: Vec<_> =
        devices.iter().map(|d| (d.id.as_str(), d.model.as_deref(), d.battery_percent)).collect();
    assert_eq!(told, [("123", Some("Charge 6"), Some(84)), ("124", Some("Aria Air"), Some(31))]);
    assert!(devices.iter().all(|device| device.last_sync.is_some_and(|at| at < cloud.clock.now())));
}
