//! `ohx mapping code-systems`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use ohx_mapping::{BUILT_IN, CodeSystem, code_systems};
use url::Url;

use super::Out;
use super::source::Source;

/// Prints the CodeSystems that the documents' own codes are in, as a FHIR R5 Bundle (type collection).
///
/// These are the built-in documents; a document of one's own takes the place of the built-in one of its record.
#[derive(Args)]
pub(crate) struct CodeSystems {
    /// The base of the identifier systems, as the deployment has it (OHX_IDENTIFIER_BASE)
    #[arg(long, value_name = "URL")]
    identifier_base: Url,
    /// Documents of one's own
    files: Vec<String>,
}

impl CodeSystems {
    pub(super) fn run(&self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let mut sources = self.files.iter().map(|f| Source::load(f)).collect::<anyhow::Result<Vec<_>>>()?;
        for (provider, record, _) in BUILT_IN {
            let name = format!("{provider}/{record}");
            if !sources.iter().any(|s| s.mapping.name() == name) {
                sources.push(Source::load(&format!("builtin:{name}"))?);
            }
        }
        let systems = code_systems(sources.iter().map(|s| &s.mapping), self.identifier_base.as_str())?;
        writeln!(out, "{}", bundle(&systems))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn bundle(systems: &[CodeSystem]) -> String {
    let entry = |system: &CodeSystem| {
        // A JSON text has line ends between its tokens only.
        let resource = system.json.replace('\n', "\n      ");
        let url = serde_json::Value::from(system.url.as_str());
        format!("    {{\n      \"fullUrl\": {url},\n      \"resource\": {resource}\n    }}")
    };
    let entries = systems.iter().map(entry).collect::<Vec<_>>().join(",\n");
    format!(
        "{{\n  \"resourceType\": \"Bundle\",\n  \"type\": \"collection\",\n  \"entry\": [\n{entries}\n  ]\n}}"
    )
}
