//! Every function in one process, on one port.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use ohx_bus::SharedBus;
use ohx_bus::deliver::RouterDeliver;
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_bus::retry::RetryPolicy;
use ohx_bus_redis::{RedisRelay, RelayConfig};
use ohx_console::Console;
use ohx_events::Function;
use ohx_link::{Links, Redirects};
use ohx_metrics::Collector;
use ohx_runtime::bury::StoreBury;
use ohx_runtime::outbound::Reach;
use ohx_runtime::parts::{self, Parts};
use ohx_runtime::settings::SettingError;
use ohx_runtime::{Settings, wrap, wrap_with};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// What moves the events.
enum Engine {
    Memory(Arc<MemoryBus>),
    Redis(RedisRelay),
}

/// Every function, put together.
pub(crate) struct Host {
    pub(crate) links: Links,
    engine: Engine,
    public: Router,
    inner: BTreeMap<Function, Router>,
}

impl Host {
    /// From settings: SQLite and the in-process bus unless they say otherwise; `OHX_API_URL` is this process's own address.
    /// Brings the schema up to date.
    pub(crate) async fn build(settings: &Settings) -> anyhow::Result<Self> {
        let (bus, engine): (SharedBus, Engine) = match settings.text("OHX_BUS").unwrap_or("memory") {
            "memory" => {
                let bus = Arc::new(MemoryBus::new(MemoryConfig::default()));
                (bus.clone(), Engine::Memory(bus))
            }
            "redis" => {
                let bus = Arc::new(parts::redis(settings)?);
                let url = settings.text("REDIS_URL").unwrap_or_default();
                let name = format!("ohx-serve-{}", std::process::id());
                let relay =
                    RedisRelay::new(url, parts::redis_prefix(settings), &name, RelayConfig::default())?;
                (bus, Engine::Redis(relay))
            }
            other => {
                let expected = "memory or redis for ohx serve".into();
                return Err(
                    SettingError::Wrong { name: "OHX_BUS", expected, shown: Some(other.into()) }.into()
                );
            }
        };
        let access = ohx_api::Access::from_settings(settings)?;
        let refresh = ohx_transform::refresh(settings)?;
        let console = Console::from_settings(settings)?;
        let kept = ohx_metrics::kept(settings)?;
        let parts = Parts::on(settings, crate::store::open(settings).await?, bus)?;
        parts.store.migrate().await?;
        let links = Links::new(parts)
            .with_redirects(Redirects::from_settings(settings)?)
            .with_reach(Reach::from_settings(settings)?);
        let ready = links.parts().ready();
        let public = ohx_oauth::router(links.clone(), ohx_oauth::page_days(settings)?)
            .merge(ohx_webhook::router(links.clone(), ohx_webhook::forwarded_hops(settings)?))
            .merge(ohx_api::router(links.clone(), access))
            // It asks the API over HTTP, as it does where it is deployed on its own.
            .merge(ohx_console::router(console));
        let inner = [
            (Function::Nightly, ohx_nightly::router(links.clone())),
            (Function::Fetch, ohx_fetch::router(links.clone())),
            (Function::Transform, ohx_transform::router(links.clone(), refresh)),
            (Function::Publish, ohx_publish::router(links.clone())),
            (Function::Devices, ohx_devices::router(links.clone())),
        ];
        let inner =
            inner.into_iter().map(|(f, router)| (f, wrap(f.as_str(), router, ready.clone()))).collect();
        let Parts { store, bus, clock, .. } = links.parts().clone();
        let collector = Arc::new(Collector::new(store, Some(bus), clock, kept));
        let public = wrap_with("ohx", public, ready, Some(collector.more()));
        Ok(Self { public, links, engine, inner })
    }

    /// Serves on `listener` and moves events until `stop` turns true, then finishes what is in hand.
    pub(crate) async fn run(self, listener: TcpListener, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let parts = self.links.parts();
        let deliver = Arc::new(RouterDeliver::new(self.inner));
        let bury = Arc::new(StoreBury::new(parts.store.clone(), parts.clock.clone()));
        let policy = RetryPolicy::default();
        let events = {
            let stop = stopped(stop.clone());
            async move {
                match self.engine {
                    Engine::Memory(bus) => {
                        bus.run(deliver, bury, policy, stop).await;
                        Ok(())
                    }
                    Engine::Redis(relay) => relay.run(deliver, bury, policy, stop).await,
                }
            }
        };
        let events = tokio::spawn(events);
        ohx_runtime::serve::serve_on(listener, self.public, stopped(stop)).await?;
        events.await??;
        Ok(())
    }
}

/// Resolves when `stop` turns true, or its sender is gone.
pub(crate) async fn stopped(mut stop: watch::Receiver<bool>) {
    // An error means that the sender is gone: that is the end as well.
    let _ended = stop.wait_for(|stop| *stop).await.is_err();
}
