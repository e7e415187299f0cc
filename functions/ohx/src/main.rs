//! Open Health Exchange in one process, and its command line.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to a person")]

mod api_keys;
mod apply;
mod audit;
mod client;
mod coverage;
mod dead_letters;
mod demo;
mod doctor;
mod host;
mod import;
mod keys;
mod links;
mod map;
mod mapping;
mod providers;
mod sandbox;
mod serve;
mod store;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ohx_runtime::logs::{self, LogFormat};
use ohx_runtime::{Settings, otlp, outbound, parts};

/// Brings patients' home measurements into a FHIR R5 server: once and only once, and keeps none of them.
#[derive(Parser)]
#[command(name = "ohx", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Shows the whole exchange at work, with simulated patients, a simulated provider and a small FHIR server
    Demo(demo::Demo),
    /// Runs every function in one process, for real providers and EHRs
    Serve(serve::Serve),
    /// Runs only the provider simulator and the small FHIR server
    Sandbox(sandbox::Sandbox),
    /// Brings in an export file of an app, for providers that have no API
    Import(import::Import),
    /// Maps a recorded provider page to a FHIR R5 Bundle on standard output
    Map(map::Map),
    /// Checks, compares and prints mapping documents
    #[command(subcommand)]
    Mapping(mapping::Mapping),
    /// Says what of a link's time is at the EHR, what is missing, and why
    Coverage(coverage::Coverage),
    /// Ends links, and shows the receipts of their ends
    #[command(subcommand)]
    Links(links::Links),
    /// Lists, replays and discards what could not be done
    #[command(subcommand)]
    DeadLetters(dead_letters::DeadLetters),
    /// Lists the types of provider: their records, capabilities and limits
    Providers(providers::Providers),
    /// Says whether everything is reachable and configured
    Doctor(doctor::Doctor),
    /// Puts provider apps, EHR endpoints and mappings from a YAML file into the database
    Apply(apply::Apply),
    /// Brings the database's schema up to date
    Migrate {
        /// Also makes the queues of SQS that are not there; in production, templates make them
        #[arg(long)]
        queues: bool,
    },
    /// Prints the description of the REST API: OpenAPI 3.1
    Openapi,
    /// Makes keys
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Makes, lists and revokes the keys that the API is called with: also the first one
    #[command(subcommand)]
    ApiKeys(api_keys::ApiKeys),
    /// Lists who did what, and says whether anybody has touched the log since
    #[command(subcommand)]
    Audit(audit::Audit),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::from_env().with_folder() {
        Ok(settings) => settings,
        Err(error) => return fail(&error.into()),
    };
    outbound::install_tls();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    let ended = runtime.block_on(async {
        let filter = match &cli.command {
            Command::Serve(_) => None,
            Command::Demo(_) => Some("error"),
            _ => Some("warn"),
        };
        match filter {
            Some(filter) => logs::init(settings.text("RUST_LOG").unwrap_or(filter), LogFormat::Text),
            None => logs::init_with_spans(&settings, "ohx", runtime.handle())?,
        }
        let ended = run(cli.command, settings).await;
        otlp::flush().await;
        ended
    });
    match ended {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(command: Command, settings: Settings) -> anyhow::Result<ExitCode> {
    match command {
        Command::Demo(demo) => return demo.run().await,
        Command::Serve(serve) => serve.run(settings).await?,
        Command::Sandbox(sandbox) => sandbox.run().await?,
        Command::Import(import) => return import.run(&settings).await,
        Command::Map(map) => return Ok(map.run()),
        Command::Mapping(mapping) => return mapping.run(),
        Command::Coverage(coverage) => return coverage.run(&settings).await,
        Command::Links(links) => return links.run(&settings).await,
        Command::DeadLetters(letters) => return letters.run(&settings).await,
        Command::Providers(providers) => providers.run()?,
        Command::Doctor(doctor) => return doctor.run(settings).await,
        Command::Apply(apply) => apply.run(&settings).await?,
        Command::Migrate { queues } => {
            store::open(&settings).await?.migrate().await?;
            println!("The database is up to date.");
            if queues {
                parts::sqs(&settings)?.create().await?;
                println!("The queues are there.");
            }
        }
        Command::Openapi => put(&ohx_api::openapi())?,
        Command::Keys(keys) => keys.run(&settings).await?,
        Command::ApiKeys(keys) => keys.run(&settings).await?,
        Command::Audit(audit) => return audit.run(&settings).await,
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes to standard output. A reader that has seen enough closes the pipe, which is no failure.
pub(crate) fn put(text: &str) -> io::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// One line: what was to be done, and the chain of causes.
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("ohx: {error:#}");
    ExitCode::from(2)
}
