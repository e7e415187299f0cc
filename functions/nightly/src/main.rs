//! The nightly function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;

use ohx_events::Function;
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("nightly", async |settings| {
        let parts = Parts::from_settings(&settings)?;
        let (ready, store) = (parts.ready(), parts.store.clone());
        let mut router = ohx_nightly::router(Links::new(parts));
        if settings.parsed("OHX_NIGHTLY_PLAIN_CLOCK", "true or false")?.unwrap_or(false) {
            router = ohx_nightly::with_plain_clock(router);
        }
        Ok(Service::new(router, ready).closing(store.clone()).with_events(Function::Nightly, store))
    })
}
