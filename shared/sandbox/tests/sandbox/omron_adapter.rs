//! The OMRON adapter against the simulated cloud: consent, tokens, errors and notifications.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::any;
use ohx_domain::{Clock, Instant, Interval, LinkId, ManualClock, ProviderApp, Query};
use ohx_providers::omron::Omron;
use ohx_providers::{
    App, Grant, Notification, Page, PageToken, Part, Provider as _, ProviderError, Received, Remedy,
    Subscriber, WebhookRequest,
};
use ohx_sandbox::omron::{ALL, Config, Fault, Manner, NewRow, Person, Rotation, Simulator};
use secrecy::SecretString;
use url::Url;

use super::omron_readings::mapped;
use super::{client, clock, serve};

pub(super) const CARLA: &str = "7d1b0a6e-0000-4000-8000-00000000beef";
pub(super) const DAN: &str = "0c2f0a6e-0000-4000-8000-00000000cafe";
pub(super) const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/cuffs";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
pub(super) const DAY: i64 = 86_400;

/// A cloud with two persons, and an app of it.
pub(super) struct Cloud {
    pub(super) clock: Arc<ManualClock>,
    pub(super) sim: Simulator,
    pub(super) http: reqwest::Client,
    pub(super) base: String,
    pub(super) app: App,
    pub(super) adapter: Omron,
}

impl Cloud {
    pub(super) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let (clock, http) = (clock(), client());
        let mut config = Config::new("client-1", "s3cr3t", &[REDIRECT]);
        config.requests_per_minute = 100_000;
        change(&mut config);
        let sim = Simulator::new(config, Arc::clone(&clock) as Arc<dyn Clock>, http.clone());
        for (id, name, timezone) in [(CARLA, "Carla <C>", "Europe/Vienna"), (DAN, "Dan", "America/St_Johns")]
        {
            let [id, name, timezone] = [id, name, timezone].map(str::to_owned);
            sim.add_person(Person { id, name, timezone }).unwrap();
        }
        let base = serve(sim.router()).await;
        let url = |path: &str| Url::parse(&format!("{base}{path}")).unwrap();
        let config = ProviderApp {
            name: "cuffs".parse().unwrap(),
            kind: "omron".into(),
            client_id: "client-1".into(),
            base_urls: [("authorize".to_owned(), url("")), ("api".to_owned(), url("/stg"))].into(),
            scopes: Vec::new(),
            records: ALL.iter().map(|name| name.parse().unwrap()).collect(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: BTreeMap::new(),
        };
        let app = App { config, secret: "s3cr3t".into(), secrets: BTreeMap::new() };
        let adapter = Omron::new(http.clone()).with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, sim, http, base, app, adapter }
    }

    pub(super) fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    /// Where the consent page sends the browser of somebody who chooses `user`.
    pub(super) async fn decide(&self, user: &str) -> BTreeMap<String, String> {
        let page = self.adapter.authorize_url(&self.app, &redirect(), "xyz&=1", &VERIFIER.into()).unwrap();
        let shown = self.http.get(page.clone()).send().await.unwrap();
        assert_eq!(shown.status(), 200);
        assert!(shown.text().await.unwrap().contains("Carla &lt;C&gt;"));
        let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        form.push(("user".into(), user.into()));
        let address = format!("{}{}", self.base, page.path());
        let reply = self.http.post(address).form(&form).send().await.unwrap();
        assert_eq!(reply.status(), 303);
        let back = Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap();
        assert!(back.as_str().starts_with(REDIRECT));
        back.query_pairs().into_owned().collect()
    }

    async fn exchange(&self, code: &str, verifier: &str) -> Result<Grant, ProviderError> {
        self.adapter.exchange_code(&self.app, &code.into(), &redirect(), &verifier.into()).await
    }

    pub(super) async fn connect(&self, person: &str) -> Grant {
        let back = self.decide(person).await;
        assert_eq!(back["state"], "xyz&=1");
        self.exchange(&back["code"], VERIFIER).await.unwrap()
    }

    async fn refresh(&self, token: &SecretString) -> Result<Grant, ProviderError> {
        self.adapter.refresh_at(&self.app, token, &redirect()).await
    }

    async fn page(
        &self,
        token: &SecretString,
        record: &str,
        window: Interval,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        self.adapter.fetch(&self.app, token, &record.parse().unwrap(), &Query::Window(window), page).await
    }

    /// Every part of a window.
    pub(super) async fn read(&self, token: &SecretString, record: &str, window: Interval) -> Vec<Part> {
        let (mut parts, mut next) = (Vec::new(), None);
        loop {
            let page = self.page(token, record, window, next.as_ref()).await.unwrap();
            parts.extend(page.parts);
            next = page.next;
            if next.is_none() {
                return parts;
            }
        }
    }
}

fn redirect() -> Url {
    Url::parse(REDIRECT).unwrap()
}

pub(super) fn interval(from: i64, to: i64) -> Interval {
    Interval::new(Instant::from_second(from).unwrap(), Instant::from_second(to).unwrap()).unwrap()
}

#[tokio::test]
async fn a_patient_is_known_by_either_token() {
    let cloud = Cloud::new().await;
    cloud.sim.behave(Manner { no_id_token: true, expires_as_text: true, ..Manner::default() });
    let grant = cloud.connect(DAN).await;
    assert_eq!(grant.account.unwrap().reveal(), DAN);
    assert_eq!(grant.expires_in, Duration::from_secs(3600));
}

#[tokio::test]
async fn tokens_that_do_not_rotate_stay_good() {
    let cloud = Cloud::new().await;
    let token = cloud.connect(CARLA).await.refresh_token.unwrap();
    cloud.sim.behave(Manner { rotation: Rotation::Keep, ..Manner::default() });
    cloud.sim.inject(Fault::DropReplyAfterRefresh);
    let error = cloud.refresh(&token).await.unwrap_err();
    assert!(matches!(error.remedy(), Remedy::Retry { .. }));
    for _ in 0..2 {
        let grant = cloud.refresh(&token).await.unwrap();
        assert!(grant.refresh_token.is_none(), "the one before stays good");
        cloud.read(&grant.access_token, "weight", interval(0, DAY)).await;
    }
    // Without the redirect URI that every known client sends, it is not done.
    let error = cloud.adapter.refresh(&cloud.app, &token).await.unwrap_err();
    assert!(matches!(error, ProviderError::Refused { remedy: Remedy::Permanent, .. }), "{error}");
}

#[tokio::test]
async fn what_goes_wrong_says_what_helps() {
    let cloud = Cloud::new().await;
    cloud.sim.seed_history(CARLA, 3).unwrap();
    let token = cloud.connect(CARLA).await.access_token;
    let window = interval(cloud.now() - 3 * DAY, cloud.now());
    let in_body = |status, reason: &str| Fault::StatusInBody {
        status,
        reason: reason.to_owned(),
        error_code: "E1".to_owned(),
        calls: 1,
    };
    let http = |status, retry_after| Fault::HttpStatus { status, retry_after, calls: 1 };
    let retry = Remedy::Retry { after: None };
    let cases = [
        (Fault::TruncateNextPage, retry),
        (http(503, Some(7)), Remedy::Retry { after: Some(Duration::from_secs(7)) }),
        (http(401, None), Remedy::Refresh),
        (in_body(5, "Something broke"), retry),
        (in_body(5, "The access token has expired"), Remedy::Refresh),
    ];
    for (fault, remedy) in cases {
        cloud.sim.inject(fault.clone());
        let error = cloud.page(&token, "weight", window, None).await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{fault:?}: {error}");
        assert!(!error.to_string().contains("broke"), "{error}");
        cloud.page(&token, "weight", window, None).await.unwrap();
    }
}

#[tokio::test]
async fn a_notification_leads_to_what_was_uploaded() {
    let cloud = Cloud::new().await;
    let mut app = cloud.app.clone();
    app.secrets.insert("webhook".into(), "l0ng-and-random-letters".into());
    app.config.options.insert("notifications".into(), "registered".into());
    let came: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let answers: Arc<Mutex<Vec<StatusCode>>> = Arc::new(Mutex::new(vec![StatusCode::BAD_GATEWAY]));
    let (heard, next) = (Arc::clone(&came), Arc::clone(&answers));
    let receiver = any(async move |body: axum::body::Bytes| {
        heard.lock().unwrap().push(body.to_vec());
        next.lock().unwrap().pop().unwrap_or(StatusCode::OK)
    });
    let host = serve(Router::new().route("/webhook/cuffs/l0ng-and-random-letters", receiver)).await;
    cloud.sim.register_notifications(Some(&format!("{host}/webhook/cuffs/l0ng-and-random-letters")));

    let grant = cloud.connect(CARLA).await;
    let urls = [format!("{host}/webhook/cuffs/l/t"), format!("{host}/webhook/cuffs")]
        .map(|u| Url::parse(&u).unwrap());
    let subscriber = Subscriber {
        link: LinkId::new(),
        address: &urls[0],
        app_address: &urls[1],
        now: "2026-11-20T08:00:00Z".parse().unwrap(),
    };
    let kept = cloud.adapter.subscribe(&app, &[], &grant.access_token, subscriber).await.unwrap();
    assert_eq!((kept.kept, kept.made), (1, 0));

    // Two weeks of a cuff that was out of reach; the first attempt to tell of it fails.
    let rows = (0..13).map(|back| NewRow::pressure(cloud.now() - back * DAY, "128", "82", "67"));
    cloud.sim.upload(CARLA, rows.collect()).unwrap();
    cloud.sim.idle().await;
    let stats = cloud.sim.stats();
    assert_eq!((stats.notify_attempts, stats.notify_delivered), (2, 1));
    cloud.sim.behave(Manner { newer_notifications: true, ..Manner::default() });
    cloud.sim.upload(CARLA, vec![NewRow::weight(cloud.now(), "81.4", "kg")]).unwrap();
    cloud.sim.inject(Fault::LoseNotifications { count: 1 });
    cloud.sim.upload(CARLA, vec![NewRow::weight(cloud.now(), "81.4", "kg")]).unwrap();
    cloud.sim.idle().await;
    let bodies = came.lock().unwrap().clone();
    assert_eq!(bodies.len(), 3);

    let headers = HeaderMap::new();
    let mut found = BTreeMap::new();
    for body in &bodies[1..] {
        let request = WebhookRequest {
            method: &Method::POST,
            token: Some("l0ng-and-random-letters"),
            query: "",
            headers: &headers,
            body,
            now: cloud.clock.now(),
        };
        let received = cloud.adapter.receive(&app, request).await.unwrap();
        let Received::Notified { answer: StatusCode::OK, notified } = received else {
            panic!("{received:?}")
        };
        assert_eq!(notified[0].account, *grant.account.as_ref().unwrap());
        let Notification::Changed { records, window } = &notified[0].what else { panic!() };
        for record in records {
            let parts = cloud.read(&grant.access_token, record.as_str(), *window).await;
            let count: usize = parts.iter().map(|part| mapped(record.as_str(), part).0.len()).sum();
            found.insert(format!("{record} of {}", records.len()), count);
        }
    }
    assert_eq!((found["bloodpressure of 5"], found["weight of 1"]), (26, 2));
    let guess = WebhookRequest {
        method: &Method::POST,
        token: Some("guess"),
        query: "",
        headers: &headers,
        body: &bodies[0],
        now: cloud.clock.now(),
    };
    assert!(matches!(cloud.adapter.receive(&app, guess).await.unwrap(), Received::Refused { .. }));
}

/// Both sides mean the same records, and the same of them by default.
#[tokio::test]
async fn the_records_are_those_of_the_adapter() {
    let cloud = Cloud::new().await;
    assert_eq!(ALL, ohx_providers::kind("omron").unwrap().records);
    let mut config = cloud.app.config.clone();
    config.records.clear();
    let usual: Vec<String> =
        cloud.adapter.records(&config, &[]).iter().map(|spec| spec.record.to_string()).collect();
    assert_eq!(usual, ohx_sandbox::omron::USUAL);
}
