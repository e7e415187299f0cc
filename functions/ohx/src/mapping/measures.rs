//! `ohx mapping measures`: everything that is read, as a table for `docs/coverage.md`.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use ohx_mapping::{BUILT_IN, Measure, measures};
use ohx_providers::catalogue;
use ohx_runtime::outbound;

use super::Out;

const HEAD: &str = "# What is read, and what it becomes

Every provider type, its records, and what the built-in mapping documents make of them: an Observation's own value, or a
component of it. `measure#…` and the like are codes of this deployment's own code systems (`ohx mapping code-systems`),
for what has no verified LOINC code. Records marked *off* are read only where the app's `records` names them.

This table is made by `ohx mapping measures`; a test holds it against the documents.
";

/// Prints the table, in Markdown.
pub(super) fn run(out: &mut Out) -> anyhow::Result<ExitCode> {
    let adapters =
        ohx_providers::by_kind(&outbound::client(Duration::from_secs(1))?, &crate::providers::clock());
    write!(out, "{HEAD}")?;
    for kind in ohx_providers::KINDS {
        let Some(adapter) = adapters.get(kind.name) else { continue };
        let Some(listed) = catalogue::listed(kind, adapter.as_ref()) else { continue };
        let usual: BTreeSet<&str> =
            listed.records.iter().filter(|r| r.by_default).map(|r| r.record.as_str()).collect();
        writeln!(out, "\n## {}: {}\n", kind.name, kind.title)?;
        writeln!(out, "| record | reading | code | unit |\n|---|---|---|---|")?;
        for record in kind.records {
            let of = (ohx_providers::mapped_as(kind.name), *record);
            let document = BUILT_IN.iter().find(|(p, r, _)| (*p, *r) == of);
            let shown =
                if usual.contains(record) { format!("`{record}`") } else { format!("`{record}` (*off*)") };
            match document {
                None => writeln!(out, "| {shown} | not mapped | | |")?,
                Some((_, _, text)) => {
                    let measures =
                        measures(text).map_err(|e| anyhow::anyhow!("{}/{record}: {e}", kind.name))?;
                    for (n, measure) in measures.iter().enumerate() {
                        row(out, if n == 0 { &shown } else { "" }, measure)?;
                    }
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(out: &mut Out, record: &str, measure: &Measure) -> anyhow::Result<()> {
    let name = match &measure.component {
        None => measure.text.clone(),
        Some(_) => format!("– {}", measure.text),
    };
    let unit = match (measure.sampled, measure.unit.as_str()) {
        (_, "") => String::new(),
        (true, unit) => format!("`{unit}`, sampled"),
        (false, "code") => "code".to_owned(),
        (false, unit) => format!("`{unit}`"),
    };
    writeln!(out, "| {record} | {name} | {} | {unit} |", measure.codes.join(", "))?;
    Ok(())
}
