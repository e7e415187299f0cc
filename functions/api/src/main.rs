//! The api function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;

use ohx_api::Access;
use ohx_link::{Links, Redirects};
use ohx_runtime::outbound::Reach;
use ohx_runtime::parts::Parts;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("api", async |settings| {
        let access = Access::from_settings(&settings)?;
        let parts = Parts::from_settings(&settings)?;
        let (ready, store) = (parts.ready(), parts.store.clone());
        let links = Links::new(parts)
            .with_redirects(Redirects::from_settings(&settings)?)
            .with_reach(Reach::from_settings(&settings)?);
        Ok(Service::new(ohx_api::router(links, access), ready).closing(store))
    })
}
