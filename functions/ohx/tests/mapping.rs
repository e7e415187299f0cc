//! `ohx mapping` and `ohx map`, as somebody runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// How a run ended, and what it printed.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    /// All of `parts`, in this order.
    fn says(&self, parts: &[&str]) {
        let all = format!("{}\n---\n{}", self.out, self.err);
        let mut rest = all.as_str();
        for part in parts {
            let Some((_, after)) = rest.split_once(part) else {
                panic!("{part:?} is missing or elsewhere in:\n{all}")
            };
            rest = after;
        }
    }
}

fn ohx(arguments: &[&str]) -> Ran {
    let ran = Command::new(env!("CARGO_BIN_EXE_ohx")).args(arguments).env_clear().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: ran.status.code(), out: text(ran.stdout), err: text(ran.stderr) }
}

fn show(name: &str) -> String {
    let shown = ohx(&["mapping", "show", name]);
    assert_eq!((shown.code, shown.err.as_str()), (Some(0), ""));
    shown.out
}

/// A folder with documents and recorded pages.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = PathBuf::from(self.path(name));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// getmeas with a change, numbered as somebody's own.
    fn getmeas(&self, name: &str, edits: &[(&str, &str)]) -> String {
        self.file(name, &edited(&show("withings/getmeas"), edits))
    }
}

fn edited(text: &str, edits: &[(&str, &str)]) -> String {
    let start = text.find("\nversion: ").unwrap();
    let end = start + 1 + text[start + 1..].find('\n').unwrap();
    let mut text = format!("{}\nversion: 1000{}", &text[..start], &text[end..]);
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    text
}

/// A document without its examples.
fn without_examples(text: &str) -> String {
    text.split_once("\nexamples:\n").unwrap().0.to_owned() + "\n"
}

fn page(group: u32, measures: &str) -> String {
    format!(
        r#"{{"status": 0, "body": {{"timezone": "Europe/Vienna", "measuregrps": [{{"grpid": {group}, "attrib": 0,
        "date": 1704600000, "category": 1, "deviceid": "d1", "comment": null, "measures": [{measures}]}}]}}}}"#
    )
}

const WEIGHT: &str = r#"{"value": 7210, "type": 1, "unit": -2}"#;
const PULSE: &str = r#"{"value": 61, "type": 11, "unit": 0}"#;

/// Two pages, one in a folder of its own, and a file that is no page.
fn corpus(place: &Place) -> String {
    place.file("pages/one.json", &page(11, WEIGHT));
    place.file(
        "pages/later/two.json",
        &page(12, &format!("{WEIGHT}, {PULSE}, {}", r#"{"value": 1, "type": 9998, "unit": 0}"#)),
    );
    place.file("pages/one.expected.json", "not a page");
    place.path("pages")
}

#[test]
fn a_built_in_document_is_sound_where_it_is_put() {
    let place = Place::new();
    let list = ohx(&["mapping", "list"]);
    assert_eq!(list.code, Some(0));
    let names: Vec<&str> = list.out.lines().skip(1).map(|l| l.split_whitespace().next().unwrap()).collect();
    assert!(names.contains(&"withings/getmeas") && names.len() >= 8, "{names:?}");
    let files: Vec<String> = names
        .iter()
        .map(|name| place.file(&format!("{}.yaml", name.replace('/', "-")), &show(name)))
        .collect();
    let check: Vec<&str> = ["mapping", "check"].into_iter().chain(files.iter().map(String::as_str)).collect();
    let ran = ohx(&check);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(ran.out.lines().count(), names.len());
    for (line, (name, file)) in ran.out.lines().zip(names.iter().zip(&files)) {
        assert!(line.starts_with(&format!("OK  {file}: {name} ")) && line.contains(" kind"), "{line}");
    }
}

#[test]
fn check_shows_the_place_of_a_mistake_and_goes_on() {
    let place = Place::new();
    let good = place.getmeas("good.yaml", &[]);
    let unit =
        place.getmeas("unit.yaml", &[("value: { unit: kg, range: [0.2, 700] }", "value: { unit: kgs }")]);
    let example = place.getmeas("example.yaml", &[("\"value\": 95.850", "\"value\": 95.85")]);
    let absent = place.path("absent.yaml");
    let ran = ohx(&["mapping", "check", &unit, &example, &absent, "withings/getmeas", &good]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    ran.says(&[&format!("OK  {good}: withings/getmeas 1000, "), " kinds, ", " examples\n"]);
    let text = std::fs::read_to_string(&unit).unwrap();
    let (at, line) = text.lines().enumerate().find(|(_, l)| l.contains("kgs")).unwrap();
    let (line, column) = (at + 1, line.find("kgs").unwrap() + 1);
    ran.says(&[
        &format!("{unit}:{line}:{column}: no unit is called \"kgs\"\n"),
        &format!("{line:>5} |     value: {{ unit: kgs }}\n      | {}^\n", " ".repeat(column - 1)),
        "hint: ",
        &format!("{example}: example \"a scale, one group\" does not hold: [0].valueQuantity.value is 95.850, expected 95.85\n"),
        &format!("{absent} cannot be read"),
        "withings/getmeas cannot be read; the built-in document is builtin:withings/getmeas",
        "4 of 5 failed\n",
    ]);
}

#[test]
fn check_warns_of_what_is_allowed_but_unwise() {
    let place = Place::new();
    let untested = place.file("untested.yaml", &without_examples(&edited(&show("withings/getmeas"), &[])));
    let ran = ohx(&["mapping", "check", &untested]);
    assert_eq!(ran.code, Some(0));
    ran.says(&["0 examples", &format!("warning: {untested}: it has no example")]);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);

    let renumbered = place.getmeas("two.yaml", &[("version: 1000", "version: 999")]);
    let ran = ohx(&["mapping", "check", &renumbered]);
    assert_eq!(ran.code, Some(0));
    ran.says(&["warning: ", "version 999 is the program's own; number yours from 1000 on"]);

    let page = r#"withings/getintradayactivity"#;
    let clash = place.file("clash.yaml", &edited(&show(page), &[("RMSSD\" }", "of successive beats\" }")]));
    let ran = ohx(&["mapping", "check", &clash]);
    assert_eq!(ran.code, Some(0));
    ran.says(&[
        "warning: ",
        "the code hrv-rmssd of the code system measure is called",
        "of successive beats",
    ]);
}

#[test]
fn the_same_rules_make_no_difference() {
    let place = Place::new();
    let (corpus, same) = (corpus(&place), place.getmeas("same.yaml", &[]));
    let ran = ohx(&["mapping", "diff", "builtin:withings/getmeas", &same, "--corpus", &corpus]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    ran.says(&[
        "A  withings/getmeas ",
        "B  withings/getmeas 1000 (",
        "2 pages, 0 of them not readable",
        "No difference.",
    ]);
    let tags = ohx(&["mapping", "diff", "builtin:withings/getmeas", &same, "--corpus", &corpus, "--tags"]);
    assert_eq!(tags.code, Some(1));
    tags.says(&["changed", "meta.tag[0].code: \"withings/getmeas.", "-> \"withings/getmeas.1000\""]);
}

#[test]
fn diff_shows_which_readings_change_and_how() {
    let place = Place::new();
    let corpus = corpus(&place);
    let edits = [
        ("text: Body weight }", "text: Mass }"),
        ("range: [15, 350]", "range: [62, 350]"),
        ("    number: scale10(value, unit)", "    number: \"times(scale10(value, unit), `1.0`)\""),
    ];
    let changed = place.getmeas("changed.yaml", &edits);
    let arguments = ["mapping", "diff", "builtin:withings/getmeas", &changed, "--corpus", &corpus];
    let ran = ohx(&arguments);
    assert_eq!((ran.code, ran.err.as_str()), (Some(1), ""));
    ran.says(&[
        "later/two.json\n",
        "  changed           body-weight  ",
        ".12.body-weight\n",
        "      code.text: \"Body weight\" -> \"Mass\"\n",
        "      valueQuantity.value: 72.10 -> 72.100\n",
        "  only in A         heart-rate  ",
        "  left out          out-of-range: 0 -> 1\n",
        "one.json\n",
        "72.10 -> 72.100\n",
        "A  withings/getmeas ",
    ]);
    let row = |name: &str| {
        let line =
            ran.out.lines().find(|l| l.split_whitespace().next() == Some(name) && !l.contains('.')).unwrap();
        line.split_whitespace().skip(1).map(|n| n.parse::<u64>().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(row("body-weight"), [0, 2, 0, 0, 0]);
    assert_eq!(row("heart-rate"), [0, 0, 0, 1, 0]);
    assert_eq!(row("out-of-range"), [0, 1]);

    let summary = ohx(&[&arguments[..], &["--summary"]].concat());
    assert_eq!(summary.code, Some(1));
    assert!(ran.out.ends_with(&summary.out), "the summary is the end of the whole");
    assert!(!summary.out.contains("72.1") && !summary.out.contains("Mass"), "{}", summary.out);

    let renamed = [("kind: body-weight", "kind: mass"), ("\n  body-weight:\n", "\n  mass:\n")];
    let renamed = place.getmeas("renamed.yaml", &renamed);
    let ran = ohx(&["mapping", "diff", "builtin:withings/getmeas", &renamed, "--corpus", &corpus]);
    assert_eq!(ran.code, Some(1));
    ran.says(&[
        "identity changed  body-weight -> mass  ",
        ".12.body-weight -> ",
        ".12.mass\n",
        "Where the identity changes",
    ]);
}

#[test]
fn pages_that_cannot_be_read_do_not_stop_the_rest() {
    let place = Place::new();
    let corpus = corpus(&place);
    let broken = place.file("pages/broken.json", "{\"body\": {\"weight\": 72.10");
    let no_list = place.file("pages/no-list.json", r#"{"body": {"measuregrps": "7210"}}"#);
    let changed = place.getmeas("changed.yaml", &[("text: Body weight }", "text: Mass }")]);
    let ran = ohx(&["mapping", "diff", "builtin:withings/getmeas", &changed, "--corpus", &corpus]);
    assert_eq!(ran.code, Some(2));
    ran.says(&[
        "one.json",
        "Mass",
        "4 pages, 2 of them not readable",
        &format!("{broken}: "),
        &format!("{no_list}: "),
    ]);
    assert!(!ran.err.contains("72"), "{}", ran.err);
    let ran = ohx(&["mapping", "coverage", &changed, "--corpus", &corpus]);
    assert_eq!(ran.code, Some(0));
    ran.says(&["4 pages, 2 of them not readable; 2 records became 3 Observations", &format!("{broken}: ")]);
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::new();
    let corpus = corpus(&place);
    let empty = place.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let builtin = "builtin:withings/getmeas";
    for (arguments, parts) in [
        (["diff", builtin, "absent.yaml", "--corpus", &corpus], vec!["absent.yaml cannot be read"]),
        (["diff", builtin, "builtin:withings/weight", "--corpus", &corpus], vec!["\"weight\"", "getmeas"]),
        (["diff", builtin, "builtin:getmeas", "--corpus", &corpus], vec!["PROVIDER/RECORD"]),
        (["diff", builtin, builtin, "--corpus", "nowhere"], vec!["the corpus nowhere cannot be read"]),
        (["diff", builtin, builtin, "--corpus", &empty], vec!["no recorded pages (*.json)", &empty]),
    ] {
        let ran = ohx(&[&["mapping"][..], &arguments].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{}", ran.err);
        ran.says(&parts);
    }
    let ran =
        ohx(&["mapping", "diff", builtin, "builtin:withings/getactivity", "--corpus", &corpus, "--summary"]);
    ran.says(&["warning: ", "are of two records"]);
}

#[test]
fn coverage_tells_fields_rules_and_what_matched_none() {
    let place = Place::new();
    let corpus = corpus(&place);
    let ran = ohx(&["mapping", "coverage", "builtin:withings/getmeas", "--corpus", &corpus]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    ran.says(&[
        "withings/getmeas ",
        "2 pages, 0 of them not readable; 2 records became 3 Observations\n",
        "Fields that no rule read: 2\n",
        "field",
        "body.measuregrps[].comment",
        "status",
        "Kinds that never fired: ",
        "\n  blood-pressure\n",
        "Reasons of the document that never applied: ",
        "\n  ambiguous-user\n",
        "Matched no rule: 1\n",
        "unmapped:9998",
        "Left out for other reasons: 0\n",
    ]);
    assert!(!ran.out.contains("\n  body-weight\n") && !ran.out.contains("72"), "{}", ran.out);
}

#[test]
fn schema_and_documents_are_those_of_the_repository() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/mapping");
    let read = |name: &str| std::fs::read_to_string(shared.join(name)).unwrap();
    assert_eq!(ohx(&["mapping", "schema"]).out, read("mapping.schema.json"));
    let table = ohx(&["mapping", "measures"]).out;
    assert!(table == read("../../docs/coverage.md"), "ohx mapping measures > docs/coverage.md");
    assert!(!table.contains("not mapped"), "every record of every provider has a document");
    for (kind, record, _) in ohx_mapping::BUILT_IN {
        let known = ohx_providers::kind(kind).is_some_and(|kind| kind.records.contains(record));
        assert!(known, "{kind}/{record} is the document of no record");
    }
    assert_eq!(show("withings/sleep-get"), read("documents/withings/sleep-get.yaml"));
    let ran = ohx(&["mapping", "show", "withings/weight"]);
    assert_eq!(ran.code, Some(2));
    ran.says(&["withings has no built-in mapping for the record \"weight\"; records are getmeas, "]);
}

#[test]
fn code_systems_come_as_a_bundle() {
    let place = Place::new();
    let base = "https://clinic.example/fhir-ns/";
    let ran = ohx(&["mapping", "code-systems", "--identifier-base", base]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let bundle: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&bundle["resourceType"], &bundle["type"]), (&"Bundle".into(), &"collection".into()));
    let entries = bundle["entry"].as_array().unwrap();
    let measure = entries.iter().find(|e| e["resource"]["id"] == "measure").unwrap();
    assert_eq!(measure["fullUrl"], "https://clinic.example/fhir-ns/CodeSystem/measure");
    assert_eq!(measure["fullUrl"], measure["resource"]["url"]);
    let own = [(
        "code: { loinc: [29463-7], local: { withings-meastype: 1 }",
        "code: { loinc: [29463-7], local: { clinic: w }",
    )];
    let own = place.getmeas("own.yaml", &own);
    let with = ohx(&["mapping", "code-systems", "--identifier-base", base, &own]);
    let with: Value = serde_json::from_str(&with.out).unwrap();
    assert!(with["entry"].as_array().unwrap().iter().any(|e| e["resource"]["id"] == "clinic"));
    assert!(entries.iter().all(|e| e["resource"]["id"] != "clinic"));

    let edits = [("measure: vascular-age,", "measure: hrv-rmssd,")];
    let clash =
        ohx(&["mapping", "code-systems", "--identifier-base", base, &place.getmeas("clash.yaml", &edits)]);
    assert_eq!((clash.code, clash.out.as_str()), (Some(2), ""));
    clash.says(&["the code hrv-rmssd of the code system measure is called \"Vascular age\""]);
}

#[test]
fn a_reader_may_stop_reading() {
    let (place, builtin) = (Place::new(), "builtin:withings/getmeas");
    let corpus = corpus(&place);
    for (code, arguments) in [(0, vec!["schema"]), (2, vec!["diff", builtin, builtin, "--corpus", &corpus])] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_ohx"));
        let ran =
            command.arg("mapping").args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!((ran.status.code(), ran.stderr.as_slice()), (Some(code), &[][..]));
    }
}

#[test]
fn map_says_which_records_there_are() {
    let place = Place::new();
    let file = place.file("page.json", &page(11, WEIGHT));
    let ran = ohx(&["map", &file, "--provider", "withings", "--record", "weight"]);
    assert_eq!(ran.code, Some(1));
    ran.says(&["no built-in mapping for the record \"weight\"; records are getmeas, getactivity"]);
    let ran = ohx(&["map", &file, "--provider", "acme", "--record", "getmeas"]);
    assert_eq!(ran.code, Some(1));
    ran.says(&[
        "no built-in mappings for the provider \"acme\"; there are for withings, beurer, fitbit, omron, ",
    ]);
    let ran = ohx(&["map", &file, "--provider", "withings", "--record", "getmeas"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.contains("\"value\":72.10,"), "{}", ran.out);
}

/// What a document gathers by the hour is made: a file is taken for all there is.
#[test]
fn map_gathers() {
    let place = Place::new();
    let edits = [
        (
            "{ kind: heart-rate, value: { number: nonzero(heart_rate) } }",
            "{ kind: heart-rate, value: { number: nonzero(heart_rate) }, gather: { by: hour, as: sampled } }",
        ),
        (
            "value: { unit: /min, unit_text: beats/minute, range: [15, 350] }",
            "value: { unit: /min, unit_text: beats/minute, range: [15, 350], sampled: s }",
        ),
    ];
    let document = without_examples(&edited(&show("withings/getintradayactivity"), &edits));
    let document = place.file("hourly.yaml", &document);
    let page =
        r#"{"body": {"series": {"1594245660": {"heart_rate": 64}, "1594245600": {"heart_rate": 63}}}}"#;
    let page = place.file("page.json", page);
    let record = "getintradayactivity";
    let ran = ohx(&["map", &page, "--provider", "withings", "--record", record, "--mapping", &document]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let bundle: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(bundle["entry"].as_array().unwrap().len(), 1);
    assert_eq!(bundle["entry"][0]["resource"]["valueSampledData"]["data"], "63 64");
}
