//! The metrics function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;
use std::sync::Arc;

use axum::Router;
use ohx_domain::SystemClock;
use ohx_metrics::{Collector, LIMIT, bus, kept};
use ohx_runtime::parts;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("metrics", async |settings| {
        let kept = kept(&settings)?;
        let bus = bus(&settings)?;
        let store = parts::store_within(&settings, LIMIT)?;
        let collector = Arc::new(Collector::new(store.clone(), bus, Arc::new(SystemClock), kept));
        Ok(Service::new(Router::new(), collector.ready()).with_metrics(collector.more()).closing(store))
    })
}
