//! `ohx demo`: the whole exchange at work, on one machine, with nothing real in it.

mod devices;
mod export;
mod patient;
mod people;
mod table;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use ohx_domain::{Clock as _, Instant as Moment, SystemClock};
use ohx_runtime::{Settings, outbound, shutdown_signal};
use ohx_sandbox::compare::{self, RecordAndKind, Row};
use ohx_sandbox::{google_health, omron, withings};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use self::export::Export;
use self::people::{Account, ELI, PEOPLE, Person};
use crate::apply;
use crate::host::Host;
use crate::sandbox::{Ports, World, listen};

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

/// By patient and account, by record and kind.
type Comparison = Vec<(&'static str, Account, BTreeMap<RecordAndKind, Row>)>;

struct Show {
    world: World,
    exports: BTreeMap<&'static str, Export>,
    http: reqwest::Client,
    api_key: String,
    url: String,
}

/// What the API says of a record's coverage.
#[derive(Deserialize)]
struct Covered {
    record: String,
    missing: Vec<Hole>,
}

#[derive(Deserialize)]
struct Hole {
    start: Moment,
}

/// What the API says of a link.
#[derive(Deserialize)]
struct Connected {
    provider: String,
    connected_at: Moment,
    push: Push,
}

#[derive(Deserialize)]
struct Push {
    mode: String,
}

/// Gives everybody a history, and the exports of those whose readings come by file.
pub(crate) fn settle(world: &World, days: u32) -> anyhow::Result<BTreeMap<&'static str, Export>> {
    let mut exports = BTreeMap::new();
    for (salt, Person { name, patient, zone, accounts }) in (1_u32..).zip(&PEOPLE) {
        let (name, zone) = ((*name).to_owned(), (*zone).to_owned());
        let export = Export::new(&zone, SystemClock.now(), days, salt)?;
        for account in *accounts {
            let (name, timezone) = (name.clone(), zone.clone());
            match *account {
                Account::Withings(id) => {
                    world.withings.add_person(withings::Person { id, name, timezone })?;
                    world.withings.seed_history(id, days, 3)?;
                    world.withings.seed_daily(id, days)?;
                }
                Account::Fitbit(id) => {
                    let (legacy_id, linked) = (None, true);
                    let person = google_health::Person { id, name, timezone, legacy_id, linked };
                    world.fitbit.add_person(person)?;
                    // Who owns a Beurer scale has nothing of Fitbit's own: what is there came through Health Connect.
                    if accounts.len() == 1 {
                        world.fitbit.seed_daily(id, days)?;
                    } else {
                        world.fitbit.add_points(id, relayed(&export)?)?;
                    }
                }
                Account::Omron(id) => {
                    world.omron.add_person(omron::Person { id: id.to_owned(), name, timezone })?;
                    world.omron.seed_history(id, days)?;
                }
                Account::Beurer => {}
            }
        }
        exports.insert(*patient, export);
    }
    Ok(exports)
}

/// The weighings of an export, as the app wrote them to Health Connect, which hands them on to Google Health.
fn relayed(export: &Export) -> anyhow::Result<Vec<google_health::NewPoint>> {
    let point = |(at, grams): (i64, u32)| {
        let value = format!("{{\"weightGrams\":{grams}}}");
        let point = google_health::NewPoint::new("weight", at, None, value)?;
        Ok(point.relayed("HEALTH_CONNECT", "com.beurer.healthmanager"))
    };
    export.weighings()?.into_iter().map(point).collect()
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
        let world = World::start(Ports::any().await?, &url, &stopping).await?;
        let exports = settle(&world, self.days)?;
        let folder = std::env::temp_dir().join(format!("ohx-demo-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        let api_key = ohx_seal::generate_key().expose_secret().to_owned();
        let own = [
            ("DATABASE_URL", format!("sqlite://{}?mode=rwc", folder.join("ohx.db").display())),
            ("OHX_KEYS", format!("demo:{}", ohx_seal::generate_key().expose_secret())),
            ("OHX_API_KEY", api_key.clone()),
            // What is simulated is on this machine.
            ("OHX_OUTBOUND_PRIVATE", "127.0.0.0/8".to_owned()),
            ("OHX_PUBLIC_URL", url.clone()),
            ("OHX_API_URL", url.clone()),
            ("OHX_IDENTIFIER_BASE", "https://ohx.example.org/ns".to_owned()),
        ];
        let settings = Settings::from_pairs(own.into_iter().chain(world.environment()?));
        let host = Host::build(&settings).await?;
        let configuration = apply::read(&world.configuration(&google_health::USUAL))?;
        let parts = host.links.parts();
        apply::apply(&configuration, &settings, &parts.keyring, &parts.store).await?;
        let running = tokio::spawn(host.run(listener, stopping));
        let show = Show { world, exports, http: outbound::client(Duration::from_secs(30))?, api_key, url };

        let shown = tokio::select! {
            shown = show.everything(self.days, self.all_kinds) => shown,
            () = shutdown_signal() => Ok(false),
        };
        if let Ok(true) = shown
            && !self.once
        {
            println!("\nStill serving. Ctrl-C ends it.");
            println!("  console   {}/console/", show.url);
            println!("            sign in with the API key {}", show.api_key);
            println!("  API       {}/api/", show.url);
            println!("  FHIR      {}/Observation?subject={}", show.world.fhir_url, PEOPLE[0].patient);
            println!("  Withings  {}/_sandbox/withings/", show.world.withings_url);
            println!("  Google    {}/_sandbox/google-health/", show.world.fitbit_url);
            println!("  Omron     {}/_sandbox/omron/", show.world.omron_url);
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
            "Open Health Exchange, with nothing real in it: SQLite, in-process bus, simulated Withings, Google Health and\n\
             Omron, files as Beurer's app exports them, small FHIR R5 server\n"
        );
        let began = Instant::now();
        let mut links = Vec::new();
        for person in &PEOPLE {
            for account in person.accounts {
                let link = self.connect(person, *account, days + 1).await;
                let link =
                    link.with_context(|| format!("connecting {} to {}", person.name, account.provider()))?;
                links.extend(link);
            }
        }
        let arrived = self.backfill(&links).await?;
        let comparison = self.compare().await?;
        println!("\n{}", table::table(&comparison, all_kinds));
        println!("{arrived} readings of {days} days in {:.1} s", began.elapsed().as_secs_f64());
        self.devices().await?;
        let mut agrees = agree(&comparison) && self.tells_apart().await?;
        if agrees {
            self.weigh().await?;
            agrees = agree(&self.compare().await?);
        }
        let verdict = if agrees { "Provider and EHR agree." } else { "Provider and EHR do NOT agree." };
        println!("{verdict}");
        Ok(agrees)
    }

    /// Connects one account. Gives the link's id where it has to be waited for; a file is waited for here.
    async fn connect(&self, person: &Person, account: Account, days: u32) -> anyhow::Result<Option<String>> {
        let exchange = patient::Exchange { http: &self.http, url: &self.url, api_key: &self.api_key };
        let (provider, name) = (account.provider(), person.name);
        let link = exchange.create(provider, person.patient, days).await?;
        match account.user() {
            Some(user) => {
                exchange.consent(&link, &user).await?;
                println!("  {name} has consented at the provider: {provider} is connected");
                Ok(Some(link.id))
            }
            None => {
                let export = self.exports.get(person.patient).context("no export")?;
                let count = exchange.import(&link.id, person.zone, export.file()).await?;
                println!("  {name} has sent in a file of the app: {provider}, {count} rows");
                Ok(None)
            }
        }
    }

    /// Waits until every record's history is at the EHR and the provider pushes, with a bar. Gives how many readings
    /// have arrived by then.
    async fn backfill(&self, links: &[String]) -> anyhow::Result<usize> {
        let mut expected = 0;
        for person in &PEOPLE {
            for account in person.accounts {
                expected += account.readings(&self.world, self.export(person)?)?.len();
            }
        }
        let bar = ProgressBar::new(expected as u64);
        bar.set_style(ProgressStyle::with_template("  {bar:40} {pos}/{len} readings in the EHR, {elapsed}")?);
        let end = Instant::now() + BACKFILL;
        loop {
            let mut lacks = None;
            for link in links {
                if lacks.is_none() {
                    lacks = self.lacks(link).await?;
                }
            }
            let arrived = self.arrived().await?;
            bar.set_position(arrived as u64);
            let late = Instant::now() > end;
            if late || (lacks.is_none() && arrived >= expected) {
                bar.finish();
                if let Some(lacks) = lacks {
                    println!("  Not complete after {} s: {lacks}", BACKFILL.as_secs());
                }
                return Ok(arrived);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn export(&self, person: &Person) -> anyhow::Result<&Export> {
        self.exports.get(person.patient).context("no export")
    }

    /// What a link lacks from before its consent, or that it does not hear of news.
    async fn lacks(&self, link: &str) -> anyhow::Result<Option<String>> {
        let covered: crate::client::Page<Covered> =
            self.get(&format!("ingestors/coverage/?link={link}")).await?;
        let records = covered.items;
        let link: Connected = self.get(&format!("base/provider-links/{link}/")).await?;
        // The provider's clock has whole seconds.
        let before = link.connected_at - Duration::from_secs(1);
        let hole = records.iter().find(|r| r.missing.iter().any(|hole| hole.start < before));
        Ok(match hole {
            Some(record) => Some(format!("{} of {} has holes", record.record, link.provider)),
            None if records.is_empty() => Some(format!("nothing of {} is asked for", link.provider)),
            None if link.push.mode != "subscribed" => Some(format!("{} does not notify", link.provider)),
            None => None,
        })
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let url = format!("{}/api/{path}", self.url);
        let answer = self.http.get(url).bearer_auth(&self.api_key).send().await?.error_for_status()?;
        answer.json().await.context("the API")
    }

    async fn arrived(&self) -> anyhow::Result<usize> {
        let mut arrived = 0;
        for person in &PEOPLE {
            arrived += compare::count(&self.http, &self.world.fhir_url, person.patient).await?;
        }
        Ok(arrived)
    }

    /// Two scales, three ways: what came through Health Connect says so, and can be told from what came by file.
    async fn tells_apart(&self) -> anyhow::Result<bool> {
        let World { fhir_url, .. } = &self.world;
        let weights = compare::origins(&self.http, fhir_url, ELI.patient, "29463-7").await?;
        let relayed = weights.get(&Some("health-connect".to_owned())).copied().unwrap_or(0);
        let direct = weights.get(&None).copied().unwrap_or(0);
        let weighings = self.export(ELI)?.weighings()?.len();
        println!(
            "\n{} has two scales. The {weighings} weighings of the Beurer one came twice: in the file, and through Health\n\
             Connect and Google Health. The latter {relayed} carry the tag origin health-connect; {direct} weights do not.",
            ELI.name
        );
        Ok(relayed == weighings && direct >= weighings)
    }

    /// Somebody steps on a scale.
    async fn weigh(&self) -> anyhow::Result<()> {
        let Person { name, accounts, .. } = PEOPLE[0];
        let Some(Account::Withings(person)) = accounts.first() else { return Ok(()) };
        let before = self.arrived().await?;
        println!("\n{name} steps on the scale ...");
        let began = Instant::now();
        self.world.withings.weigh_now(*person, "72.10")?;
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
        for person in &PEOPLE {
            for account in person.accounts {
                let readings = account.readings(&self.world, self.export(person)?)?;
                let (provider, http, fhir) = (account.provider(), &self.http, &self.world.fhir_url);
                let rows = match account {
                    Account::Beurer => {
                        compare::compare_by_time(provider, &readings, http, fhir, person.patient).await?
                    }
                    _ => compare::compare(provider, &readings, http, fhir, person.patient).await?,
                };
                all.push((person.name, *account, rows));
            }
        }
        Ok(all)
    }
}

fn agree(comparison: &Comparison) -> bool {
    let mut rows = comparison.iter().flat_map(|(_, _, rows)| rows.values());
    comparison.iter().all(|(_, _, rows)| !rows.is_empty()) && rows.all(Row::agrees)
}
