//! The adapter of a contract against a cloud that is made of the same contract: three that differ in all that a contract
//! can say.

mod contracts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use ohx_domain::{Clock, Instant, Interval, LinkId, ManualClock, ProviderApp, Query};
use ohx_mapping::{Mapped, Mapping};
use ohx_providers::beurer::contract::BeurerContract;
use ohx_providers::{
    App, Grant, Notification, Page, PageToken, Part, Provider as _, ProviderError, Received, Remedy,
    Subscriber, WebhookRequest,
};
use ohx_sandbox::beurer_contract::{Config, Device, Fault, Measured, Simulator};
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use self::contracts::{all, first, second, third};
use super::{client, clock, serve};

const REDIRECT: &str = "http://127.0.0.1:1/oauth/callback/agreed";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0123456789";
const WEBHOOK: &str = "a-secret-that-both-sides-have-agreed-on";
const EVA: &str = "e/va 1";
const FINN: &str = "f2";
const DAY: i64 = 86_400;

struct Cloud {
    clock: Arc<ManualClock>,
    sim: Simulator,
    http: reqwest::Client,
    app: App,
    adapter: BeurerContract,
}

impl Cloud {
    async fn new(contract: Value) -> Self {
        let (clock, http) = (clock(), client());
        let config = Config {
            contract,
            client_id: "partner".into(),
            client_secret: "s3cr3t".into(),
            redirect_uri: REDIRECT.into(),
            header_secret: "k3y".into(),
            webhook_secret: WEBHOOK.into(),
            page_size: 3,
            requests_per_minute: 1000,
            access_life: Duration::from_secs(600),
        };
        let sim = Simulator::new(config, Arc::clone(&clock) as Arc<dyn Clock>, http.clone());
        sim.add_person(EVA, "Eva");
        sim.add_person(FINN, "Finn");
        let base = serve(sim.router()).await;
        let options = [("accept-unverified-contract", "yes".to_owned()), ("contract", sim.contract(&base))];
        let config = ProviderApp {
            name: "agreed".parse().unwrap(),
            kind: "beurer-contract".into(),
            client_id: "partner".into(),
            base_urls: BTreeMap::new(),
            scopes: Vec::new(),
            records: Vec::new(),
            requests_per_minute: None,
            notify_from: Vec::new(),
            options: options.map(|(name, text)| (name.to_owned(), text)).into(),
        };
        assert_eq!(ohx_providers::check(&config), Ok(()));
        let secrets = [("header", "k3y"), ("webhook", WEBHOOK)];
        let secrets = secrets.map(|(name, text)| (name.to_owned(), SecretString::from(text))).into();
        let app = App { config, secret: "s3cr3t".into(), secrets };
        let adapter = BeurerContract::new(http.clone()).with_clock(Arc::clone(&clock) as Arc<dyn Clock>);
        Self { clock, sim, http, app, adapter }
    }

    async fn decide(&self, user: &str) -> BTreeMap<String, String> {
        let page = self.adapter.authorize_url(&self.app, &redirect(), "xyz&=1", &VERIFIER.into()).unwrap();
        let shown = self.http.get(page.clone()).send().await.unwrap();
        assert_eq!(shown.status(), 200);
        let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        form.push(("user".into(), user.into()));
        let reply = self.http.post(page).form(&form).send().await.unwrap();
        let back = Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap();
        back.query_pairs().into_owned().collect()
    }

    async fn exchange(&self, code: &str) -> Result<Grant, ProviderError> {
        self.adapter.exchange_code(&self.app, &code.into(), &redirect(), &VERIFIER.into()).await
    }

    async fn connect(&self, person: &str) -> Grant {
        let back = self.decide(person).await;
        assert_eq!(back["state"], "xyz&=1");
        let grant = self.exchange(&back["code"]).await.unwrap();
        assert_eq!(grant.account.as_ref().unwrap().reveal(), person);
        assert!(grant.refresh_token.is_some());
        grant
    }

    async fn page(
        &self,
        token: &SecretString,
        record: &str,
        query: &Query,
        page: Option<&PageToken>,
    ) -> Result<Page, ProviderError> {
        self.adapter.fetch(&self.app, token, &record.parse().unwrap(), query, page).await
    }

    /// Every part, and how many pages there were.
    async fn read(&self, token: &SecretString, record: &str, query: &Query) -> (Vec<Part>, usize) {
        let (mut parts, mut next, mut pages) = (Vec::new(), None, 0);
        loop {
            let page = self.page(token, record, query, next.as_ref()).await.unwrap();
            parts.extend(page.parts);
            pages += 1;
            next = page.next;
            if next.is_none() {
                return (parts, pages);
            }
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn pressure(&self, person: &str, back: i64) {
        let at = Instant::from_second(self.now() - back * DAY / 2).unwrap();
        self.sim.measure(Measured {
            person: person.into(),
            record: "blood-pressure".into(),
            at,
            changed: self.clock.now(),
            id: format!("k{back}"),
            zone: "Europe/Berlin".into(),
            device: Some(Device { id: format!("cuff-{}", back % 2), model: "BM54".into() }),
            values: vec![("systolic", "128", "mmHg"), ("diastolic", "82.0", "mmHg"), ("pulse", "67", "bpm")],
        });
    }

    fn weight(&self, person: &str, number: &'static str) {
        self.sim.measure(Measured {
            person: person.into(),
            record: "weight".into(),
            at: Instant::from_second(self.now() - DAY).unwrap(),
            changed: self.clock.now(),
            id: "w".into(),
            zone: "Europe/Berlin".into(),
            device: None,
            values: vec![("weight", number, "kg"), ("fat_percent", "31.20", "%")],
        });
    }
}

fn redirect() -> Url {
    Url::parse(REDIRECT).unwrap()
}

fn window(cloud: &Cloud, days: i64) -> Query {
    let at = |second| Instant::from_second(second).unwrap();
    Query::Window(Interval::new(at(cloud.now() - days * DAY), at(cloud.now())).unwrap())
}

fn mapped(record: &str, parts: &[Part]) -> Vec<Mapped> {
    let kind = ohx_providers::mapped_as("beurer-contract");
    let mapping = Mapping::parse(ohx_mapping::builtin(kind, record).unwrap()).unwrap();
    let context = mapping.example_context().unwrap();
    parts.iter().map(|part| mapping.map(part.text.reveal().get().as_bytes(), &context).unwrap()).collect()
}

fn texts(mapped: &[Mapped]) -> Vec<String> {
    mapped.iter().flat_map(|m| &m.observations).map(|o| o.resource.get().to_owned()).collect()
}

fn ids(mapped: &[Mapped]) -> BTreeSet<String> {
    mapped.iter().flat_map(|m| &m.observations).map(|o| o.identifier.value.clone()).collect()
}

fn skipped(mapped: &[Mapped]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for (reason, count) in mapped.iter().flat_map(|m| &m.skipped) {
        *all.entry(reason.clone()).or_insert(0) += count;
    }
    all
}

#[tokio::test]
async fn whatever_the_contract_says_every_reading_arrives_once_with_its_digits() {
    for contract in all() {
        let cloud = Cloud::new(contract).await;
        for back in 1..=10 {
            cloud.pressure(EVA, back);
        }
        cloud.pressure(FINN, 1);
        cloud.weight(EVA, "81.40");
        let token = cloud.connect(EVA).await.access_token;
        let (parts, pages) = cloud.read(&token, "blood-pressure", &window(&cloud, 30)).await;
        assert!(pages >= 3, "{pages} pages");
        let pressures = mapped("blood-pressure", &parts);
        assert_eq!(texts(&pressures).len(), 20, "pressure and pulse of ten, none of another patient's");
        assert_eq!((ids(&pressures).len(), skipped(&pressures)), (20, BTreeMap::new()));
        assert!(texts(&pressures).iter().any(|text| text.contains("\"value\":82.0")), "digits are kept");
        assert!(parts.iter().all(|part| part.text.reveal().get().starts_with("{\"origin\":\"contract\"")));
        let again = cloud.read(&token, "blood-pressure", &window(&cloud, 30)).await.0;
        assert_eq!(ids(&mapped("blood-pressure", &again)), ids(&pressures));
        // A shorter window has fewer, and none that is in it is missing.
        let some = cloud.read(&token, "blood-pressure", &window(&cloud, 2)).await.0;
        let some = ids(&mapped("blood-pressure", &some));
        assert!(some.is_subset(&ids(&pressures)) && (8..20).contains(&some.len()), "{}", some.len());

        let (parts, _) = cloud.read(&token, "weight", &window(&cloud, 30)).await;
        let weights = texts(&mapped("weight", &parts));
        assert_eq!(weights.len(), 2);
        assert!(
            weights[0].contains("\"value\":81.40") && weights[1].contains("\"value\":31.20"),
            "{weights:?}"
        );
        assert!(weights[0].contains("T08:00:00+02:00"), "the place's clock: {}", weights[0]);
    }
}

#[tokio::test]
async fn a_reading_names_the_device_that_the_contract_finds() {
    let cloud = Cloud::new(first()).await;
    (1..=3).for_each(|back| cloud.pressure(EVA, back));
    let token = cloud.connect(EVA).await.access_token;
    let parts = cloud.read(&token, "blood-pressure", &window(&cloud, 30)).await.0;
    let mapped = mapped("blood-pressure", &parts);
    let devices: BTreeSet<_> = mapped
        .iter()
        .flat_map(|m| &m.observations)
        .map(|o| o.device.as_ref().map(|d| (d.id.clone(), d.model.clone().unwrap_or_default())))
        .collect();
    let device = |id: &str| Some((id.to_owned(), "BM54".to_owned()));
    assert_eq!(devices, [device("cuff-0"), device("cuff-1")].into());
}

#[tokio::test]
async fn what_is_not_as_the_contract_says_is_one_named_problem_and_the_others_are_taken() {
    for (contract, units) in [(first(), 1), (second(), 0), (third(), 0)] {
        let cloud = Cloud::new(contract).await;
        (1..=2).for_each(|back| cloud.pressure(EVA, back));
        let token = cloud.connect(EVA).await.access_token;
        cloud.sim.inject(Fault::Malformed);
        let (parts, _) = cloud.read(&token, "blood-pressure", &window(&cloud, 30)).await;
        let mapped = mapped("blood-pressure", &parts);
        assert_eq!(texts(&mapped).len(), 4);
        let mut wanted: BTreeMap<String, u64> =
            ["bad-value", "no-time", "not-an-object"].map(|reason| (reason.to_owned(), 1)).into();
        if units > 0 {
            wanted.insert("unknown-unit".into(), units);
        }
        assert_eq!(skipped(&mapped), wanted);
        // A wrong clock is not believed.
        cloud.pressure(EVA, -2);
        let far = Query::Window(
            Interval::new(cloud.clock.now(), cloud.clock.now() + Duration::from_secs(9 * 86_400)).unwrap(),
        );
        let future = self::mapped("blood-pressure", &cloud.read(&token, "blood-pressure", &far).await.0);
        assert_eq!(skipped(&future).get("future"), Some(&1));
    }
}

#[tokio::test]
async fn tokens_are_refreshed_for_the_patient_they_are_of() {
    for (n, contract) in all().into_iter().enumerate() {
        let cloud = Cloud::new(contract).await;
        cloud.pressure(EVA, 1);
        cloud.pressure(FINN, 1);
        let grant = cloud.connect(EVA).await;
        let query = window(&cloud, 30);
        cloud.clock.advance(Duration::from_secs(601));
        let error = cloud.page(&grant.access_token, "blood-pressure", &query, None).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Refresh);
        let before = grant.refresh_token.unwrap();
        let grant = cloud.adapter.refresh(&cloud.app, &before).await.unwrap();
        assert_eq!(grant.account.as_ref().unwrap().reveal(), EVA);
        let parts = cloud.read(&grant.access_token, "blood-pressure", &query).await.0;
        assert_eq!(texts(&mapped("blood-pressure", &parts)).len(), 2);
        let once_more = cloud.adapter.refresh(&cloud.app, &before).await;
        let own = n == 1;
        assert_eq!(once_more.is_ok(), own, "a token that was rotated away is the patient's to renew");
        if !own {
            assert_eq!(once_more.unwrap_err().remedy(), Remedy::Reauthorize);
        }
        let refresh = grant.refresh_token.unwrap();
        let ended = cloud.adapter.revoke(&cloud.app, &grant.access_token, &refresh).await.unwrap();
        assert_eq!(ended, n == 0, "only the first contract has an address for it");
        assert_eq!(cloud.adapter.refresh(&cloud.app, &refresh).await.is_err(), ended);
        // A code is good once, and nobody's say-so.
        let code = cloud.decide(FINN).await["code"].clone();
        cloud.exchange(&code).await.unwrap();
        assert!(cloud.exchange(&code).await.is_err() && cloud.exchange(EVA).await.is_err());
        assert_eq!(cloud.decide("decline").await["error"], "access_denied");
    }
}

#[tokio::test]
async fn what_changed_is_asked_for_where_the_contract_can() {
    let cloud = Cloud::new(second()).await;
    cloud.pressure(EVA, 60);
    cloud.clock.advance(Duration::from_secs(3600));
    let since = cloud.clock.now();
    cloud.pressure(EVA, 50);
    let token = cloud.connect(EVA).await.access_token;
    let parts = cloud.read(&token, "blood-pressure", &Query::Since { since }).await.0;
    assert_eq!(texts(&mapped("blood-pressure", &parts)).len(), 2, "late data, whenever it was measured");
    let specs = |cloud: &Cloud| cloud.adapter.records(&cloud.app.config, &[]);
    assert!(specs(&cloud).iter().all(|spec| spec.changes) && specs(&cloud).len() == 2);
    let cloud = Cloud::new(first()).await;
    assert!(specs(&cloud).iter().all(|s| !s.changes && s.overlap == Duration::from_secs(48 * 3600)));
}

#[tokio::test]
async fn what_goes_wrong_says_what_helps_and_no_value() {
    let cloud = Cloud::new(first()).await;
    (1..=7).for_each(|back| cloud.pressure(EVA, back));
    let token = cloud.connect(EVA).await.access_token;
    let query = window(&cloud, 30);
    let retry = |after: Option<u64>| Remedy::Retry { after: after.map(Duration::from_secs) };
    for (fault, remedy) in [
        (Fault::Truncated, retry(None)),
        (Fault::Html, retry(None)),
        (Fault::Status(503, Some(7)), retry(Some(7))),
        (Fault::Status(401, None), Remedy::Refresh),
        (Fault::Status(429, Some(9)), Remedy::SlowDown { after: Duration::from_secs(9) }),
        (Fault::Status(404, None), Remedy::Permanent),
        (Fault::Status(302, None), Remedy::Permanent),
        (Fault::Status(400, None), Remedy::Permanent),
    ] {
        cloud.sim.inject(fault);
        let error = cloud.page(&token, "blood-pressure", &query, None).await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{fault:?}: {error}");
        assert!(!error.to_string().contains("128") && !error.to_string().contains(EVA), "{error}");
        cloud.page(&token, "blood-pressure", &query, None).await.unwrap();
    }
    cloud.sim.inject(Fault::Status(403, None));
    let error = cloud.page(&token, "blood-pressure", &query, None).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
    for contract in [first(), second()] {
        let cloud = Cloud::new(contract).await;
        (1..=7).for_each(|back| cloud.pressure(EVA, back));
        let token = cloud.connect(EVA).await.access_token;
        let page = cloud.page(&token, "blood-pressure", &query, None).await.unwrap();
        let page = cloud.page(&token, "blood-pressure", &query, page.next.as_ref()).await.unwrap();
        cloud.sim.inject(Fault::StandsStill);
        cloud.sim.inject(Fault::StandsStill);
        let once = cloud.page(&token, "blood-pressure", &query, page.next.as_ref()).await;
        let error = match once {
            Err(error) => error,
            Ok(page) => cloud.page(&token, "blood-pressure", &query, page.next.as_ref()).await.unwrap_err(),
        };
        assert!(
            error.to_string().contains("never end") || error.to_string().contains("not heeded"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_notification_is_believed_only_with_its_proof() {
    for (n, contract) in all().into_iter().enumerate() {
        let cloud = Cloud::new(contract).await;
        let (body, name, proof) = cloud.sim.notification(&[(EVA, "PRESSURE"), (FINN, "GONE")]);
        let receive = async |headers: &[(&str, &str)], body: &str, method: &Method| {
            let pairs = headers.iter().map(|(n, v)| (n.parse::<HeaderName>().unwrap(), v.parse().unwrap()));
            let headers: HeaderMap = pairs.collect();
            let request = WebhookRequest {
                method,
                token: None,
                query: "",
                headers: &headers,
                body: body.as_bytes(),
                now: cloud.clock.now(),
            };
            cloud.adapter.receive(&cloud.app, request).await
        };
        let Ok(Received::Notified { answer, notified }) =
            receive(&[(&name, &proof)], &body, &Method::POST).await
        else {
            panic!("contract {n}");
        };
        assert_eq!(answer, if n == 1 { StatusCode::NO_CONTENT } else { StatusCode::OK });
        assert_eq!(notified[0].account.reveal(), EVA);
        let Notification::Changed { records, window } = &notified[0].what else { panic!() };
        assert_eq!(records.len(), if n == 0 { 1 } else { 2 });
        assert!(window.contains(cloud.clock.now()));
        if n == 0 {
            assert_eq!((notified.len(), &notified[1].what), (2, &Notification::Revoked));
        }
        let other = body.replace(EVA, FINN);
        let mut wrong = proof.clone();
        wrong.replace_range(
            wrong.len() - 4..wrong.len() - 3,
            if wrong.as_bytes()[wrong.len() - 4] == b'0' { "1" } else { "0" },
        );
        let mut refused = vec![
            receive(&[], &body, &Method::POST).await,
            receive(&[(&name, &wrong)], &body, &Method::POST).await,
        ];
        refused.push(receive(&[(&name, &proof)], &body, &Method::GET).await);
        if n < 2 {
            refused.push(receive(&[(&name, &proof)], &other, &Method::POST).await);
        }
        for answer in refused {
            assert!(matches!(answer, Ok(Received::Refused { .. })), "contract {n}: {answer:?}");
        }
        if n < 2 {
            let url = |path: &str| Url::parse(&format!("https://ohx.example/webhook/agreed{path}")).unwrap();
            let (address, app_address) = (url("/l/t"), url(""));
            let subscriber = Subscriber {
                link: LinkId::new(),
                address: &address,
                app_address: &app_address,
                now: "2026-11-20T08:00:00Z".parse().unwrap(),
            };
            let made = cloud.adapter.subscribe(&cloud.app, &[], &"t".into(), subscriber).await.unwrap();
            assert_eq!((made.kept, made.made), (1, 0));
            let mut app = cloud.app.clone();
            app.secrets.insert("webhook".into(), "short".into());
            let error = cloud.adapter.subscribe(&app, &[], &"t".into(), subscriber).await.unwrap_err();
            assert!(error.to_string().contains("secrets.webhook"), "{error}");
        }
    }
}
