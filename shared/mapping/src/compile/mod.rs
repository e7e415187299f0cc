//! Compiles a document to a plan: everything that can be wrong with it is found here, with its place.

mod extract;
mod observe;
mod takes;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use serde_saphyr::{Location, Spanned};

use crate::document::{Document, Observe, Ordered, Table, TableCode, Text};
use crate::error::{DocumentError, line_of};
use crate::expr::Expr;
use crate::json::Node;
use crate::json_text::{WrittenCoding, concept, system};
use crate::plan::{Example, Mapping};

/// The largest document, in bytes.
pub(crate) const MAX_DOCUMENT_BYTES: usize = 256 * 1024;

pub(crate) type Result<T> = std::result::Result<T, DocumentError>;

impl Mapping {
    /// Reads and compiles a mapping document (`docs/mapping.md`).
    ///
    /// # Errors
    /// [`DocumentError`] for the first thing that is wrong, with its line and column.
    pub fn parse(yaml: &str) -> Result<Self> {
        let document = read(yaml)?;
        Compiler { yaml, tables: HashMap::new(), local: Vec::new(), parts: Cell::new(0) }.mapping(document)
    }
}

/// Reads a document as it is written.
pub(crate) fn read(yaml: &str) -> Result<Document> {
    if yaml.len() > MAX_DOCUMENT_BYTES {
        let what = format!("a document of {} bytes; at most {MAX_DOCUMENT_BYTES} are allowed", yaml.len());
        return Err(DocumentError::at("", 0, 0, what, "move examples out, or split it by record".into()));
    }
    let options = serde_saphyr::options! { with_snippet: false, strict_booleans: true };
    serde_saphyr::from_str_with_options(yaml, options).map_err(|e| syntax(yaml, &e))
}

/// What the YAML reader says, as our error.
fn syntax(yaml: &str, error: &serde_saphyr::Error) -> DocumentError {
    let (line, column) = error.location().map_or((0, 0), place);
    // The place is told apart from the message.
    let said = error.without_snippet().to_string();
    let what = match said.rfind(" at line ") {
        Some(at) => said.get(..at).unwrap_or_default().to_owned(),
        None => said,
    };
    DocumentError::at(yaml, line, column, what, String::new())
}

fn place(at: Location) -> (usize, usize) {
    let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    (number(at.line()), number(at.column()))
}

/// Lower-case letters, digits and hyphens, beginning with a letter: at most 64.
pub(crate) fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A FHIR code: no blanks.
fn is_code(code: &str) -> bool {
    !code.is_empty() && !code.contains(char::is_whitespace)
}

/// A compiled code table: the JSON text of the CodeableConcept and the code itself, by the provider's code.
pub(crate) struct Codes {
    pub(crate) codes: HashMap<String, (String, String)>,
    pub(crate) other: Option<(String, String)>,
}

/// Compiles the document `yaml`.
pub(crate) struct Compiler<'y> {
    yaml: &'y str,
    tables: HashMap<String, Arc<Codes>>,
    /// What the document says of this deployment's own codes: system, code, text.
    local: Vec<(String, String, String)>,
    /// How many parts the expressions have that were compiled so far.
    parts: Cell<usize>,
}

impl Compiler<'_> {
    fn error<T>(&self, at: Location, what: impl Into<String>, hint: impl Into<String>) -> Result<T> {
        let (line, column) = place(at);
        Err(DocumentError::at(self.yaml, line, column, what.into(), hint.into()))
    }

    fn slug(&self, text: &Text, what: &str) -> Result<String> {
        if is_slug(&text.value) {
            return Ok(text.value.clone());
        }
        self.error(
            text.referenced,
            format!("{what} {:?}", text.value),
            "write lower-case letters, digits and hyphens, beginning with a letter, at most 64",
        )
    }

    fn expr(&self, text: &Text) -> Result<Expr> {
        let compiled = Expr::compile(&text.value).inspect(|e| self.parts.set(self.parts.get() + e.parts()));
        compiled.map_err(|e| {
            let (line, mut column) = place(text.referenced);
            // A scalar on one line: the place within it can be pointed at.
            let source = line_of(self.yaml, line);
            let rest: String = source.chars().skip(column.saturating_sub(1)).collect();
            let quoted = rest.starts_with(['"', '\'']);
            if rest.get(usize::from(quoted)..).is_some_and(|r| r.starts_with(text.value.as_str())) {
                column += usize::from(quoted) + text.value.get(..e.at).unwrap_or_default().chars().count();
            }
            DocumentError::at(self.yaml, line, column, format!("in the expression: {}", e.what), e.hint)
        })
    }

    fn optional(&self, text: Option<&Text>) -> Result<Option<Expr>> {
        text.map(|t| self.expr(t)).transpose()
    }

    fn mapping(mut self, document: Document) -> Result<Mapping> {
        let Document { mapping, version, system, tables, extract, mut observe, examples } = document;
        if !mapping
            .value
            .split_once('/')
            .is_some_and(|(provider, record)| is_slug(provider) && is_slug(record))
        {
            return self.error(
                mapping.referenced,
                format!("a mapping called {:?}", mapping.value),
                "write the provider and the record, such as withings/getmeas",
            );
        }
        if version.value == 0 {
            return self.error(version.referenced, "version 0", "versions count from 1");
        }
        for (name, table) in tables.iter().flat_map(|t| &t.0) {
            let codes = self.table(table)?;
            self.tables.insert(name.clone(), Arc::new(codes));
        }
        let tag = format!("{}.{}", mapping.value, version.value);
        let mut kinds = Vec::new();
        let mut extracts = Vec::new();
        for stage in &extract.0 {
            extracts.push(self.extract(stage, &mut observe, &mut kinds, &tag)?);
        }
        if kinds.is_empty() {
            let hint = "list at least one under `extract.readings`";
            return self.error(mapping.referenced, "no readings", hint);
        }
        if let Some((kind, observed)) = observe.0.first() {
            let hint = "add a reading of that kind under `extract.readings`, or take it out";
            return self.error(observed.referenced, format!("nothing is read as {kind}"), hint);
        }
        Ok(Mapping {
            system: self.slug(&system, "a system called")?,
            version: version.value,
            extracts,
            kinds,
            examples: examples.into_iter().map(|e| self.example(e)).collect::<Result<_>>()?,
            name: mapping.value,
            local_codes: self.local,
        })
    }

    /// Takes what `observe` says of a kind: each is observed once.
    fn observed(
        &self,
        observe: &mut Ordered<Spanned<Observe>>,
        name: &str,
        at: Location,
    ) -> Result<Spanned<Observe>> {
        match observe.0.iter().position(|(kind, _)| kind == name) {
            Some(found) => Ok(observe.0.remove(found).1),
            None => {
                let known = observe.0.iter().map(|(kind, _)| kind.as_str()).collect::<Vec<_>>().join(", ");
                let hint = format!("add it under `observe`, which still has: {known}");
                self.error(at, format!("`observe` does not have {name}"), hint)
            }
        }
    }

    fn table(&mut self, table: &Spanned<Table>) -> Result<Codes> {
        let Table { system: named, codes, other } = &table.value;
        if !named.value.contains(':') && !is_slug(&named.value) {
            let hint = "write a URL, a URN, or a name in lower-case letters and hyphens";
            return self.error(named.referenced, "a code system that is none", hint);
        }
        let mut written = |code: &TableCode| {
            if !is_code(&code.code.value) {
                return self.error(code.code.referenced, "a code with blanks", "codes have none");
            }
            let coding =
                WrittenCoding { system: system(&named.value), code: &code.code.value, display: None };
            if !named.value.contains(':') {
                self.local.push((named.value.clone(), code.code.value.clone(), code.text.clone()));
            }
            Ok((concept(&[coding], Some(&code.text)), code.code.value.clone()))
        };
        let mut compiled = HashMap::new();
        for (key, code) in &codes.0 {
            compiled.insert(key.clone(), written(code)?);
        }
        let other = other.as_ref().map(&mut written).transpose()?;
        Ok(Codes { codes: compiled, other })
    }

    fn named_table(&self, name: &Text) -> Result<Arc<Codes>> {
        match self.tables.get(&name.value) {
            Some(codes) => Ok(Arc::clone(codes)),
            None => {
                let mut known: Vec<&str> = self.tables.keys().map(String::as_str).collect();
                known.sort_unstable();
                let hint = format!("add it under `tables`, which has: {}", known.join(", "));
                self.error(name.referenced, format!("no table is called {:?}", name.value), hint)
            }
        }
    }

    fn example(&self, example: crate::document::Example) -> Result<Example> {
        for (what, text) in [("page", &example.page), ("expect", &example.expect)] {
            if let Err(e) = Node::parse(text.value.as_bytes()) {
                let what = format!("the example's {what} is not JSON: {}, at byte {}", e.what, e.at);
                return self.error(text.referenced, what, "write JSON as a block, behind `|`");
            }
        }
        let skipped = example.skipped.map(|s| s.0);
        Ok(Example { name: example.name, page: example.page.value, expect: example.expect.value, skipped })
    }
}

#[cfg(test)]
mod tests;
