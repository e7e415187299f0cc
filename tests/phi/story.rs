//! What happens while the canaries are about: all that works, and all that fails.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use ohx_domain::Clock as _;
use ohx_sandbox::fhir::FhirServer;
use ohx_sandbox::withings::{Measure, NewGroup};
use ohx_sandbox::{fitbit_legacy, google_health, omron};
use ohx_tests::collector::Collector;
use ohx_tests::deployment::{API_KEY, Deployment, KEYRING, Shape};
use ohx_tests::others::{FITBIT_VERIFY, GOOGLE_WEBHOOK, OMRON_WEBHOOK};
use ohx_tests::outside::{CLIENT_SECRET, Outside, another_ehr, http};
use ohx_tests::patient::{connect_to, consent};
use serde_json::{Value, json};

use crate::canary::{Canary, Kind, Search};
use crate::gossip::{About, Gossip, Lie};
use crate::places::{self, Place, Taps};
use crate::tap::Tap;
use crate::{plant, report};

mod failing;
mod search;

const PATIENT: &str = "Patient/p1";
const WITHINGS: u64 = 8_765_432_109_876_543;
const GOOGLE: u64 = 111_111_256_096_816_351;
const OMRON: &str = "7d1b0a6e-4b7e-4c29-9d0a-4f1f6f1f2a31";
const FITBIT: &str = "CANARY7Q9X";
const NAME: &str = "Quirinia Canarini-Feodorowa";
/// What the liars quote: a reading that nobody has taken, in two forms, and whose it is said to be.
const QUOTES: &str = "weight 77.89123456 kg (7789123456e-8) of Quirinia Canarini-Feodorowa";
const CLINIC_TOKEN: &str = "canary-bearer-of-the-clinic-0c9f62d1";
const LAB_SECRET: &str = "canary-client-secret-of-the-lab-88b1e3";
/// The weight-scale characteristic as the gateway sends it; no other message has these bytes.
const GATT: &str = "1E8000520061 00EA070A040729 00430001 0000";

struct World {
    outside: Outside,
    deployment: Deployment,
    taps: Taps,
    liars: Vec<(&'static str, Gossip)>,
    ehr: Gossip,
    issuer: Gossip,
    further: Vec<FhirServer>,
    /// What the API answered to what was asked of it.
    answers: Vec<Value>,
}

/// The readings, and under which names they are looked for at the EHR.
fn values() -> Vec<Canary> {
    vec![
        Canary::value("withings weight", 7_123_456_789, 8),
        Canary::value("withings weight that the EHR refuses", 7_234_567_891, 8),
        Canary::value("google weight", 7_345_678_912, 8),
        Canary::value("omron weight", 7_456_789_123, 8),
        Canary::value("fitbit weight", 7_567_891_234, 8),
        Canary::value("imported weight", 7_678_912_345, 8),
        Canary::value("unreadable line", 7_891_234_567, 8),
        Canary::value("quoted weight", 7_789_123_456, 8),
        Canary::text("gateway message", Kind::Value, &GATT.replace(' ', "")),
    ]
}

/// Which of them have to be at the EHR in the end.
const ARRIVE: [&str; 5] =
    ["withings weight", "google weight", "omron weight", "fitbit weight", "imported weight"];

fn now() -> i64 {
    ohx_domain::SystemClock.now().as_second()
}

async fn begin(shape: Shape) -> World {
    let mut outside = Outside::start().await.and_others().await;
    let google = google_health::Person {
        id: GOOGLE,
        name: NAME.into(),
        timezone: "Europe/Amsterdam".into(),
        legacy_id: None,
        linked: true,
    };
    let others = outside.others();
    others.google.add_person(google).unwrap();
    let person = omron::Person { id: OMRON.into(), name: NAME.into(), timezone: "Europe/Vienna".into() };
    others.omron.add_person(person).unwrap();
    let person =
        fitbit_legacy::Person { id: FITBIT.into(), name: NAME.into(), timezone: "Europe/Vienna".into() };
    others.legacy.add_person(person).unwrap();
    outside.person(WITHINGS, NAME);
    readings(&outside);

    let mut liars = Vec::new();
    let withings = Gossip::before(&outside.withings_url, QUOTES, None).await;
    outside.withings_url = withings.1;
    liars.push(("withings", withings.0));
    let others = outside.others_mut();
    for (name, url) in [
        ("fitbit", &mut others.google_url),
        ("omron", &mut others.omron_url),
        ("fitbit-legacy", &mut others.legacy_url),
    ] {
        let (gossip, own) = Gossip::before(url, QUOTES, None).await;
        *url = own;
        liars.push((name, gossip));
    }
    let (ehr, own) = Gossip::before(&outside.fhir_url, QUOTES, None).await;
    outside.fhir_url = own;
    let (lab, lab_url) = another_ehr(FhirServer::new(std::sync::Arc::new(ohx_domain::SystemClock))).await;
    let (registry, registry_url) =
        another_ehr(FhirServer::new(std::sync::Arc::new(ohx_domain::SystemClock))).await;
    let (issuer, lab_url) = Gossip::before(&lab_url, QUOTES, Some("canary-token-of-the-lab")).await;
    let (second, registry_url) =
        Gossip::before(&registry_url, QUOTES, Some("canary-token-of-the-registry")).await;
    liars.push(("registry", second));

    let (spans, collector) = Collector::start().await;
    let mut taps = Taps { spans, ..Taps::default() };
    let change = async |environment: &mut std::collections::BTreeMap<String, String>| {
        environment.insert("RUST_LOG".into(), "debug,ohx=trace".into());
        environment.insert("OTEL_EXPORTER_OTLP_ENDPOINT".into(), collector);
        environment.insert("CLINIC_TOKEN".into(), CLINIC_TOKEN.into());
        environment.insert("LAB_SECRET".into(), LAB_SECRET.into());
        if let Some(url) = environment.get_mut("DATABASE_URL").filter(|url| url.starts_with("postgres")) {
            let (tap, through) = Tap::before(url, 5432).await;
            taps.postgres = Some((tap, std::mem::replace(url, through)));
        }
        let prefix = environment.get("OHX_REDIS_PREFIX").cloned();
        if let Some((url, prefix)) = environment.get_mut("REDIS_URL").zip(prefix) {
            let (tap, through) = Tap::before(url, 6379).await;
            taps.redis = Some((tap, std::mem::replace(url, through), prefix));
        }
        if let Some(url) = environment.get_mut("SQS_QUEUE_URL") {
            let (tap, through) = Tap::before(url, 80).await;
            *url = through;
            taps.sqs = Some(tap);
        }
    };
    let deployment = Deployment::start_with(shape, &outside, change).await;
    let configuration = format!(
        "ehrs:\n  - name: clinic\n    base_url: {}\n    strategy: update\n    batch_size: 20\n    auth: bearer\n    token: {{ env: CLINIC_TOKEN }}\n  \
         - name: lab\n    base_url: {lab_url}\n    auth: client-credentials\n    client_secret: {{ env: LAB_SECRET }}\n    \
         oauth: {{ client_id: ohx, token_url: \"{}\" }}\n  \
         - name: registry\n    base_url: {registry_url}\n    auth: smart-backend\n    oauth: {{ client_id: ohx, token_url: \"{}\" }}\n",
        outside.fhir_url,
        Gossip::issuer(&lab_url),
        Gossip::issuer(&registry_url),
    );
    let (code, said) = deployment.apply(&configuration);
    assert_eq!(code, Some(0), "{said}");
    World { outside, deployment, taps, liars, ehr, issuer, further: vec![lab, registry], answers: Vec::new() }
}

/// A past with a canary in it, at each provider.
fn readings(outside: &Outside) {
    let at = now() - 7200;
    let weight = |at, mantissa| NewGroup {
        date: at,
        attrib: 0,
        category: 1,
        modelid: None,
        measures: vec![Measure::new(1, mantissa, -8)],
    };
    outside.withings.seed_history(WITHINGS, 2, 2).unwrap();
    outside.withings.add_group(WITHINGS, weight(at, 7_123_456_789)).unwrap();
    let refused = outside.withings.add_group(WITHINGS, weight(at - 60, 7_234_567_891)).unwrap();
    outside.refuse_at_ehr(&format!(".{refused}.body-weight"), 422);
    let others = outside.others();
    let point =
        |at| google_health::NewPoint::new("weight", at, None, r#"{"weightGrams":73456.78912}"#.into());
    others.google.seed_daily(GOOGLE, 1).unwrap();
    others.google.add_points(GOOGLE, vec![point(at).unwrap()]).unwrap();
    others.omron.upload(OMRON, vec![omron::NewRow::weight(at, "74.56789123", "kg")]).unwrap();
    others.omron.upload(OMRON, vec![omron::NewRow::pressure(at - 600, "128", "82", "67")]).unwrap();
    others.legacy.add(FITBIT, "weight", vec![fitbit_weight(at)]).unwrap();
}

fn fitbit_weight(at: i64) -> fitbit_legacy::Entry {
    use ohx_sandbox::withings::Figure;
    let zone = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
    let at = zone.to_datetime(jiff::Timestamp::from_second(at).unwrap());
    let figures = [("weight", Figure::decimal(7_567_891_234, 8)), ("source", Figure::text("Aria"))];
    let figures = figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
    fitbit_legacy::Entry { id: 0, at, until: None, figures, samples: Vec::new() }
}

/// The whole story in one shape, then the search.
pub async fn told(shape: Shape) {
    let mut world = begin(shape).await;
    let links = world.connect().await;
    world.brought().await;
    world.arrived().await;
    world.lies_of_providers(&links).await;
    world.lies_of_ehrs(&links[0].1).await;
    world.refused_refreshes(&links).await;
    world.bad_requests(&links).await;
    world.arrived().await;
    world.ended(&links).await;
    world.search(shape).await;
}

impl World {
    async fn connect(&mut self) -> Vec<(&'static str, String)> {
        let (outside, deployment) = (&self.outside, &self.deployment);
        let others = outside.others();
        others.omron.register_notifications(Some(&format!(
            "{}/webhook/omron/{OMRON_WEBHOOK}",
            deployment.public_url()
        )));
        let address = format!("{}/webhook/fitbit-legacy", deployment.public_url());
        others.legacy.register_subscriber(&address, FITBIT_VERIFY).await.unwrap();
        let also =
            json!([{"ehr": "lab", "patient": "Patient/l1"}, {"ehr": "registry", "patient": "Patient/r1"}]);
        let new = json!({"provider": "withings", "ehr": "clinic", "patient": PATIENT, "also": also, "backfill_days": 3});
        let (status, created) = deployment.post("/api/base/provider-links/", &new).await;
        assert_eq!(status, 201, "{created}");
        let address = created["connect_url"].as_str().unwrap();
        // The code is exchanged twice: the first time the provider talks too much instead.
        self.liars[0].1.lie(About::Tokens, Lie::Error(400));
        let (status, page) = consent(outside, address, &WITHINGS.to_string()).await;
        assert_ne!(status, 200);
        self.answers.push(page.into());
        let id = created["id"].as_str().unwrap();
        let again = format!("/api/base/provider-links/{id}/connect-address/");
        let (status, address) = deployment.post(&again, &Value::Null).await;
        assert_eq!(status, 200, "{address}");
        let (status, page) =
            consent(outside, address["connect_url"].as_str().unwrap(), &WITHINGS.to_string()).await;
        assert_eq!(status, 200, "{page}");
        let mut links = vec![("withings", id.to_owned())];
        for (provider, person, days) in [
            ("fitbit", GOOGLE.to_string(), 2),
            ("omron", OMRON.into(), 3),
            ("fitbit-legacy", FITBIT.into(), 2),
        ] {
            links.push((provider, connect_to(deployment, outside, provider, PATIENT, &person, days).await));
        }
        links
    }

    /// A file, a file with a line that cannot be read, and a gateway.
    async fn brought(&mut self) {
        let new = json!({"provider": "beurer", "ehr": "clinic", "patient": PATIENT});
        let (status, link) = self.deployment.post("/api/base/provider-links/", &new).await;
        assert_eq!(status, 201, "{link}");
        let id = link["id"].as_str().unwrap();
        let export = "Zeitraum\n\nvon;01.10.2026\nbis;31.10.2026\n\nAusgewählte Kategorien\n\nGewicht;1\n\n\
            Gewicht\nDatum;Uhrzeit;kg;BMI;Körperfett;Wasser;Muskeln;Knochen\n04.10.2026;07:45;76,78912345;28,8;31,2;49,6;36,0;2,9\n";
        let line = "05.10.2026;07:45;=78,91234567;78,91234567x;31,2;49,6;36,0;2,9\n";
        let two = format!("{export}{line}").replace("Gewicht;1", "Gewicht;2");
        let wrong = export
            .replace("Gewicht;1", "Gewicht;78,91234567")
            .replace("04.10.2026;07:45", "78,91234567;78,91234567");
        for file in [export.to_owned(), two, wrong] {
            let url =
                format!("{}/api/ingestors/imports/?link={id}&zone=Europe/Berlin", self.deployment.api());
            let answer = http().post(url).bearer_auth(API_KEY).body(file).send().await.unwrap();
            self.answers.push(answer.json().await.unwrap_or_default());
        }
        let gateway = self.deployment.get(&format!("/api/base/provider-links/{id}/gateway/")).await;
        let (url, token) = (gateway["url"].as_str().unwrap(), gateway["token"].as_str().unwrap());
        self.issuer.learn("gateway token", token);
        let message = |hex: &str| {
            json!({"device": {"id": "B0:49:5F:00:10:71", "model": "BM54", "manufacturer": "Beurer"}, "zone": "Europe/Berlin",
                "readings": [{"characteristic": "2A35", "hex": hex, "received": "2026-10-04T07:42:10+02:00"}]})
        };
        let hex = GATT.replace(' ', "");
        for (token, body) in [
            (token, message(&hex)),
            (token, message(&hex[..hex.len() - 3])),
            (token, json!({"device": QUOTES, "readings": QUOTES})),
            (QUOTES, message(&hex)),
        ] {
            let answer = http().post(url).bearer_auth(token).json(&body).send().await.unwrap();
            self.answers.push(answer.json().await.unwrap_or_default());
        }
    }

    /// Waits until the readings are where they belong: a canary that nobody carried proves nothing.
    async fn arrived(&self) {
        let search = Search::of(&values());
        let (ehr, further) = (&self.outside.ehr, &self.further);
        let mut missing = BTreeSet::new();
        let arrived = async {
            loop {
                let names =
                    |ehr: &FhirServer| search.found(ehr.resources("Observation").join("\n").as_bytes());
                let here = names(ehr);
                missing =
                    ARRIVE.iter().filter(|name| !here.contains(**name)).map(|n| (*n).to_owned()).collect();
                missing.extend(
                    further
                        .iter()
                        .filter(|ehr| !names(ehr).contains(ARRIVE[0]))
                        .map(|_| "a further EHR".to_owned()),
                );
                if missing.is_empty() {
                    assert!(!here.contains("withings weight that the EHR refuses"));
                    break;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(90), arrived).await;
        assert!(in_time.is_ok(), "not at the EHR: {missing:?}\n{}", tail(&self.deployment.logs()));
    }

    async fn sync(&self, link: &str) -> Value {
        let (_, sync) = self.deployment.post("/api/ingestors/syncs/", &json!({"link": link})).await;
        sync
    }

    /// The page that the patient of a link sees.
    async fn seen_by_the_patient(&mut self, link: &str) {
        let path = format!("/api/base/provider-links/{link}/initiate_oauth2/");
        let (status, address) = self.deployment.post(&path, &Value::Null).await;
        assert_eq!(status, 200, "{address}");
        let sent = http().get(address["connect_url"].as_str().unwrap()).send().await.unwrap();
        let page = sent.url().join(sent.headers()["location"].to_str().unwrap()).unwrap();
        let page = http().get(page).send().await.unwrap();
        assert_eq!(page.status(), 200);
        self.answers.push(page.text().await.unwrap().into());
    }

    /// A link ends while its provider lies, another one as it should.
    async fn ended(&mut self, links: &[(&str, String)]) {
        for (n, (provider, link)) in links.iter().enumerate() {
            if n % 2 == 0 {
                let gossip = &self.liars.iter().find(|(name, _)| name == provider).expect("a liar").1;
                gossip.lie(About::Tokens, Lie::Error(500));
                gossip.lie(About::Data, Lie::Error(500));
            }
            let path = format!("/api/base/provider-links/{link}/disconnect/");
            if n < 3 {
                self.seen_by_the_patient(link).await;
                let (status, ended) = self.deployment.post(&path, &json!({})).await;
                assert_eq!(status, 200, "{ended}");
                self.answers.push(ended);
                self.seen_by_the_patient(link).await;
            }
        }
        // Also what follows of it.
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

fn tail(text: &str) -> &str {
    let from = text.len().saturating_sub(6_000);
    text.get(text.ceil_char_boundary(from)..).unwrap_or(text)
}
