//! `ohx import`: an export file to a link, through the API of a running exchange.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use ohx_domain::LinkId;
use ohx_runtime::{Settings, outbound};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::Url;

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
    /// The exchange's address [default: OHX_PUBLIC_URL, else http://127.0.0.1:8080]
    #[arg(long, value_name = "URL")]
    api: Option<Url>,
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
struct Problem {
    detail: Option<String>,
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

struct Api {
    http: reqwest::Client,
    base: Url,
    key: SecretString,
}

impl Import {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let shown = self.file.display();
        let file = std::fs::read(&self.file).with_context(|| format!("{shown} cannot be read"))?;
        let base = match (&self.api, settings.text("OHX_PUBLIC_URL")) {
            (Some(url), _) => url.clone(),
            (None, text) => text.unwrap_or("http://127.0.0.1:8080").parse().context("OHX_PUBLIC_URL")?,
        };
        let key = settings.secret("OHX_API_KEY", "the key of the API, as the exchange has it")?;
        let api = Api { http: outbound::client(Duration::from_secs(60))?, base, key };
        let imported = match api.import(self, file).await? {
            Ok(imported) => imported,
            Err(problem) => {
                eprintln!("{shown}: {problem}");
                return Ok(ExitCode::FAILURE);
            }
        };
        tell(&imported, self.dry_run);
        match imported.sync {
            Some(sync) if !self.no_wait => api.wait(&sync).await,
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

impl Api {
    async fn import(&self, import: &Import, file: Vec<u8>) -> anyhow::Result<Result<Imported, String>> {
        let mut url = self.at("api/ingestors/imports/")?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("link", &import.link.to_string()).append_pair("zone", &import.zone);
            if let Some(order) = import.date_order {
                query.append_pair(
                    "date_order",
                    match order {
                        Order::Dmy => "dmy",
                        Order::Mdy => "mdy",
                    },
                );
            }
            for (name, flag) in [("dry_run", import.dry_run), ("accept_counts", import.accept_counts)] {
                if flag {
                    query.append_pair(name, "true");
                }
            }
        }
        let request = self.http.post(url).bearer_auth(self.key.expose_secret()).body(file);
        let answer = request.send().await.map_err(|e| self.out_of_reach(&e))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(Ok(answer.json().await.context("the exchange's answer cannot be read")?));
        }
        let problem: Option<Problem> = answer.json().await.ok();
        let detail = problem.and_then(|p| p.detail).unwrap_or_else(|| format!("HTTP {status}"));
        if status.is_client_error() && status.as_u16() != 401 {
            return Ok(Err(detail));
        }
        bail!("the exchange at {}: {detail}", self.base)
    }

    /// Waits until a sync has ended, and says how.
    async fn wait(&self, sync: &str) -> anyhow::Result<ExitCode> {
        let bar = ProgressBar::new_spinner().with_message("on the way to the EHR");
        bar.enable_steady_tick(LOOK);
        let give_up = tokio::time::Instant::now() + PATIENCE;
        loop {
            let url = self.at(&format!("api/ingestors/syncs/{sync}/"))?;
            let request = self.http.get(url.clone()).bearer_auth(self.key.expose_secret());
            let answer = request.send().await.map_err(|e| self.out_of_reach(&e))?;
            let sync: Sync = answer.json().await.context("the exchange's answer cannot be read")?;
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

    fn at(&self, path: &str) -> anyhow::Result<Url> {
        let base = self.base.as_str().trim_end_matches('/');
        Ok(Url::parse(&format!("{base}/{path}"))?)
    }

    fn out_of_reach(&self, error: &reqwest::Error) -> anyhow::Error {
        let kind = if error.is_connect() { "nothing answers there" } else { "it did not answer in time" };
        anyhow::anyhow!("the exchange at {}: {kind}; is it running? (--api, OHX_PUBLIC_URL)", self.base)
    }
}
