//! Where a mapping document comes from: a file, or the program itself.

use std::path::Path;

use anyhow::{Context as _, bail};
use ohx_mapping::{BUILT_IN, DocumentError, Mapping};

/// What a built-in document's name begins with where a file could stand as well.
const BUILTIN: &str = "builtin:";

/// A document that compiles.
pub(super) struct Source {
    /// As it was given.
    pub(super) given: String,
    pub(super) mapping: Mapping,
}

impl Source {
    /// `builtin:withings/getmeas`, or a file.
    pub(super) fn load(given: &str) -> anyhow::Result<Self> {
        let text = match given.strip_prefix(BUILTIN) {
            Some(name) => match name.split_once('/') {
                Some((provider, record)) => built_in(provider, record)?.to_owned(),
                None => bail!("{given}: write {BUILTIN}PROVIDER/RECORD, such as {BUILTIN}withings/getmeas"),
            },
            None => read(given)?,
        };
        let mapping = Mapping::parse(&text).map_err(|e| anyhow::anyhow!("{}", placed(given, &e)))?;
        Ok(Self { given: given.to_owned(), mapping })
    }

    /// Its name and version, and where it is from.
    pub(super) fn title(&self) -> String {
        format!("{} {} ({})", self.mapping.name(), self.mapping.version(), self.given)
    }
}

/// A file's text.
pub(super) fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| {
        let is_name = BUILT_IN.iter().any(|(p, r, _)| format!("{p}/{r}") == file);
        let hint = if is_name && !Path::new(file).exists() {
            format!("; the built-in document is {BUILTIN}{file}")
        } else {
            String::new()
        };
        format!("{file} cannot be read{hint}")
    })
}

/// An error of a document, with its place as editors take it.
pub(super) fn placed(file: &str, error: &DocumentError) -> String {
    let mut text = match error.line {
        0 => format!("{file}: {}", error.what),
        line => format!("{file}:{line}:{}: {}", error.column, error.what),
    };
    if !error.snippet.is_empty() {
        text.push('\n');
        text.push_str(&error.snippet);
    }
    if !error.hint.is_empty() {
        text.push_str("\nhint: ");
        text.push_str(&error.hint);
    }
    text
}

/// A built-in document; where there is none, an error that says which there are.
pub(crate) fn built_in(provider: &str, record: &str) -> anyhow::Result<&'static str> {
    if let Some(text) = ohx_mapping::builtin(provider, record) {
        return Ok(text);
    }
    let records: Vec<&str> = BUILT_IN.iter().filter(|(p, ..)| *p == provider).map(|(_, r, _)| *r).collect();
    if records.is_empty() {
        let mut providers: Vec<&str> = BUILT_IN.iter().map(|(p, ..)| *p).collect();
        providers.dedup();
        bail!(
            "there are no built-in mappings for the provider {provider:?}; there are for {}",
            providers.join(", ")
        );
    }
    bail!("{provider} has no built-in mapping for the record {record:?}; records are {}", records.join(", "))
}
