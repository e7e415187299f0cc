//! The publish function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;

use ohx_events::Function;
use ohx_link::Links;
use ohx_runtime::parts::Parts;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("publish", async |settings| {
        let parts = Parts::from_settings(&settings)?;
        let (ready, store) = (parts.ready(), parts.store.clone());
        Ok(Service::new(ohx_publish::router(Links::new(parts)), ready)
            .closing(store.clone())
            .with_events(Function::Publish, store))
    })
}
