//! The webhook function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;

use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("webhook", async |settings| {
        let parts = Parts::from_settings(&settings)?;
        let (ready, store) = (parts.ready(), parts.store.clone());
        let hops = ohx_webhook::forwarded_hops(&settings)?;
        Ok(Service::new(ohx_webhook::router(Links::new(parts), hops), ready).closing(store))
    })
}
