//! The relay as a process of its own.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use ohx_bus::deliver::HttpDeliver;
use ohx_bus::retry::RetryPolicy;
use ohx_bus_redis::{RedisRelay, RelayConfig};
use ohx_domain::SystemClock;
use ohx_relay::{StoreBury, addresses};
use ohx_runtime::serve::{Service, shutdown_signal};
use ohx_runtime::{outbound, parts};

fn main() -> ExitCode {
    ohx_runtime::run("relay", async |settings| {
        let bus = parts::redis(&settings)?;
        let store = parts::store(&settings).await?;
        let addresses = addresses(&settings)?;
        let name =
            settings.text("HOSTNAME").map_or_else(|| format!("relay-{}", std::process::id()), str::to_owned);
        let mut config = RelayConfig::default();
        if let Some(seconds) = settings.parsed::<u64>("OHX_RELAY_TIMEOUT_SECONDS", "a number of seconds")? {
            config.timeout = Duration::from_secs(seconds);
        }
        if let Some(seconds) = settings.parsed::<u64>("OHX_RELAY_RECLAIM_SECONDS", "a number of seconds")? {
            config.reclaim_after = Duration::from_secs(seconds);
        }
        let url = settings.text("REDIS_URL").unwrap_or_default();
        let deliver = Arc::new(HttpDeliver::new(outbound::client(config.timeout)?, addresses));
        let relay = RedisRelay::new(url, parts::redis_prefix(&settings), &name, config)?;
        let bury = Arc::new(StoreBury::new(store.clone(), Arc::new(SystemClock)));
        let work = tokio::spawn(async move {
            relay.run(deliver, bury, RetryPolicy::default(), shutdown_signal()).await?;
            Ok(())
        });
        let ready = parts::ready(store, Arc::new(bus));
        Ok(Service::new(Router::new(), ready).with_background(work))
    })
}
