//! The adapter against the simulated legacy Fitbit Web API: every record arrives whole, once, and to the last digit; and
//! its end is told as the end.

mod control;
mod faults;
mod news;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{
    Clock as _, Instant, Interval, ManualClock, ProviderApp, Query, Record, Sensitive, account_pseudonym,
};
use ohx_mapping::{Context, Mapping};
use ohx_providers::fitbit_legacy::FitbitLegacy;
use ohx_providers::{App, Grant, Page, PageToken, Part, Provider as _, ProviderError, RecordSpec, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::fitbit_legacy::{ALL, Config, Fault, Person, Retired, Simulator, USUAL};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::{client, serve};

const GINA: &str = "GGNJL9";
const HUGO: &str = "184X36";
const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/bands";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-in-all";
const DAY: i64 = 86_400;

/// A cloud with two people, an app and its adapter. The clock is some days after summer time has ended in Europe, and some
/// before it does in America.
struct Cloud {
    clock: Arc<ManualClock>,
    sim: Simulator,
    adapter: Arc<FitbitLegacy>,
    app: App,
}

impl Cloud {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let clock = Arc::new(ManualClock::new("2026-10-30T09:00:00Z".parse().unwrap()));
        let mut config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
        config.requests_per_hour = 100_000;
        change(&mut config);
        let sim = Simulator::new(config, clock.clone(), client());
        for (id, name, timezone) in [(GINA, "Gina", "Europe/Amsterdam"), (HUGO, "Hugo", "America/St_Johns")] {
            let (id, name, timezone) = (id.to_owned(), name.to_owned(), timezone.to_owned());
            sim.add_person(Person { id, name, timezone }).unwrap();
        }
        let base: Url = serve(sim.router()).await.parse().unwrap();
        let config = ProviderApp {
            name: "bands".parse().unwrap(),
            kind: "fitbit-legacy".into(),
            client_id: "client-1".into(),
            base_urls: ["consent", "api"].map(|name| (name.to_owned(), base.clone())).into(),
            scopes: Vec::new(),
            records: ALL.iter().map(|record| record.parse().unwrap()).collect(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: [("accept-retired-service", "yes"), ("subscriber", "7")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        let secrets = [("webhook".to_owned(), SecretString::from("c0de"))].into();
        let adapter = Arc::new(FitbitLegacy::new(client()).with_clock(clock.clone()));
        Self { clock, sim, adapter, app: App { config, secret: "s3cr3t".into(), secrets } }
    }

    /// Goes through the consent page as a browser would, and returns what it sends back with.
    async fn decide(&self, user: &str, without: &str) -> BTreeMap<String, String> {
        let url = self.adapter.authorize_url(&self.app, &redirect(), "xyz&=1", &VERIFIER.into()).unwrap();
        let page = client().get(url.clone()).send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.text().await.unwrap().contains("Gina"));
        let mut form: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        form.extend([("user".into(), user.into()), ("without".into(), without.into())]);
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

    async fn connect_without(&self, person: &str, without: &str) -> Grant {
        let back = self.decide(person, without).await;
        assert_eq!(back["state"], "xyz&=1");
        self.exchange(&back["code"], VERIFIER).await.unwrap()
    }

    async fn connect(&self, person: &str) -> Grant {
        self.connect_without(person, "").await
    }

    async fn refresh(&self, grant: &Grant) -> Result<Grant, ProviderError> {
        self.adapter.refresh(&self.app, grant.refresh_token.as_ref().unwrap()).await
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
    async fn read(&self, grant: &Grant, record: &str, query: &Query) -> Result<Vec<Part>, ProviderError> {
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
        let specs = self.adapter.records(&self.app.config, &[]);
        specs.into_iter().find(|spec| spec.record.as_str() == record).unwrap()
    }

    fn last(&self, seconds: i64) -> Query {
        let now = self.clock.now().as_second();
        Query::Window(interval(now - seconds, now))
    }

    /// What arrives of a record in the last days once mapped, each reading once, as lines.
    async fn delivered(&self, grant: &Grant, record: &str, days: i64) -> BTreeSet<String> {
        let now = self.clock.now().as_second();
        let mut lines = BTreeSet::new();
        for window in self.spec(record).windows(interval(now - days * DAY, now)) {
            for part in self.read(grant, record, &Query::Window(window)).await.unwrap() {
                lines.extend(mapped(record, &part));
            }
        }
        lines
    }

    /// The same as it should be.
    fn truth(&self, person: &str, record: &str) -> BTreeSet<String> {
        self.sim.readings(person, &[record]).unwrap().iter().map(line).collect()
    }

    fn calls(&self) -> BTreeMap<String, u64> {
        self.sim.stats().calls
    }
}

fn redirect() -> Url {
    Url::parse(REDIRECT).unwrap()
}

fn interval(from: i64, to: i64) -> Interval {
    Interval::new(Instant::from_second(from).unwrap(), Instant::from_second(to).unwrap()).unwrap()
}

fn line(reading: &Reading) -> String {
    format!("{} {} {} {:?}", reading.identity(), reading.code, reading.when, reading.values)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    identifier: Vec<BTreeMap<String, String>>,
    effective_period: Option<BTreeMap<String, String>>,
    effective_date_time: Option<String>,
    #[serde(default)]
    component: Vec<Valued>,
    #[serde(flatten)]
    own: Valued,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Valued {
    code: Concept,
    value_quantity: Option<Quantity>,
    value_codeable_concept: Option<Concept>,
    value_sampled_data: Option<Sampled>,
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
    value: Option<serde_json::Value>,
    code: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sampled {
    origin: Quantity,
    interval: Option<serde_json::Value>,
    interval_unit: String,
    offsets: Option<String>,
    data: String,
}

/// The digits of every value, in the order of the text: what is flattened loses them.
fn digits(text: &str) -> Vec<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Whole {
        value_quantity: Option<Written>,
        #[serde(default)]
        component: Vec<Part>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part {
        value_quantity: Option<Written>,
    }
    #[derive(Deserialize)]
    struct Written {
        value: Box<RawValue>,
    }
    let whole: Whole = serde_json::from_str(text).unwrap();
    let parts = whole.component.into_iter().filter_map(|part| part.value_quantity);
    let all = whole.value_quantity.into_iter().chain(parts);
    all.map(|written| written.value.get().to_owned()).collect()
}

/// A part's Observations as lines of the truth.
fn mapped(record: &str, part: &Part) -> Vec<String> {
    let mapping = Mapping::parse(ohx_mapping::builtin("fitbit-legacy", record).unwrap()).unwrap();
    let (provider, subject) = ("bands".parse().unwrap(), "Patient/p1".parse().unwrap());
    let account = account_pseudonym(&provider, &Sensitive::new("x".to_owned()), &subject);
    let identifier_base = "https://ohx.example/ns".into();
    let context = Context { identifier_base, provider, account, subject, covers: part.covers };
    let mapped = mapping.map(part.text.reveal().get().as_bytes(), &context).unwrap();
    let observations = mapped.observations.iter().map(|observation| {
        let text = observation.resource.get();
        let mut digits = digits(text).into_iter();
        let said: Observation = serde_json::from_str(text).unwrap();
        let mut value = |valued: &Valued| {
            if let Some(quantity) = &valued.value_quantity {
                assert!(quantity.value.is_some());
                return Some(format!("{} {}", digits.next().unwrap(), quantity.code));
            }
            if let Some(concept) = &valued.value_codeable_concept {
                return Some(concept.coding[0].code.clone());
            }
            let sampled = valued.value_sampled_data.as_ref()?;
            let Sampled { origin, interval, interval_unit, offsets, data } = sampled;
            let time = match offsets {
                Some(offsets) => format!("at {offsets}"),
                None => format!("every {}", interval.as_ref().unwrap()),
            };
            Some(format!("{data} {} {time} {interval_unit}", origin.code))
        };
        let mut values = BTreeMap::new();
        values.extend(value(&said.own).map(|own| ("value", own)));
        for component in &said.component {
            values.insert(component.code.coding[0].code.as_str(), value(component).unwrap());
        }
        let when = said.effective_period.map(|p| format!("{}/{}", p["start"], p["end"]));
        let when = when.or(said.effective_date_time).unwrap();
        let identity = said.identifier[0]["value"].split_once('.').unwrap().1.to_owned();
        format!("{identity} {} {when} {values:?}", said.own.code.coding[0].code)
    });
    observations.collect()
}

#[tokio::test]
async fn every_reading_arrives_to_the_last_digit_over_pages_of_any_size() {
    for (page_size, person, days) in [(100, GINA, 40), (3, GINA, 12), (100, HUGO, 12)] {
        let cloud = Cloud::with(|config| config.page_size = page_size).await;
        cloud.sim.seed(person, u32::try_from(days).unwrap()).unwrap();
        let grant = cloud.connect(person).await;
        for record in ALL {
            let truth = cloud.truth(person, record);
            assert!(!truth.is_empty(), "{record}");
            let found = cloud.delivered(&grant, record, days - 1).await;
            let differ: Vec<&str> =
                found.symmetric_difference(&truth).map(|l| l.get(..150).unwrap_or(l)).collect();
            assert_eq!(differ, [] as [&str; 0], "{record}");
        }
        assert_eq!(cloud.calls()["profile"], 1, "the zone is asked for once");
        let refused: Vec<_> = cloud.calls().into_keys().filter(|kind| kind == "other").collect();
        assert_eq!(refused, [] as [String; 0]);
        assert_eq!(cloud.sim.stats().languages, 0, "metric is what is sent where no language is asked for");
    }
}

#[tokio::test]
async fn records_stand_in_parts_as_they_were_sent() {
    let cloud = Cloud::new().await;
    cloud.sim.seed(GINA, 9).unwrap();
    let grant = cloud.connect(GINA).await;
    let weight = cloud.sim.entries(GINA, "weight").unwrap().pop().unwrap();
    let parts = cloud.read(&grant, "weight", &cloud.last(3 * DAY)).await.unwrap();
    let text: String = parts.iter().map(|part| part.text.reveal().get()).collect();
    assert!(
        text.starts_with(
            r#"{"timezone":"Europe/Amsterdam","offsetFromUTCMillis":3600000,"body":{"weight":["#
        )
    );
    assert!(text.contains(&format!(r#""weight":{},"#, weight.figures["weight"].as_str())), "{text}");
    let day = cloud.read(&grant, "heart-intraday", &cloud.last(2 * DAY)).await.unwrap();
    let covers: Vec<Interval> = day.iter().map(|part| part.covers.unwrap()).collect();
    // The 28th and 29th, whole; the 30th is not over.
    assert_eq!(covers.len(), 2);
    assert_eq!(covers[0].start.to_string(), "2026-10-27T23:00:00Z");
    assert_eq!((covers[0].end, covers[1].end.to_string()), (covers[1].start, "2026-10-29T23:00:00Z".into()));
    assert!(day[0].text.reveal().get().contains(r#""date":"2026-10-28","body":{"activities-heart""#));
    // One waveform a part.
    let ecgs = cloud.read(&grant, "ecg", &cloud.last(8 * DAY)).await.unwrap();
    assert_eq!(ecgs.len(), cloud.sim.entries(GINA, "ecg").unwrap().len());
}

#[tokio::test]
async fn there_are_no_changes_to_ask_for() {
    let cloud = Cloud::new().await;
    let grant = cloud.connect(GINA).await;
    for record in USUAL {
        assert_eq!(cloud.spec(record).overlap, Duration::from_secs(7 * 86_400), "{record}");
        assert!(!cloud.spec(record).changes);
    }
    let error =
        cloud.page(&grant, "sleep", &Query::Since { since: cloud.clock.now() }, None).await.unwrap_err();
    assert!(matches!(error, ProviderError::Configuration { .. }), "{error}");
}

#[tokio::test]
async fn what_was_not_granted_is_not_read() {
    let cloud = Cloud::new().await;
    cloud.sim.seed(GINA, 4).unwrap();
    let grant = cloud.connect_without(GINA, "sleep settings profile").await;
    let specs = cloud.adapter.records(&cloud.app.config, &grant.scopes);
    assert!(specs.iter().all(|spec| spec.record.as_str() != "sleep") && specs.len() == 13);
    let error = cloud.read(&grant, "sleep", &cloud.last(DAY)).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
    // Without the profile nothing is known of the zone: days are read by their date.
    let days: Vec<String> = cloud
        .read(&grant, "hrv", &cloud.last(3 * DAY))
        .await
        .unwrap()
        .iter()
        .flat_map(|p| mapped("hrv", p))
        .collect();
    assert!(days.iter().any(|line| line.contains("hrv-rmssd 2026-10-29 ")), "{days:?}");
    let error = cloud.adapter.devices(&cloud.app, &grant.access_token).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
}

#[tokio::test]
async fn devices_spoke_at_an_instant() {
    let cloud = Cloud::new().await;
    let grant = cloud.connect(HUGO).await;
    let devices = cloud.adapter.devices(&cloud.app, &grant.access_token).await.unwrap();
    let [band, scale] = &devices[..] else { panic!("{devices:?}") };
    assert_eq!((band.id.as_str(), band.kind.as_deref()), ("816713257", Some("TRACKER")));
    assert_eq!((band.model.as_deref(), band.battery_percent), (Some("Charge 6"), Some(84)));
    assert_eq!(scale.model.as_deref(), Some("Aria Air"));
    assert_eq!(band.last_sync, Some(cloud.clock.now()));
}
