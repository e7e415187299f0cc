//! `ohx demo`: the whole exchange at work, on one machine, with nothing real in it.

mod patient;
mod table;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ohx_domain::Instant as Moment;
use ohx_runtime::{Settings, outbound, shutdown_signal};
use ohx_sandbox::compare::{self, RecordAndKind, Row};
use ohx_sandbox::withings::USUAL;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::apply;
use crate::host::Host;
use crate::sandbox::{CLIENT_SECRET, PEOPLE, World, configuration, listen};

/// How long the first sync of all patients may take.
const BACKFILL: Duration = Duration::from_secs(180);
/// How long a reading may take from the scale to the EHR.
const ARRIVAL: Duration = Duration::from_secs(30);
/// How often to look.
const LOOK: Duration = Duration::from_millis(100);

/// Shows the whole exchange at work, with simulated patients, a simulated provider and a small FHIR server.
///
/// Nothing is kept: the database is a temporary file.
#[derive(Args)]
pub(crate) struct Demo {
    /// Ends by itself; exit code 0 if and only if provider and EHR agree
    #[arg(long)]
    once: bool,
    /// The exchange's port
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Days of history
    #[arg(long, default_value_t = 30)]
    days: u32,
    /// Shows every kind of reading in the table, not only every record
    #[arg(long)]
    all_kinds: bool,
}

/// By patient, by record and kind.
type Comparison = Vec<(&'static str, BTreeMap<RecordAndKind, Row>)>;

struct Show {
    world: World,
    http: reqwest::Client,
    api_key: String,
    url: String,
}

/// What the API says of a record's coverage.
#[derive(Deserialize)]
struct Covered {
    missing: Vec<Hole>,
}

#[derive(Deserialize)]
struct Hole {
    start: Moment,
}

/// What the API says of a link.
#[derive(Deserialize)]
struct Connected {
    connected_at: Moment,
    push: Push,
}

#[derive(Deserialize)]
struct Push {
    mode: String,
}

fn patient_reference(person: u64) -> String {
    format!("Patient/demo-{person}")
}

impl Demo {
    pub(crate) async fn run(&self) -> anyhow::Result<ExitCode> {
        let (stop, stopping) = watch::channel(false);
        // With --once nobody types the address, so any port will do where the usual one is taken.
        let listener = match listen(self.port, "--port").await {
            Err(_) if self.once => listen(0, "--port").await?,
            other => other?,
        };
        let url = format!("http://{}", listener.local_addr()?);
        let callback = format!("{url}/oauth/callback/withings");
        let (withings, fhir) = (listen(0, "").await?, listen(0, "").await?);
        let world = World::start(withings, fhir, &[&callback], self.days, &stopping).await?;
        let folder = std::env::temp_dir().join(format!("ohx-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let api_key = ohx_seal::generate_key().expose_secret().to_owned();
        let settings = Settings::from_pairs([
            ("DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.join("ohx.db").display())),
            ("OHX_KEYS", format!("demo:{}", ohx_seal::generate_key().expose_secret())),
            ("OHX_API_KEY", api_key.clone()),
            ("OHX_PUBLIC_URL", url.clone()),
            ("OHX_IDENTIFIER_BASE", "https://ohx.example.org/ns".to_owned()),
            ("WITHINGS_SECRET", CLIENT_SECRET.to_owned()),
        ]);
        let host = Host::build(&settings).await?;
        let configuration = apply::read(&configuration(&world.withings_url, &world.fhir_url))?;
        let parts = host.links.parts();
        apply::apply(&configuration, &settings, &parts.keyring, &parts.store).await?;
        let running = tokio::spawn(host.run(listener, stopping));
        let show = Show { world, http: outbound::client(Duration::from_secs(30))?, api_key, url };

        let shown = tokio::select! {
            shown = show.everything(self.days, self.all_kinds) => shown,
            () = shutdown_signal() => Ok(false),
        };
        if let Ok(true) = shown
            && !self.once
        {
            println!("\nStill serving. Ctrl-C ends it.");
            println!("  exchange  {}   API key: {}", show.url, show.api_key);
            println!(
                "  FHIR      {}/Observation?subject={}",
                show.world.fhir_url,
                patient_reference(PEOPLE[0].0)
            );
            println!("  Withings  {}/_sandbox/withings/", show.world.withings_url);
            shutdown_signal().await;
        }
        stop.send_replace(true);
        running.await??;
        std::fs::remove_dir_all(&folder)
            .with_context(|| format!("{} cannot be removed", folder.display()))?;
        Ok(if shown? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

impl Show {
    /// Connects, waits, shows, weighs. Gives whether provider and EHR agree.
    async fn everything(&self, days: u32, all_kinds: bool) -> anyhow::Result<bool> {
        println!(
            "Open Health Exchange, with nothing real in it: SQLite, in-process bus, simulated Withings, small FHIR R5 server\n"
        );
        let began = Instant::now();
        let mut links = Vec::new();
        for (person, name, _) in PEOPLE {
            let patient = patient_reference(person);
            let link =
                patient::connect(&self.http, &self.url, &self.api_key, &patient, person, days + 1).await;
            links.push(link.with_context(|| format!("connecting {name}"))?);
            println!("  {name} has consented at the provider and is connected");
        }
        let arrived = self.backfill(&links).await?;
        let comparison = self.compare().await?;
        println!("\n{}", table::table(&comparison, all_kinds));
        println!("{arrived} readings of {days} days in {:.1} s", began.elapsed().as_secs_f64());
        let mut agrees = agree(&comparison);
        if agrees {
            self.weigh().await?;
            agrees = agree(&self.compare().await?);
        }
        let verdict = if agrees { "Provider and EHR agree." } else { "Provider and EHR do NOT agree." };
        println!("{verdict}");
        Ok(agrees)
    }

    /// Waits until every record's history is at the EHR and the provider pushes, with a bar. Gives how many readings
    /// have arrived by then.
    async fn backfill(&self, links: &[String]) -> anyhow::Result<usize> {
        let mut expected = 0;
        for (person, ..) in PEOPLE {
            expected += self.world.withings.readings(person, &USUAL)?.len();
        }
        let bar = ProgressBar::new(expected as u64);
        bar.set_style(ProgressStyle::with_template("  {bar:40} {pos}/{len} readings in the EHR, {elapsed}")?);
        let end = Instant::now() + BACKFILL;
        loop {
            let mut ready = true;
            for link in links {
                ready = ready && self.is_ready(link).await?;
            }
            let arrived = self.arrived().await?;
            bar.set_position(arrived as u64);
            if ready || Instant::now() > end {
                bar.finish();
                return Ok(arrived);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Whether a link lacks nothing from before its consent, and hears of news.
    async fn is_ready(&self, link: &str) -> anyhow::Result<bool> {
        let records: Vec<Covered> = self.get(&format!("ingestors/coverage/?link={link}")).await?;
        let link: Connected = self.get(&format!("base/provider-links/{link}/")).await?;
        // The provider's clock has whole seconds.
        let before = link.connected_at - Duration::from_secs(1);
        let published = records.iter().flat_map(|record| &record.missing).all(|hole| hole.start >= before);
        Ok(!records.is_empty() && published && link.push.mode == "subscribed")
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}/api/{path}", self.url);
        let answer = self.http.get(url).bearer_auth(&self.api_key).send().await?.error_for_status()?;
        answer.json().await.context("the API")
    }

    async fn arrived(&self) -> anyhow::Result<usize> {
        let mut arrived = 0;
        for (person, ..) in PEOPLE {
            arrived += compare::count(&self.http, &self.world.fhir_url, &patient_reference(person)).await?;
        }
        Ok(arrived)
    }

    /// Somebody steps on a scale.
    async fn weigh(&self) -> anyhow::Result<()> {
        let (person, name, _) = PEOPLE[0];
        let before = self.arrived().await?;
        println!("\n{name} steps on the scale ...");
        let began = Instant::now();
        self.world.withings.weigh_now(person, "72.10")?;
        while self.arrived().await? == before {
            anyhow::ensure!(
                began.elapsed() < ARRIVAL,
                "the reading did not arrive within {} s",
                ARRIVAL.as_secs()
            );
            tokio::time::sleep(LOOK).await;
        }
        println!(
            "... and {:.1} s later the reading is in the EHR: notified by webhook, fetched, mapped, written.\n",
            began.elapsed().as_secs_f64()
        );
        Ok(())
    }

    async fn compare(&self) -> anyhow::Result<Comparison> {
        let mut all = Vec::new();
        for (person, name, _) in PEOPLE {
            let patient = patient_reference(person);
            let World { withings, fhir_url, .. } = &self.world;
            let readings = withings.readings(person, &USUAL)?;
            let rows = compare::compare("withings", &readings, &self.http, fhir_url, &patient).await?;
            all.push((name, rows));
        }
        Ok(all)
    }
}

fn agree(comparison: &Comparison) -> bool {
    let mut rows = comparison.iter().flat_map(|(_, rows)| rows.values());
    comparison.iter().all(|(_, rows)| !rows.is_empty()) && rows.all(Row::agrees)
}
