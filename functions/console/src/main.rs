//! The console function as a process of its own: on a port, or on AWS Lambda.

use std::process::ExitCode;

use ohx_console::Console;
use ohx_runtime::serve::Service;

fn main() -> ExitCode {
    ohx_runtime::run("console", async |settings| {
        let console = Console::from_settings(&settings)?;
        let ready = console.ready();
        Ok(Service::new(ohx_console::router(console), ready))
    })
}
