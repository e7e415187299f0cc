//! `ohx sandbox`: only the outside world, in small.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use ohx_domain::{Clock, SystemClock};
use ohx_runtime::{outbound, shutdown_signal};
use ohx_sandbox::fhir::FhirServer;
use ohx_sandbox::{google_health, omron, withings};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::host::stopped;

/// The app that the sandbox knows, at every provider.
pub(crate) const CLIENT_ID: &str = "ohx-sandbox";
/// Its secret. Nothing behind it is real.
pub(crate) const CLIENT_SECRET: &str = "sandbox-secret";
/// What the simulated Google sends with its notifications.
pub(crate) const GOOGLE_WEBHOOK: &str = "Bearer sandbox-google";
/// The last part of the address that the simulated Omron calls.
pub(crate) const OMRON_WEBHOOK: &str = "sandbox-omron-notification-address";
/// Calls a minute that it may make, more than any provider allows: nobody wants to watch a quota.
const REQUESTS_PER_MINUTE: usize = 6000;

/// Runs simulated providers and a small in-memory FHIR R5 server, each on its own port, for trying things out.
#[derive(Args)]
pub(crate) struct Sandbox {
    /// The simulated Withings' port
    #[arg(long, default_value_t = 8090)]
    withings_port: u16,
    /// The FHIR server's port
    #[arg(long, default_value_t = 8091)]
    fhir_port: u16,
    /// The simulated Google Health's port
    #[arg(long, default_value_t = 8092)]
    fitbit_port: u16,
    /// The simulated Omron's port
    #[arg(long, default_value_t = 8093)]
    omron_port: u16,
    /// Days of readings that each simulated person has
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Where the exchange is, whose redirect and notification addresses the providers know
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    exchange: String,
}

/// Where the outside world listens.
pub(crate) struct Ports {
    pub(crate) withings: TcpListener,
    pub(crate) fitbit: TcpListener,
    pub(crate) omron: TcpListener,
    pub(crate) fhir: TcpListener,
}

impl Ports {
    /// Any that are free.
    pub(crate) async fn any() -> anyhow::Result<Self> {
        let (withings, fitbit) = (listen(0, "").await?, listen(0, "").await?);
        Ok(Self { withings, fitbit, omron: listen(0, "").await?, fhir: listen(0, "").await? })
    }
}

/// The outside world, running. Nobody lives in it yet.
pub(crate) struct World {
    pub(crate) withings: withings::Simulator,
    pub(crate) withings_url: String,
    pub(crate) fitbit: google_health::Simulator,
    pub(crate) fitbit_url: String,
    pub(crate) omron: omron::Simulator,
    pub(crate) omron_url: String,
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
    /// Starts all servers, for an exchange at this address.
    pub(crate) async fn start(
        ports: Ports,
        exchange: &str,
        stop: &watch::Receiver<bool>,
    ) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let http = outbound::client(Duration::from_secs(10))?;
        let redirect = |provider: &str| format!("{exchange}/oauth/callback/{provider}");
        let mut config = withings::Config::new(CLIENT_ID, CLIENT_SECRET, &[&redirect("withings")]);
        config.requests_per_minute = REQUESTS_PER_MINUTE;
        let withings = withings::Simulator::new(config, clock.clone(), http.clone());
        let mut config = google_health::Config::new(CLIENT_ID, CLIENT_SECRET, &[&redirect("fitbit")]);
        config.requests_per_minute = REQUESTS_PER_MINUTE;
        let fitbit = google_health::Simulator::new(config, clock.clone(), http.clone())?;
        let mut config = omron::Config::new(CLIENT_ID, CLIENT_SECRET, &[&redirect("omron")]);
        config.requests_per_minute = REQUESTS_PER_MINUTE;
        let omron = omron::Simulator::new(config, clock.clone(), http);
        omron.register_notifications(Some(&format!("{exchange}/webhook/omron/{OMRON_WEBHOOK}")));
        let serve = |listener: TcpListener, router| {
            let url = listener.local_addr().map(|at| format!("http://{at}"));
            tokio::spawn(ohx_sandbox::serve(listener, router, stopped(stop.clone())));
            url
        };
        Ok(Self {
            withings_url: serve(ports.withings, withings.router())?,
            fitbit_url: serve(ports.fitbit, fitbit.router())?,
            omron_url: serve(ports.omron, omron.router())?,
            fhir_url: format!("{}/fhir", serve(ports.fhir, FhirServer::new(clock).router())?),
            withings,
            fitbit,
            omron,
        })
    }

    /// The variables that [`World::configuration`] names.
    pub(crate) fn environment(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        Ok(vec![
            ("WITHINGS_SECRET", CLIENT_SECRET.to_owned()),
            ("GOOGLE_SECRET", CLIENT_SECRET.to_owned()),
            ("GOOGLE_WEBHOOK", GOOGLE_WEBHOOK.to_owned()),
            ("GOOGLE_SERVICE_ACCOUNT", self.fitbit.service_account(&self.fitbit_url)?),
            ("OMRON_SECRET", CLIENT_SECRET.to_owned()),
            ("OMRON_WEBHOOK", OMRON_WEBHOOK.to_owned()),
        ])
    }

    /// A configuration for the sandbox, as `ohx apply` reads it. `fitbit_records` are those to be read of Google Health,
    /// where not all are.
    pub(crate) fn configuration(&self, fitbit_records: &[&str]) -> String {
        let Self { withings_url, fitbit_url, omron_url, fhir_url, .. } = self;
        let records = match fitbit_records {
            [] => String::new(),
            some => format!("    records: [{}]\n", some.join(", ")),
        };
        let app = |name: &str, secret: &str| {
            format!(
                "  - name: {name}\n    type: {name}\n    client_id: {CLIENT_ID}\n    client_secret: {{ env: {secret} }}\n    \
                 requests_per_minute: {REQUESTS_PER_MINUTE}\n"
            )
        };
        let (withings, fitbit) = (app("withings", "WITHINGS_SECRET"), app("fitbit", "GOOGLE_SECRET"));
        let omron = app("omron", "OMRON_SECRET");
        format!(
            "providers:\n\
             {withings}    base_urls: {{ api: \"{withings_url}\", consent: \"{withings_url}\" }}\n\
             {fitbit}{records}    secrets: {{ webhook: {{ env: GOOGLE_WEBHOOK }}, service-account: {{ env: GOOGLE_SERVICE_ACCOUNT }} }}\n    \
             options: {{ project: \"123456789012\", patient-requests-per-minute: \"{REQUESTS_PER_MINUTE}\" }}\n    \
             base_urls: {{ api: \"{fitbit_url}\", accounts: \"{fitbit_url}\", oauth: \"{fitbit_url}\", keyset: \"{fitbit_url}/keyset.json\" }}\n\
             {omron}    secrets: {{ webhook: {{ env: OMRON_WEBHOOK }} }}\n    options: {{ notifications: registered }}\n    \
             base_urls: {{ authorize: \"{omron_url}\", api: \"{omron_url}/prd\" }}\n  \
             - name: beurer\n    type: beurer\n    client_id: none\n\
             ehrs:\n  - name: clinic\n    base_url: {fhir_url}\n"
        )
    }
}

impl Sandbox {
    pub(crate) async fn run(&self) -> anyhow::Result<()> {
        let (stop, stopping) = watch::channel(false);
        let ports = Ports {
            withings: listen(self.withings_port, "--withings-port").await?,
            fitbit: listen(self.fitbit_port, "--fitbit-port").await?,
            omron: listen(self.omron_port, "--omron-port").await?,
            fhir: listen(self.fhir_port, "--fhir-port").await?,
        };
        let world = World::start(ports, &self.exchange, &stopping).await?;
        crate::demo::settle(&world, self.days)?;
        let World { withings_url, fitbit_url, omron_url, fhir_url, .. } = &world;
        println!("Simulated Withings:      {withings_url}  (control: {withings_url}/_sandbox/withings/)");
        println!("Simulated Google Health: {fitbit_url}  (control: {fitbit_url}/_sandbox/google-health/)");
        println!("Simulated Omron:         {omron_url}  (control: {omron_url}/_sandbox/omron/)");
        println!("FHIR R5 server:          {fhir_url}");
        println!("\nVariables for the file below:\n");
        for (name, value) in world.environment()? {
            println!("export {name}='{value}'");
        }
        println!("\nA file for ohx apply:\n");
        print!("{}", world.configuration(&[]));
        println!("\nCtrl-C ends it.");
        shutdown_signal().await;
        stop.send_replace(true);
        Ok(())
    }
}
