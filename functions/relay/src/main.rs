//! The relay as a process of its own: `OHX_BUS` is `redis` or `sqs`, or `http` where it only keeps the dead letters of a
//! Knative broker.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ohx_bus::deliver::{HttpDeliver, SinkDeliver};
use ohx_bus::retry::RetryPolicy;
use ohx_bus::{Deliver, SharedBus};
use ohx_bus_redis::RedisRelay;
use ohx_bus_sqs::SqsRelay;
use ohx_domain::{Clock, SystemClock};
use ohx_relay::{addresses, broker};
use ohx_runtime::bury::StoreBury;
use ohx_runtime::serve::{Service, shutdown_signal};
use ohx_runtime::{SettingError, Settings, outbound, parts};
use tokio::task::JoinHandle;

/// How long a function may take over one event unless told otherwise: as both engines have it.
const TIMEOUT: Duration = Duration::from_secs(240);

fn main() -> ExitCode {
    ohx_runtime::run("relay", async |settings| {
        let store = parts::store(&settings)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let bury = Arc::new(StoreBury::new(store.clone(), clock.clone()));
        let sink = broker::router(bury.clone());
        if settings.text("OHX_BUS") == Some("http") {
            return Ok(Service::new(sink, parts::store_ready(store.clone())).closing(store));
        }
        let timeout = seconds(&settings, "OHX_RELAY_TIMEOUT_SECONDS")?.unwrap_or(TIMEOUT);
        let deliver = deliver(&settings, timeout)?;
        let reclaim = seconds(&settings, "OHX_RELAY_RECLAIM_SECONDS")?;
        let policy = RetryPolicy::default();
        let bus: SharedBus;
        let work: JoinHandle<anyhow::Result<()>>;
        match settings.text("OHX_BUS").unwrap_or("redis") {
            "redis" => {
                bus = Arc::new(parts::redis(&settings)?);
                let mut config = ohx_bus_redis::RelayConfig { timeout, ..Default::default() };
                config.reclaim_after = reclaim.unwrap_or(config.reclaim_after);
                let url = settings.text("REDIS_URL").unwrap_or_default();
                let relay = RedisRelay::new(url, parts::redis_prefix(&settings), &name(&settings), config)?;
                work = tokio::spawn(async move {
                    relay.run(deliver, bury, policy, shutdown_signal()).await?;
                    Ok(())
                });
            }
            "sqs" => {
                bus = Arc::new(parts::sqs(&settings)?);
                let mut config = ohx_bus_sqs::RelayConfig { timeout, ..Default::default() };
                config.visibility = reclaim.unwrap_or(config.visibility);
                let relay = SqsRelay::new(&parts::sqs_place(&settings)?, clock, config)?;
                work = tokio::spawn(async move {
                    relay.run(deliver, bury, policy, shutdown_signal()).await;
                    Ok(())
                });
            }
            other => {
                let expected = "redis or sqs, where the relay finds the events; or http, where a Knative broker \
                                delivers them, and the relay keeps what it gives up";
                let expected = expected.to_owned();
                return Err(
                    SettingError::Wrong { name: "OHX_BUS", expected, shown: Some(other.to_owned()) }.into()
                );
            }
        }
        // Events that go from a queue to a broker may end as its dead letters.
        let router = if settings.text("K_SINK").is_some() { sink } else { Router::new() };
        Ok(Service::new(router, parts::ready(store.clone(), bus)).with_background(work).closing(store))
    })
}

/// To the broker at `K_SINK` where that is set, else to each function.
fn deliver(settings: &Settings, timeout: Duration) -> anyhow::Result<Arc<dyn Deliver>> {
    if settings.text("K_SINK").is_some() {
        return Ok(Arc::new(SinkDeliver::new(parts::sink(settings, timeout)?)));
    }
    Ok(Arc::new(HttpDeliver::new(outbound::client(timeout)?, addresses(settings)?)))
}

/// This relay's name, different for each that runs at the same time.
fn name(settings: &Settings) -> String {
    settings.text("HOSTNAME").map_or_else(|| format!("relay-{}", std::process::id()), str::to_owned)
}

fn seconds(settings: &Settings, name: &'static str) -> Result<Option<Duration>, SettingError> {
    Ok(settings.parsed::<u64>(name, "a number of seconds")?.map(Duration::from_secs))
}
