//! A provider as the promises see it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use ohx_domain::{Clock, Instant, Interval, ManualClock, Query, Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapping};
use ohx_providers::{App, Grant, Page, PageToken, Provider, ProviderError, RecordSpec, Remedy};
use ohx_sandbox::Reading;
use ohx_sandbox::compare::{Row, compare_texts, compare_texts_by_time};
use secrecy::SecretString;
use serde_json::value::RawValue;
use url::Url;

use crate::front::Front;

pub(crate) const CLIENT: (&str, &str) = ("client-1", "s3cr3t");
pub(crate) const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/home";
pub(crate) const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-in-all";
pub(crate) const STATE: &str = "xyz&=1";
pub(crate) const DAY: i64 = 86_400;

/// What is said of a provider.
pub(crate) struct About {
    /// The adapter's type.
    pub(crate) kind: &'static str,
    /// The record that is read: single measurements with ids of their own, in pages.
    pub(crate) record: &'static str,
    /// The one person's id.
    pub(crate) person: &'static str,
    /// How long an access token lasts.
    pub(crate) lasts: Duration,
    /// What a person grants who unticks nothing, in any order; nothing where the provider does not say.
    pub(crate) scopes: &'static [&'static str],
    /// What helps after [`Cloud::too_many`] at nine o'clock.
    pub(crate) too_many: Remedy,
    /// Records that [`Cloud::break_one`] breaks, and how many of them are in the place of good ones.
    pub(crate) broken: (u64, usize),
    /// Whether records stand in the parts byte for byte; else in the words that all ways in have in common, digit for digit.
    pub(crate) verbatim: bool,
    /// Promises that are not given, each with the reason.
    pub(crate) not_applicable: &'static [(&'static str, &'static str)],
}

impl About {
    pub(crate) fn promises(&self, promise: &str) -> bool {
        self.not_applicable.iter().all(|(other, _)| *other != promise)
    }
}

/// What a simulator is made with.
pub(crate) struct Shape {
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) http: reqwest::Client,
    /// Records on one page.
    pub(crate) page_size: usize,
    /// Calls in the provider's own time before it refuses.
    pub(crate) quota: usize,
}

/// A provider's simulator, and how things happen there. It knows one client, [`CLIENT`] with [`REDIRECT`], and one
/// person, [`About::person`].
pub(crate) trait Cloud: Sized {
    const ABOUT: About;

    fn new(shape: Shape) -> Self;

    fn router(&self) -> Router;

    fn adapter(http: reqwest::Client, clock: Arc<dyn Clock>) -> Arc<dyn Provider>;

    /// An app named `home` that asks for the adapter's usual records; `base` is where the simulator is.
    fn app(base: &str) -> App;

    /// A device has just uploaded a reading of this second; each `nth` says something else.
    fn add(&self, at: i64, nth: i64);

    /// What a correct consumer of the record delivers.
    fn truth(&self) -> Vec<Reading>;

    /// The next calls for data are refused as too many.
    fn too_many(&self, calls: u32);

    /// Something is malformed in the next page with records.
    fn break_one(&self);

    /// The person ends the connection at the provider.
    fn leave(&self);

    /// Ends the service in the nth way, and says whether there is one.
    fn retire(&self, _nth: usize) -> bool {
        false
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own client")]
pub(crate) fn client(timeout: Duration) -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    // A kept connection would belong to the runtime of another test.
    builder.pool_max_idle_per_host(0).timeout(timeout).build().unwrap()
}

/// One for all tests: making one reads the machine's certificates.
static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| client(Duration::from_secs(30)));

/// A cloud that is served, and an app of it.
pub(crate) struct World<C> {
    pub(crate) cloud: C,
    pub(crate) front: Front,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) app: App,
    pub(crate) adapter: Arc<dyn Provider>,
    /// The built-in one of the record.
    pub(crate) mapping: Mapping,
}

/// What came of reading.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) pages: Vec<Page>,
    /// Observations, as JSON.
    pub(crate) observations: Vec<String>,
    /// What was left out, by reason.
    pub(crate) skipped: BTreeMap<String, u64>,
}

impl Read {
    /// What these pages make.
    pub(crate) fn of(mapping: &Mapping, pages: Vec<Page>) -> Self {
        let mut read = Self::default();
        pages.into_iter().for_each(|page| read.take(mapping, page));
        read
    }

    fn take(&mut self, mapping: &Mapping, page: Page) {
        for part in &page.parts {
            let (provider, subject) = ("home".parse().unwrap(), "Patient/p1".parse().unwrap());
            let account = account_pseudonym(&provider, &Sensitive::new("x".to_owned()), &subject);
            let identifier_base = "https://ohx.example/ns".into();
            let context = Context { identifier_base, provider, account, subject, covers: part.covers };
            let mapped = mapping.map(part.text.reveal().get().as_bytes(), &context).unwrap();
            self.observations.extend(mapped.observations.iter().map(|o| o.resource.get().to_owned()));
            for (reason, count) in mapped.skipped {
                *self.skipped.entry(reason).or_insert(0) += count;
            }
        }
        self.pages.push(page);
    }

    /// Every record of every part, as it stands there: the entries of the part's only list.
    pub(crate) fn records(&self) -> Vec<String> {
        fn list(text: &str) -> Vec<Box<RawValue>> {
            if text.starts_with('[') {
                return serde_json::from_str(text).unwrap();
            }
            let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
            let inner = members.values().map(|member| member.get());
            inner.filter(|text| text.starts_with(['[', '{'])).flat_map(list).collect()
        }
        let parts = self.pages.iter().flat_map(|page| &page.parts);
        parts.flat_map(|part| list(part.text.reveal().get())).map(|record| record.get().to_owned()).collect()
    }

    /// What of these arrived, and how.
    pub(crate) fn held(&self, readings: &[Reading]) -> Row {
        let texts = self.observations.iter().map(String::as_str);
        // Where a reading's identity is made of what it says, the cloud does not know it.
        let by_time = readings.iter().any(|reading| reading.id.is_empty());
        let rows =
            if by_time { compare_texts_by_time(readings, texts) } else { compare_texts(readings, texts) };
        rows.unwrap().into_values().sum()
    }

    /// Exactly these arrived, once each, with every digit.
    #[track_caller]
    pub(crate) fn is(&self, readings: &[Reading]) {
        assert!(!readings.is_empty());
        let row = self.held(readings);
        assert!(row.agrees(), "{row:?}");
    }
}

impl<C: Cloud> World<C> {
    pub(crate) async fn new() -> Self {
        Self::with(5, 100_000).await
    }

    /// It is nine o'clock in the morning, some days after summer time has ended in Europe.
    pub(crate) async fn with(page_size: usize, quota: usize) -> Self {
        let clock = Arc::new(ManualClock::new("2026-10-30T09:00:00Z".parse().unwrap()));
        let http = HTTP.clone();
        let cloud = C::new(Shape { clock: Arc::clone(&clock), http: http.clone(), page_size, quota });
        let front = Front::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(ohx_sandbox::serve(listener, front.before(cloud.router()), std::future::pending()));
        let adapter = C::adapter(http, Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(adapter.kind(), C::ABOUT.kind);
        let mapping = ohx_mapping::builtin(ohx_providers::mapped_as(C::ABOUT.kind), C::ABOUT.record).unwrap();
        let mapping = Mapping::parse(mapping).unwrap();
        Self { cloud, front, clock, app: C::app(&base), adapter, mapping }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.advance(Duration::from_secs(seconds.unsigned_abs()));
    }

    /// `count` readings of the last three days.
    pub(crate) fn seed(&self, count: i64) {
        for nth in 0..count {
            self.cloud.add(self.now() - 600 - nth * (3 * DAY / count), nth);
        }
    }

    pub(crate) fn authorize_url(&self) -> Url {
        self.adapter.authorize_url(&self.app, &redirect(), STATE, &VERIFIER.into()).unwrap()
    }

    /// Goes through the consent page as a browser would, and returns what it sends back with.
    pub(crate) async fn decide(&self, user: &str) -> BTreeMap<String, String> {
        let url = self.authorize_url();
        assert_eq!(HTTP.get(url.clone()).send().await.unwrap().status(), 200);
        let mut form: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        form.push(("user".into(), user.into()));
        let mut bare = url;
        bare.set_query(None);
        let reply = HTTP.post(bare).form(&form).send().await.unwrap();
        assert_eq!(reply.status(), 303);
        let back = Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap();
        assert!(back.as_str().starts_with(REDIRECT));
        back.query_pairs().into_owned().collect()
    }

    pub(crate) async fn code(&self) -> String {
        self.decide(C::ABOUT.person).await["code"].clone()
    }

    pub(crate) async fn exchange(&self, code: &str, verifier: &str) -> Result<Grant, ProviderError> {
        self.adapter.exchange_code(&self.app, &code.into(), &redirect(), &verifier.into()).await
    }

    pub(crate) async fn connect(&self) -> Grant {
        self.exchange(&self.code().await, VERIFIER).await.unwrap()
    }

    pub(crate) async fn refresh(&self, token: &SecretString) -> Result<Grant, ProviderError> {
        self.adapter.refresh_at(&self.app, token, &redirect()).await
    }

    pub(crate) fn spec(&self) -> RecordSpec {
        let specs = self.adapter.records(&self.app.config, &[]);
        specs.into_iter().find(|spec| spec.record.as_str() == C::ABOUT.record).unwrap()
    }

    pub(crate) async fn page(
        &self,
        grant: &Grant,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        let record = C::ABOUT.record.parse().unwrap();
        self.adapter.fetch(&self.app, &grant.access_token, &record, query, page).await
    }

    /// Every page of a query.
    pub(crate) async fn read(&self, grant: &Grant, query: &Query) -> Result<Read, ProviderError> {
        let (mut read, mut token) = (Read::default(), None);
        loop {
            let page = self.page(grant, query, token.as_ref()).await?;
            token = page.next.clone();
            read.take(&self.mapping, page);
            if token.is_none() {
                return Ok(read);
            }
        }
    }

    /// The last four days, which one window of every record holds.
    pub(crate) fn lately(&self) -> Query {
        Query::Window(interval(self.now() - 4 * DAY, self.now()))
    }

    /// The last four days, read at once.
    pub(crate) async fn recent(&self, grant: &Grant) -> Result<Read, ProviderError> {
        self.read(grant, &self.lately()).await
    }

    /// The first run of a link: the last 40 days in windows. Also the cursor that it leaves.
    pub(crate) async fn first(&self, grant: &Grant) -> (Read, Instant) {
        let (mut all, mut cursor, began) = (Read::default(), None, self.clock.now());
        for window in self.spec().windows(interval(self.now() - 40 * DAY, self.now())) {
            for page in self.read(grant, &Query::Window(window)).await.unwrap().pages {
                cursor = cursor.or(Some(page.as_of.unwrap_or(began)));
                all.take(&self.mapping, page);
            }
        }
        (all, cursor.unwrap())
    }

    /// A later run: what changed since the cursor less the overlap, or the overlap before now.
    pub(crate) async fn again(&self, grant: &Grant, cursor: Instant) -> Read {
        let (spec, now) = (self.spec(), self.clock.now());
        if spec.changes {
            return self.read(grant, &Query::Since { since: cursor - spec.overlap }).await.unwrap();
        }
        let mut all = Read::default();
        for window in spec.windows(Interval::new(now - spec.overlap, now).unwrap()) {
            for page in self.read(grant, &Query::Window(window)).await.unwrap().pages {
                all.take(&self.mapping, page);
            }
        }
        all
    }
}

pub(crate) fn redirect() -> Url {
    REDIRECT.parse().unwrap()
}

pub(crate) fn interval(from: i64, to: i64) -> Interval {
    Interval::new(Instant::from_second(from).unwrap(), Instant::from_second(to).unwrap()).unwrap()
}

/// Whether an error is only a matter of time.
pub(crate) fn passes(error: &ProviderError) -> bool {
    matches!(error.remedy(), Remedy::Retry { .. } | Remedy::SlowDown { .. } | Remedy::Spent { .. })
}

/// How long an error says to wait.
pub(crate) fn wait(error: &ProviderError) -> Option<Duration> {
    match error.remedy() {
        Remedy::SlowDown { after } | Remedy::Spent { after } | Remedy::Retry { after: Some(after) } => {
            Some(after)
        }
        _ => None,
    }
}
