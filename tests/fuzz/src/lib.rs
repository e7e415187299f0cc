//! What both fuzz targets share: the recorded pages, and what must hold of every mapping run, whatever went in.

pub mod tree;

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use ohx_domain::{Interval, Sensitive, account_pseudonym};
use ohx_mapping::{BUILT_IN, Context, Mapping};

/// A text and a number that stand for health values: where a page holds them, no error text may.
pub const MARKED_TEXT: &str = "zqxjkvbp";
/// See [`MARKED_TEXT`].
pub const MARKED_NUMBER: &str = "86753090";

/// A document that comes with the program, and pages for it.
pub struct BuiltIn {
    /// Its record, such as `getmeas`.
    pub record: &'static str,
    /// Its text.
    pub text: &'static str,
    /// Compiled.
    pub mapping: Mapping,
    /// The pages of its examples, and the recorded ones whose file name begins with the record's.
    pub pages: Vec<String>,
}

/// Every document that comes with the program.
pub static DOCUMENTS: LazyLock<Vec<BuiltIn>> = LazyLock::new(|| {
    let recorded = recorded();
    let built_in = |(_, record, text): &(_, &'static str, &'static str)| {
        let mapping = Mapping::parse(text).unwrap_or_else(|e| panic!("{e}"));
        let mut pages = example_pages(text);
        pages.extend(
            recorded.iter().filter(|(name, _)| name.starts_with(record)).map(|(_, page)| page.clone()),
        );
        BuiltIn { record, text, mapping, pages }
    };
    BUILT_IN.iter().map(built_in).collect()
});

/// The recorded pages of `tests/fixtures/withings`, by their file names.
fn recorded() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../fixtures/withings");
    let mut files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    let page = |file: &std::fs::DirEntry| {
        let name = file.file_name().into_string().ok().filter(|n| n.ends_with(".json"))?;
        let page = !name.ends_with(".expected.json");
        page.then(|| std::fs::read_to_string(file.path()).ok()).flatten().map(|text| (name, text))
    };
    files.iter().filter_map(page).collect()
}

/// The pages in a document's examples: the blocks below `page: |`, which stand further to the right.
fn example_pages(document: &str) -> Vec<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut pages = Vec::new();
    let mut lines = document.lines().peekable();
    while let Some(line) = lines.next() {
        if line.trim() != "page: |" {
            continue;
        }
        let mut page = String::new();
        while let Some(inner) = lines.next_if(|l| l.trim().is_empty() || indent(l) > indent(line)) {
            page.push_str(inner.trim());
            page.push('\n');
        }
        pages.push(page);
    }
    pages
}

/// Whose readings they are. With `covers`, all of the years 1 to 9999 is known, so that everything can be gathered.
pub fn context(covers: bool) -> Context {
    let provider = "withings".parse().expect("a name");
    let subject = "Patient/p1".parse().expect("a reference");
    let instant = |text: &str| text.parse().expect("an instant");
    Context {
        identifier_base: "https://ohx.example/ns".into(),
        account: account_pseudonym(&provider, &Sensitive::new("363".into()), &subject),
        provider,
        subject,
        covers: if covers {
            Interval::new(instant("0001-01-02T00:00:00Z"), instant("9999-12-01T00:00:00Z"))
        } else {
            None
        },
    }
}

/// Maps a page and panics where something does not hold of what came out.
pub fn check(mapping: &Mapping, page: &[u8], context: &Context) {
    let mapped = match mapping.map(page, context) {
        Ok(mapped) => mapped,
        Err(error) => return silent(page, &[error.to_string(), format!("{error:?}")]),
    };
    let mut identities = HashSet::new();
    for observation in &mapped.observations {
        let text = observation.resource.get();
        assert!(text.starts_with(r#"{"resourceType":"Observation","#), "an Observation");
        let valid = serde_json::from_str::<&serde_json::value::RawValue>(text);
        assert!(valid.is_ok(), "an Observation that is no JSON: {valid:?}");
        assert!(identities.insert(&observation.identifier), "two Observations with one identifier");
        assert_eq!(observation.digest.len(), 26);
    }
    // 200 a record and block; a document has at most sixteen blocks.
    let bound = 200 * 16 * mapped.records.max(1);
    assert!(mapped.observations.len() as u64 <= bound, "more Observations than are allowed");
    for reason in mapped.skipped.keys() {
        let (slug, number) = reason.split_once(':').unwrap_or((reason, "0"));
        assert!(
            slug.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && (1..=64).contains(&slug.len())
                && (1..=4).contains(&number.len())
                && number.bytes().all(|b| b.is_ascii_digit()),
            "a reason that is no bounded slug: {reason}"
        );
    }
    let reasons: String = mapped.skipped.keys().flat_map(|k| [k, " "]).collect();
    silent(page, &[format!("{mapped:?}"), reasons]);
}

/// Nothing of the page may stand in a text that can reach a log.
fn silent(page: &[u8], texts: &[String]) {
    let has = |mark: &str| page.windows(mark.len()).any(|w| w == mark.as_bytes());
    for mark in [MARKED_TEXT, MARKED_NUMBER].into_iter().filter(|mark| has(mark)) {
        for text in texts {
            assert!(!text.contains(mark), "something of the page stands in an error text");
        }
    }
}

/// Writes what a run begins with into the folder that `OHX_FUZZ_SEEDS` names.
pub fn seed(inputs: impl IntoIterator<Item = (String, Vec<u8>)>) {
    let Some(folder) = std::env::var_os("OHX_FUZZ_SEEDS").map(PathBuf::from) else { return };
    for (name, input) in inputs {
        std::fs::write(folder.join(name), input).expect("the folder of seeds can be written");
    }
}
