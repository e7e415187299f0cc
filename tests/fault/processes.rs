//! What lives as long as a process does: the functions over their parts, who reaches them from outside, and where what they
//! give up is kept.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::response::IntoResponse as _;
use cloudevents::AttributesReader as _;
use http::StatusCode;
use ohx_bus::deliver::RouterDeliver;
use ohx_bus::{Bury, BusError, SharedBus};
use ohx_events::{Event, Function};
use ohx_link::Links;
use ohx_runtime::bury::StoreBury;
use ohx_runtime::parts::Parts;
use ohx_seal::Keyring;
use ohx_store::SharedStore;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

use crate::clock::{OurClock, Time};
use crate::journal::{Journal, kind};
use crate::kill::killed_after;
use crate::plan::Plan;

/// What was given up, and whether something that it needed had been out of reach.
#[derive(Debug, Clone)]
pub struct Buried {
    pub id: String,
    pub to: Function,
    pub reason: String,
    pub attempts: u32,
}

/// Everything that lives as long as a process does.
pub struct Alive {
    pub links: Links,
    pub public: Router,
    pub inner: RouterDeliver,
}

/// Where dead letters go.
pub struct Graves {
    pub store: StoreBury,
    pub buried: Arc<Mutex<Vec<Buried>>>,
}

#[async_trait]
impl Bury for Graves {
    async fn bury(&self, to: Function, event: &Event, reason: &str, attempts: u32) -> Result<(), BusError> {
        self.store.bury(to, event, reason, attempts).await?;
        let buried = Buried { id: event.id().to_owned(), to, reason: reason.to_owned(), attempts };
        self.buried.lock().unwrap_or_else(PoisonError::into_inner).push(buried);
        Ok(())
    }
}

pub fn parts(
    keys: &Mutex<Vec<String>>,
    identifier_base: &Mutex<String>,
    store: &SharedStore,
    bus: &SharedBus,
    time: &Arc<Time>,
    public_url: &url::Url,
    http: &reqwest::Client,
) -> Parts {
    let keys = keys.lock().unwrap_or_else(PoisonError::into_inner).join(",");
    Parts {
        store: store.clone(),
        bus: bus.clone(),
        keyring: Arc::new(Keyring::parse(&keys.into()).expect("a keyring")),
        clock: Arc::new(OurClock(time.clone())),
        http: http.clone(),
        public_url: public_url.clone(),
        identifier_base: identifier_base.lock().unwrap_or_else(PoisonError::into_inner).clone(),
    }
}

impl Alive {
    pub fn new(parts: Parts) -> Self {
        let links = Links::new(parts);
        let webhook = ohx_webhook::router(links.clone(), ohx_webhook::ForwardedHops(0));
        let public = ohx_oauth::router(links.clone(), ohx_oauth::PageDays::default()).merge(webhook);
        let inner = BTreeMap::from([
            (Function::Nightly, ohx_nightly::router(links.clone())),
            (Function::Fetch, ohx_fetch::router(links.clone())),
            (Function::Transform, ohx_transform::router(links.clone(), Duration::from_secs(10))),
            (Function::Publish, ohx_publish::router(links.clone())),
            (Function::Devices, ohx_devices::router(links.clone())),
        ]);
        Self { links, public, inner: RouterDeliver::new(inner) }
    }
}

/// What patients and providers reach: the functions of the moment. A killed one is answered for as a gateway does.
pub async fn front(
    listener: TcpListener,
    alive: Arc<RwLock<Arc<Alive>>>,
    plan: Plan,
    journal: Journal,
    healed: Arc<AtomicBool>,
) {
    let calls = Arc::new(AtomicU64::new(0));
    let router = Router::new().fallback(move |request: axum::extract::Request| {
        let public = alive.read().unwrap_or_else(PoisonError::into_inner).public.clone();
        let (plan, journal, calls, healed) = (plan.clone(), journal.clone(), calls.clone(), healed.clone());
        async move {
            let webhook =
                request.uri().path().starts_with("/webhook/") && request.method() == http::Method::POST;
            let step = format!("webhook {}", calls.fetch_add(u64::from(webhook), Ordering::SeqCst) + 1);
            let dies = webhook
                && !healed.load(Ordering::SeqCst)
                && plan.knows(kind::KILLED_WEBHOOK)
                && plan.dice.chance(&step, 250);
            let polls = dies.then(|| plan.dice.between(&format!("{step}/poll"), 1, 12) as u32);
            match killed_after(public.oneshot(request), polls).await {
                Some(Ok(answer)) => answer,
                Some(Err(never)) => match never {},
                None => {
                    journal.note(kind::KILLED_WEBHOOK, &step);
                    StatusCode::BAD_GATEWAY.into_response()
                }
            }
        }
    });
    let _ended = axum::serve(listener, router).await;
}
