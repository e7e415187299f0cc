//! `ohx mapping check`.

use std::io::Write as _;
use std::process::ExitCode;

use clap::Args;
use ohx_mapping::{BUILT_IN, Mapping, builtin, code_systems};

use super::Out;
use super::source::{placed, read};

/// From this version on a document is somebody's own.
const OWN: u32 = 1000;

/// Checks documents: compiles each, and runs its examples. Exit code 1 where one fails.
#[derive(Args)]
pub(crate) struct Check {
    /// The documents
    #[arg(required = true)]
    files: Vec<String>,
}

impl Check {
    pub(super) fn run(&self, out: &mut Out) -> anyhow::Result<ExitCode> {
        let mut failed = 0;
        for file in &self.files {
            match check(file) {
                Ok((line, warnings)) => {
                    writeln!(out, "{line}")?;
                    // In this order, whoever reads both.
                    out.flush()?;
                    warnings.iter().for_each(|w| eprintln!("warning: {file}: {w}"));
                }
                Err(why) => {
                    failed += 1;
                    eprintln!("{why}");
                }
            }
        }
        if failed > 0 {
            eprintln!("{failed} of {} failed", self.files.len());
        }
        Ok(if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

/// What there is to say of a document, and what to be warned of; or what is wrong with it.
fn check(file: &str) -> Result<(String, Vec<String>), String> {
    let text = read(file).map_err(|e| format!("{e:#}"))?;
    let mapping = Mapping::parse(&text).map_err(|e| placed(file, &e))?;
    mapping
        .check_examples()
        .map_err(|e| format!("{file}: example {:?} does not hold: {}", e.example, e.what))?;
    let (name, version) = (mapping.name(), mapping.version());
    let (kinds, examples) = (mapping.kinds().count(), mapping.examples().count());
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let line = format!(
        "OK  {file}: {name} {version}, {kinds} kind{}, {examples} example{}",
        plural(kinds),
        plural(examples)
    );
    Ok((line, warnings(&text, &mapping, examples)))
}

fn warnings(text: &str, mapping: &Mapping, examples: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    if examples == 0 {
        warnings.push("it has no example, so nothing shows that it does what it should".to_owned());
    }
    let (name, version) = (mapping.name(), mapping.version());
    let program = name.split_once('/').and_then(|(provider, record)| builtin(provider, record));
    if version < OWN && program.is_none_or(|program| program.lines().ne(text.lines())) {
        let what = format!("version {version} is the program's own; number yours from {OWN} on");
        warnings.push(what);
    }
    // The other documents of a deployment are, but for this record's, the built-in ones.
    let others: Vec<Mapping> = BUILT_IN
        .iter()
        .filter(|(provider, record, _)| format!("{provider}/{record}") != name)
        .filter_map(|(.., text)| Mapping::parse(text).ok())
        .collect();
    if let Err(clash) = code_systems(others.iter().chain([mapping]), "") {
        warnings.push(clash.to_string());
    }
    warnings
}
