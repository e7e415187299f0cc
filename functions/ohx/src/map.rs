//! `ohx map`: recorded JSON in, FHIR out.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use ohx_domain::{Instant, Interval, PatientReference, ProviderName, Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapped, Mapping};

use crate::mapping::built_in;

/// Maps a recorded provider page to a FHIR R5 Bundle (type collection) on standard output.
///
/// What the mapping leaves out is told on standard error, by reason. Bad input ends with exit code 1.
#[derive(Args)]
pub(crate) struct Map {
    /// The recorded page, as the provider sent it; - for standard input
    file: PathBuf,
    /// The provider's type
    #[arg(long)]
    provider: ProviderName,
    /// The record, in the provider's words, such as getmeas; ohx mapping list has them
    #[arg(long)]
    record: String,
    /// A mapping document in place of the built-in one
    #[arg(long, value_name = "FILE")]
    mapping: Option<PathBuf>,
    /// The patient that the Observations are about
    #[arg(long, default_value = "Patient/example")]
    patient: PatientReference,
    /// The base of the identifier systems
    #[arg(long, default_value = "https://ohx.example.org/ns")]
    identifier_base: String,
}

impl Map {
    pub(crate) fn run(&self) -> ExitCode {
        match self.map() {
            Ok(mapped) => {
                // A reader that has seen enough closes the pipe: no error of ours.
                if let Err(error) = writeln!(std::io::stdout(), "{}", bundle(&mapped))
                    && error.kind() != std::io::ErrorKind::BrokenPipe
                {
                    eprintln!("ohx map: standard output: {error}");
                    return ExitCode::FAILURE;
                }
                for (reason, count) in &mapped.skipped {
                    eprintln!("left out: {count} x {reason}");
                }
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("ohx map: {error:#}");
                ExitCode::FAILURE
            }
        }
    }

    fn map(&self) -> anyhow::Result<Mapped> {
        let document = match &self.mapping {
            Some(file) => {
                std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?
            }
            None => built_in(self.provider.as_str(), &self.record)?.to_owned(),
        };
        let named =
            self.mapping.as_ref().map_or_else(|| "built-in mapping".to_owned(), |m| m.display().to_string());
        let mapping = Mapping::parse(&document).map_err(|e| anyhow::anyhow!("{named}: {e}"))?;
        let file = self.file.display();
        let mut page = Vec::new();
        if self.file.as_os_str() == "-" {
            std::io::stdin().read_to_end(&mut page).context("standard input cannot be read")?;
        } else {
            page = std::fs::read(&self.file).with_context(|| format!("{file} cannot be read"))?;
        }
        let context = Context {
            identifier_base: self.identifier_base.trim_end_matches('/').to_owned(),
            provider: self.provider.clone(),
            // Who it was is not in a recorded page; the identifiers show where an account's pseudonym goes.
            account: account_pseudonym(&self.provider, &Sensitive::new("example".to_owned()), &self.patient),
            subject: self.patient.clone(),
            // What is in the file is all there is of its time.
            covers: Interval::new(Instant::MIN, Instant::MAX),
        };
        mapping.map(&page, &context).map_err(|e| anyhow::anyhow!("{file}: {e}"))
    }
}

/// A collection of the mapped resources, their text untouched.
fn bundle(mapped: &Mapped) -> String {
    let entries: Vec<_> = mapped
        .observations
        .iter()
        .map(|o| {
            format!(
                "    {{\"fullUrl\":\"urn:ohx:{}\",\"resource\":{}}}",
                o.identifier.resource_id(),
                o.resource.get()
            )
        })
        .collect();
    if entries.is_empty() {
        return "{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"collection\"\n}".to_owned();
    }
    format!(
        "{{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"collection\",\n  \"entry\": [\n{}\n  ]\n}}",
        entries.join(",\n")
    )
}
