//! The oauth function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;

use ohx_link::{Links, Redirects};
use ohx_runtime::parts::Parts;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("oauth", async |settings| {
        let parts = Parts::from_settings(&settings)?;
        let (ready, store) = (parts.ready(), parts.store.clone());
        let days = ohx_oauth::page_days(&settings)?;
        let links = Links::new(parts).with_redirects(Redirects::from_settings(&settings)?);
        Ok(Service::new(ohx_oauth::router(links, days), ready).closing(store))
    })
}
