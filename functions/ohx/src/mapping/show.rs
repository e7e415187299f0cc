//! `ohx mapping show`, `list` and `schema`.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use ohx_mapping::{BUILT_IN, Mapping, document_schema};

use super::table::table;
use super::{Out, built_in};

/// Prints a built-in document, to start one's own from. Number yours from 1000 on.
#[derive(Args)]
pub(crate) struct Show {
    /// The provider's type and the record, such as withings/getmeas
    name: String,
}

impl Show {
    pub(super) fn run(&self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let name = self.name.trim_start_matches("builtin:");
        let wanted = || format!("{:?}: write PROVIDER/RECORD, such as withings/getmeas", self.name);
        let (provider, record) = name.split_once('/').with_context(wanted)?;
        out.write_all(built_in(provider, record)?.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Lists the built-in documents.
pub(super) fn list(out: &mut Out) -> anyhow::Result<ExitCode> {
    let mut rows = Vec::new();
    for (provider, record, text) in BUILT_IN {
        let mapping = Mapping::parse(text).map_err(|e| anyhow::anyhow!("{provider}/{record}: {e}"))?;
        let counts = [mapping.kinds().count(), mapping.examples().count()].map(|n| n.to_string());
        let first = [format!("{provider}/{record}"), mapping.version().to_string()];
        rows.push(first.into_iter().chain(counts).collect());
    }
    write!(out, "{}", table(&["mapping", "version", "kinds", "examples"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the JSON Schema.
pub(super) fn schema(out: &mut Out) -> anyhow::Result<ExitCode> {
    out.write_all(document_schema().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}
