//! `ohx import`: an export file to a link, through the API of a running exchange.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use ohx_domain::LinkId;
use ohx_runtime::Settings;
use reqwest::Method;
use serde::Deserialize;

use crate::client::{self, Api, Exchange};

/// How long the readings may take to the EHR before this command no longer waits.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often to look.
const LOOK: Duration = Duration::from_millis(250);

/// Brings in an export file: HealthManager Pro's CSV, as the app wrote it.
///
/// The whole file is read before any of it is sent on, and importing it again changes nothing. The exchange has to be
/// running: `ohx serve`, or the functions behind OHX_PUBLIC_URL.
#[derive(Args)]
pub(crate) struct Import {
    /// The file
    file: PathBuf,
    /// The link whose patient's readings these are
    #[arg(long)]
    link: LinkId,
    /// The IANA zone that the phone was in, such as Europe/Berlin: the file has wall clock times only
    #[arg(long)]
    zone: String,
    /// How dates such as 03/04/2026 are meant, where the file does not show it
    #[arg(long)]
    date_order: Option<Order>,
    /// Only says what would be imported
    #[arg(long)]
    dry_run: bool,
    /// Takes a file that has other counts than it states
    #[arg(long)]
    accept_counts: bool,
    /// Does not wait until the readings are at the EHR
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    exchange: Exchange,
}

#[derive(Clone, Copy, ValueEnum)]
enum Order {
    /// Day first
    Dmy,
    /// Month first
    Mdy,
}

#[derive(Deserialize)]
struct Imported {
    sync: Option<String>,
    records: Vec<ImportedRecord>,
    report: Report,
}

#[derive(Deserialize)]
struct ImportedRecord {
    record: String,
    readings: u64,
}

#[derive(Deserialize)]
struct Report {
    lines: Vec<Line>,
    columns: Vec<Column>,
    warnings: Vec<Warning>,
}

#[derive(Deserialize)]
struct Line {
    line: usize,
    section: Option<String>,
    outcome: String,
    reason: Option<String>,
    column: Option<String>,
    #[serde(default)]
    cells: Vec<Cell>,
}

#[derive(Deserialize)]
struct Cell {
    column: String,
    reason: String,
}

#[derive(Deserialize)]
struct Column {
    section: String,
    column: String,
    reason: String,
}

#[derive(Deserialize)]
struct Warning {
    line: Option<usize>,
    text: String,
}

#[derive(Deserialize)]
struct Sync {
    completed: bool,
    counts: ohx_domain::Counts,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    state: String,
    note: Option<String>,
}

impl Import {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let shown = self.file.display();
        let file = std::fs::read(&self.file).with_context(|| format!("{shown} cannot be read"))?;
        let api = self.exchange.api(settings)?;
        let imported = match self.send(&api, file).await? {
            Ok(imported) => imported,
            Err(problem) => {
                eprintln!("{shown}: {problem}");
                return Ok(ExitCode::FAILURE);
            }
        };
        tell(&imported, self.dry_run);
        match imported.sync {
            Some(sync) if !self.no_wait => wait(&api, &sync).await,
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

/// What became of the file, line by line where something is left out.
fn tell(imported: &Imported, dry_run: bool) {
    for ImportedRecord { record, readings } in &imported.records {
        let verb = if dry_run { "would be imported" } else { "read" };
        println!("{record}: {readings} reading(s) {verb}");
    }
    if imported.records.is_empty() {
        println!("No readings in it.");
    }
    for line in &imported.report.lines {
        let section = line.section.as_deref().unwrap_or("unknown section");
        if line.outcome != "imported" {
            let reason = line.reason.as_deref().unwrap_or("the same reading stands further up");
            let column = line.column.as_ref().map(|c| format!(" ({c})")).unwrap_or_default();
            println!("  line {} ({section}): {}: {reason}{column}", line.line, line.outcome);
        }
        for cell in &line.cells {
            println!("  line {} ({section}): without {}: {}", line.line, cell.column, cell.reason);
        }
    }
    for column in imported.report.columns.iter().filter(|c| c.reason != "not-needed") {
        println!("  {}: the column {} is not read: {}", column.section, column.column, column.reason);
    }
    for warning in &imported.report.warnings {
        match warning.line {
            Some(line) => println!("  line {line}: {}", warning.text),
            None => println!("  {}", warning.text),
        }
    }
}

impl Import {
    async fn send(&self, api: &Api, file: Vec<u8>) -> anyhow::Result<Result<Imported, String>> {
        let mut url = api.at("api/ingestors/imports/")?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("link", &self.link.to_string()).append_pair("zone", &self.zone);
            if let Some(order) = self.date_order {
                query.append_pair(
                    "date_order",
                    match order {
                        Order::Dmy => "dmy",
                        Order::Mdy => "mdy",
                    },
                );
            }
            for (name, flag) in [("dry_run", self.dry_run), ("accept_counts", self.accept_counts)] {
                if flag {
                    query.append_pair(name, "true");
                }
            }
        }
        match api.send(api.call(Method::POST, url).body(file)).await? {
            Ok(answer) => Ok(Ok(client::read(answer).await?)),
            Err(problem) => Ok(Err(problem)),
        }
    }
}

/// Waits until a sync has ended, and says how.
async fn wait(api: &Api, sync: &str) -> anyhow::Result<ExitCode> {
    let bar = ProgressBar::new_spinner().with_message("on the way to the EHR");
    bar.enable_steady_tick(LOOK);
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        let url = api.at(&format!("api/ingestors/syncs/{sync}/"))?;
        let answer = api.send(api.call(Method::GET, url.clone())).await?.map_err(anyhow::Error::msg)?;
        let sync: Sync = client::read(answer).await?;
        if sync.completed {
            bar.finish_and_clear();
            let c = sync.counts;
            println!(
                "At the EHR: {} new, {} changed, {} there already; {} refused by it, {} left out by the mapping",
                c.created, c.updated, c.unchanged, c.rejected, c.skipped
            );
            return Ok(if c.rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        if let Some(failed) = sync.requests.iter().find(|r| r.state == "failed") {
            bar.finish_and_clear();
            bail!("not imported: {}", failed.note.as_deref().unwrap_or("see the exchange's log"));
        }
        if tokio::time::Instant::now() >= give_up {
            bar.finish_and_clear();
            println!("Still on the way after {} s: see {url}", PATIENCE.as_secs());
            return Ok(ExitCode::FAILURE);
        }
        tokio::time::sleep(LOOK).await;
    }
}
