//! The adapter against the simulated cloud: every record arrives whole, once, and to the last digit.

mod series;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use ohx_domain::{Clock as _, Instant, Interval, LinkId, ProviderApp, Query, Record};
use ohx_providers::withings::Withings;
use ohx_providers::{
    App, Notification, Page, PageToken, Part, Provider as _, ProviderError, RecordSpec, Subscriber,
};
use ohx_sandbox::withings::{Figures, Simulator};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ANNA, World, pair, serve};

const ALL: &str = "user.info,user.metrics,user.activity";
const DAY: i64 = 86_400;

struct Linked {
    world: World,
    app: App,
    adapter: Withings,
    token: String,
}

impl Linked {
    async fn new(page_size: usize) -> Self {
        let world = World::with(|config| config.page_size = page_size).await;
        world.sim.seed_daily(ANNA, 12).unwrap();
        let code = world.code(ANNA, ALL).await;
        let token = pair(&world.exchange(&code).await).0;
        let config = ProviderApp {
            name: "withings".parse().unwrap(),
            kind: "withings".into(),
            client_id: "client-1".into(),
            base_urls: [("api".to_owned(), world.base.parse().unwrap())].into(),
            scopes: Vec::new(),
            records: ohx_providers::kind("withings")
                .unwrap()
                .records
                .iter()
                .map(|name| name.parse().unwrap())
                .collect(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        };
        let adapter = Withings::new(world.http.clone());
        Self { world, app: App { config, secret: "s3cr3t".into(), secrets: BTreeMap::new() }, adapter, token }
    }

    fn sim(&self) -> &Simulator {
        &self.world.sim
    }

    fn spec(&self, record: &str) -> RecordSpec {
        let specs = self.adapter.records(&self.app.config, &[]);
        specs.into_iter().find(|spec| spec.record.as_str() == record).unwrap()
    }

    async fn page(
        &self,
        record: &Record,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        self.adapter.fetch(&self.app, &self.token.as_str().into(), record, query, page).await
    }

    /// Every part of every page of a query.
    async fn read(&self, record: &str, query: Query) -> Vec<Part> {
        let record: Record = record.parse().unwrap();
        let (mut parts, mut token) = (Vec::new(), None);
        loop {
            let page = self.page(&record, &query, token.as_ref()).await.unwrap();
            parts.extend(page.parts);
            token = page.next;
            if token.is_none() {
                return parts;
            }
        }
    }

    /// Every part of a stretch of time, cut into windows as the record wants it.
    async fn stretch(&self, record: &str, from: i64, to: i64) -> Vec<Part> {
        let mut parts = Vec::new();
        for window in self.spec(record).windows(interval(from, to)) {
            parts.extend(self.read(record, Query::Window(window)).await);
        }
        parts
    }
}

fn interval(from: i64, to: i64) -> Interval {
    Interval::new(Instant::from_second(from).unwrap(), Instant::from_second(to).unwrap()).unwrap()
}

/// Values by name, each as it was written.
type Written = BTreeMap<String, String>;

fn written(figures: &Figures) -> Written {
    figures.iter().map(|(name, figure)| (name.clone(), figure.as_str().to_owned())).collect()
}

type Fields = BTreeMap<String, Box<RawValue>>;

fn fields(text: &RawValue) -> Fields {
    serde_json::from_str(text.get()).unwrap()
}

/// The records in parts, by their fields.
fn records(parts: &[Part], list: &str) -> Vec<Fields> {
    let mut all = Vec::new();
    for part in parts {
        let page = fields(part.text.reveal());
        assert_eq!(page["status"].get(), "0");
        let records: Vec<Box<RawValue>> = serde_json::from_str(fields(&page["body"])[list].get()).unwrap();
        all.extend(records.iter().map(|record| fields(record)));
    }
    all
}

/// What of a record stands in these fields, as written; the rest is taken out.
fn only(fields: &Fields, names: &Written) -> Written {
    let held = fields.iter().filter(|(name, _)| names.contains_key(*name));
    held.map(|(name, raw)| (name.clone(), raw.get().to_owned())).collect()
}

fn sorted<T: Ord>(all: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = all.into_iter().collect();
    all.sort();
    all
}

#[tokio::test]
async fn days_workouts_and_nights_arrive_whole() {
    for page_size in [2, 300] {
        let linked = Linked::new(page_size).await;
        let now = linked.world.now();
        let (from, until) = (now - 11 * DAY, now);

        let truth = linked.sim().days(ANNA).unwrap();
        let found = records(&linked.stretch("getactivity", from, until).await, "activities");
        assert_eq!(found.len(), truth.len());
        for day in &truth {
            let own = found.iter().filter(|row| {
                row["date"].get() == format!("\"{}\"", day.date)
                    && row["modelid"].get() == day.modelid.to_string()
            });
            let [row] = own.collect::<Vec<_>>()[..] else { panic!("{} not once", day.date) };
            assert_eq!(only(row, &written(&day.data)), written(&day.data));
            assert_eq!(row["timezone"].get(), format!("\"{}\"", day.timezone));
        }

        let found = records(&linked.stretch("getworkouts", from, until).await, "series");
        let told = found.iter().map(|row| (row["id"].get().to_owned(), data(&row["data"])));
        let truth = linked.sim().workouts(ANNA).unwrap();
        assert_eq!(sorted(told), sorted(truth.iter().map(|w| (w.id.to_string(), written(&w.data)))));

        let found = records(&linked.stretch("sleep-getsummary", from, until).await, "series");
        let told = found.iter().map(|row| (row["id"].get().to_owned(), data(&row["data"])));
        let truth = linked.sim().nights(ANNA).unwrap();
        assert_eq!(sorted(told), sorted(truth.iter().map(|n| (n.id.to_string(), written(&n.data)))));
    }
}

fn data(raw: &RawValue) -> Written {
    fields(raw).iter().map(|(name, raw)| (name.clone(), raw.get().to_owned())).collect()
}

#[tokio::test]
async fn a_window_holds_every_civil_day_it_touches() {
    let linked = Linked::new(300).await;
    let truth = linked.sim().days(ANNA).unwrap();
    for back in 1..9 {
        let at = linked.world.now() - back * DAY;
        let window = Query::Window(interval(at, at + 1));
        let dates = records(&linked.read("getactivity", window).await, "activities");
        for zone in ["Pacific/Kiritimati", "Europe/Vienna", "Etc/GMT+12"] {
            let zone = jiff::tz::TimeZone::get(zone).unwrap();
            let date = zone.to_datetime(Instant::from_second(at).unwrap()).date();
            let wanted = truth.iter().filter(|day| day.date == date).count();
            let found = dates.iter().filter(|row| row["date"].get() == format!("\"{date}\"")).count();
            assert_eq!(found, wanted, "{date}");
        }
    }
}

#[tokio::test]
async fn what_changed_is_found_by_any_clock() {
    let linked = Linked::new(2).await;
    linked.world.advance(3600);
    let since = linked.world.clock.now();
    linked.world.advance(60);
    let id = linked.sim().sleep_until_now(ANNA, 400).unwrap();
    let (day, workout) =
        (linked.sim().days(ANNA).unwrap()[2].clone(), linked.sim().workouts(ANNA).unwrap()[1].clone());
    linked.sim().add_days(ANNA, vec![day.clone()]).unwrap();
    linked.sim().add_workouts(ANNA, vec![workout.clone()]).unwrap();
    let since = Query::Since { since };
    let nights = records(&linked.read("sleep-getsummary", since).await, "series");
    assert_eq!(nights.iter().map(|n| n["id"].get().to_owned()).collect::<Vec<_>>(), [id.to_string()]);
    let workouts = records(&linked.read("getworkouts", since).await, "series");
    assert_eq!(
        workouts.iter().map(|w| w["id"].get().to_owned()).collect::<Vec<_>>(),
        [workout.id.to_string()]
    );
    let days = records(&linked.read("getactivity", since).await, "activities");
    assert_eq!(
        days.iter().map(|d| d["date"].get().to_owned()).collect::<Vec<_>>(),
        [format!("\"{}\"", day.date)]
    );
}

#[tokio::test]
async fn ecgs_arrive_with_their_signals() {
    let linked = Linked::new(2).await;
    let now = linked.world.now();
    let truth = linked.sim().ecgs(ANNA).unwrap();
    let listed = records(&linked.stretch("heart-list", now - 13 * DAY, now).await, "series");
    assert_eq!(listed.len(), truth.len());
    let before = linked.sim().stats().calls;
    let parts = linked.stretch("heart-get", now - 13 * DAY, now).await;
    let after = linked.sim().stats().calls;
    let mut told = Vec::new();
    for part in &parts {
        let ecg = fields(part.text.reveal());
        let (list, get) = (fields(&ecg["list"]), fields(&ecg["get"]));
        let signal: Vec<i32> = serde_json::from_str(get["signal"].get()).unwrap();
        told.push((fields(&list["ecg"])["signalid"].get().to_owned(), signal));
    }
    let wanted =
        truth.iter().filter(|e| !e.signal.is_empty()).map(|e| (e.signalid.to_string(), e.signal.clone()));
    let wanted = sorted(wanted);
    assert_eq!(sorted(told), wanted);
    let gets = after["heart/get"] - before.get("heart/get").copied().unwrap_or_default();
    assert_eq!(gets, u64::try_from(wanted.len()).unwrap(), "each once");
}

#[tokio::test]
async fn a_basic_plan_still_tells_what_it_includes() {
    let linked = Linked::new(300).await;
    linked.sim().entitle(ANNA, false).unwrap();
    let now = linked.world.now();
    for spec in linked.adapter.records(&linked.app.config, &[]) {
        let parts = linked.stretch(spec.record.as_str(), now - 13 * DAY, now).await;
        assert_eq!(parts.is_empty(), spec.record.as_str() == "getmeas", "{}", spec.record);
        let text: String = parts.iter().map(|part| part.text.reveal().get()).collect();
        for premium in ["rmssd", "sdnn", "hrv_quality", "sleep_score", "\"signal\""] {
            assert!(!text.contains(premium), "{premium} of {}", spec.record);
        }
    }
}

#[tokio::test]
async fn what_was_not_granted_is_said_so_and_nothing_else_stops() {
    let mut linked = Linked::new(300).await;
    let code = linked.world.code(ANNA, "user.metrics").await;
    linked.token = pair(&linked.world.exchange(&code).await).0;
    let now = linked.world.now();
    let window = Query::Window(interval(now - DAY, now));
    for spec in linked.adapter.records(&linked.app.config, &[]) {
        let read = linked.page(&spec.record, &window, None).await;
        match spec.scope {
            "user.metrics" => assert!(read.is_ok(), "{}", spec.record),
            _ => {
                let error = read.unwrap_err();
                assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
                assert!(error.to_string().contains("277"), "{error}");
            }
        }
    }
}

/// What happens is notified, and the notification leads to it.
#[tokio::test]
async fn news_lead_to_what_is_new() {
    let linked = Linked::new(300).await;
    let came: Arc<Mutex<Vec<String>>> = Arc::default();
    let hook = any({
        let came = Arc::clone(&came);
        async move |body: String| {
            came.lock().unwrap().extend((!body.is_empty()).then_some(body));
            StatusCode::OK
        }
    });
    let callback = format!("{}/hook", serve(Router::new().route("/hook", hook)).await).parse().unwrap();
    let token = linked.token.as_str().into();
    let subscriber = Subscriber {
        link: LinkId::new(),
        address: &callback,
        app_address: &callback,
        now: "2026-11-20T08:00:00Z".parse().unwrap(),
    };
    let made = linked.adapter.subscribe(&linked.app, &[], &token, subscriber).await.unwrap();
    assert_eq!((made.made, made.refused), (9, 0));
    let again = linked.adapter.subscribe(&linked.app, &[], &token, subscriber).await.unwrap();
    assert_eq!((again.kept, again.made), (9, 0));

    linked.world.advance(3600);
    let now = linked.world.now();
    linked.sim().sleep_until_now(ANNA, 400).unwrap();
    linked.sim().ecg_now(ANNA).unwrap();
    let day = linked.sim().days(ANNA).unwrap().last().unwrap().clone();
    linked.sim().add_days(ANNA, vec![day]).unwrap();
    let sample =
        linked.sim().intraday(ANNA).unwrap().into_iter().find(|s| s.data.contains_key("rmssd")).unwrap();
    linked.sim().add_samples(ANNA, vec![sample.clone()]).unwrap();
    linked.sim().idle().await;
    let mut read: BTreeMap<String, Vec<Interval>> = BTreeMap::new();
    for body in came.lock().unwrap().iter() {
        for notified in linked.adapter.notification("", body.as_bytes(), linked.world.clock.now()).unwrap() {
            let Notification::Changed { records, window } = notified.what else { panic!("{body}") };
            for record in records {
                read.entry(record.to_string()).or_default().push(window);
            }
        }
    }
    let looked_at = |record: &str, at: i64| {
        read[record].iter().any(|window| window.contains(Instant::from_second(at).unwrap()))
    };
    assert!(looked_at("sleep-getsummary", now - 60) && looked_at("sleep-get", now - 399 * 60));
    assert!(looked_at("heart-list", now) && looked_at("heart-get", now));
    assert!(looked_at("getactivity", now - 60) && looked_at("getworkouts", now - 60));
    assert!(looked_at("getintradayactivity", sample.at));
    assert!(!read.contains_key("getmeas"));
}
