//! `ohx sandbox`: only the outside world, in small.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ohx_domain::SystemClock;
use ohx_runtime::{outbound, shutdown_signal};
use ohx_sandbox::fhir::FhirServer;
use ohx_sandbox::withings::{Config, Person, Simulator};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::host::stopped;

/// The people who live in the sandbox.
pub(crate) const PEOPLE: [(u64, &str, &str); 3] = [
    (1001, "Ada Sandberg", "Europe/Vienna"),
    (1002, "Ben Okafor", "America/New_York"),
    (1003, "Chiyo Mori", "Asia/Tokyo"),
];
/// The app that the sandbox knows.
pub(crate) const CLIENT_ID: &str = "ohx-sandbox";
/// Its secret. Nothing behind it is real.
pub(crate) const CLIENT_SECRET: &str = "sandbox-secret";
/// Calls a minute that it may make, more than on the free plan: nobody wants to watch a quota.
const REQUESTS_PER_MINUTE: usize = 1200;

/// Runs a simulated Withings and a small in-memory FHIR R5 server, each on its own port, for trying things out.
#[derive(Args)]
pub(crate) struct Sandbox {
    /// The simulated Withings' port
    #[arg(long, default_value_t = 8090)]
    withings_port: u16,
    /// The FHIR server's port
    #[arg(long, default_value_t = 8091)]
    fhir_port: u16,
    /// Days of readings that each simulated person has
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// A redirect URL that the simulated Withings accepts; may be given more than once
    #[arg(long, default_value = "http://127.0.0.1:8080/oauth/callback/withings")]
    redirect: Vec<String>,
}

/// The outside world, running.
pub(crate) struct World {
    pub(crate) withings: Simulator,
    pub(crate) withings_url: String,
    pub(crate) fhir_url: String,
}

/// Listens on this machine only: the sandbox has no passwords.
pub(crate) async fn listen(port: u16, what: &str) -> anyhow::Result<TcpListener> {
    let hint = if port == 0 {
        String::new()
    } else {
        format!("; is something else there? choose another port for {what}")
    };
    TcpListener::bind(("127.0.0.1", port))
        .await
        .with_context(|| format!("port {port} cannot be listened on{hint}"))
}

impl World {
    /// Starts both servers, with people who have a history: measurements, days, workouts, nights, samples and ECGs.
    pub(crate) async fn start(
        withings: TcpListener,
        fhir: TcpListener,
        redirects: &[&str],
        days: u32,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let clock = Arc::new(SystemClock);
        let http = outbound::client(Duration::from_secs(10))?;
        let mut config = Config::new(CLIENT_ID, CLIENT_SECRET, redirects);
        config.requests_per_minute = REQUESTS_PER_MINUTE;
        let simulator = Simulator::new(config, clock.clone(), http);
        for (id, name, timezone) in PEOPLE {
            simulator.add_person(Person { id, name: name.into(), timezone: timezone.into() })?;
            simulator.seed_history(id, days, 3)?;
            simulator.seed_daily(id, days)?;
        }
        let withings_url = format!("http://{}", withings.local_addr()?);
        let fhir_url = format!("http://{}/fhir", fhir.local_addr()?);
        tokio::spawn(ohx_sandbox::serve(withings, simulator.router(), stopped(stop.clone())));
        tokio::spawn(ohx_sandbox::serve(fhir, FhirServer::new(clock).router(), stopped(stop.clone())));
        Ok(Self { withings: simulator, withings_url, fhir_url })
    }
}

impl Sandbox {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let (stop, stopping) = watch::channel(false);
        let withings = listen(self.withings_port, "--withings-port").await?;
        let fhir = listen(self.fhir_port, "--fhir-port").await?;
        let redirects: Vec<&str> = self.redirect.iter().map(String::as_str).collect();
        let World { withings_url, fhir_url, .. } =
            World::start(withings, fhir, &redirects, self.days, &stopping).await?;
        println!("Simulated Withings: {withings_url}  (control: {withings_url}/_sandbox/withings/)");
        println!("FHIR R5 server:     {fhir_url}");
        println!("\nA file for ohx apply (WITHINGS_SECRET={CLIENT_SECRET}):\n");
        print!("{}", configuration(&withings_url, &fhir_url));
        println!("\nCtrl-C ends it.");
        shutdown_signal().await;
        stop.send_replace(true);
        Ok(())
    }
}

/// A configuration for the sandbox, as `ohx apply` reads it.
pub(crate) fn configuration(withings_url: &str, fhir_url: &str) -> String {
    format!(
        "providers:\n  - name: withings\n    type: withings\n    client_id: {CLIENT_ID}\n    client_secret: {{ env: WITHINGS_SECRET }}\n    \
         requests_per_minute: {REQUESTS_PER_MINUTE}\n    base_urls: {{ api: \"{withings_url}\", consent: \"{withings_url}\" }}\n\
         ehrs:\n  - name: clinic\n    base_url: {fhir_url}\n"
    )
}
