//! What was searched, for a person: `docs/privacy.md` has the table between two marks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use ohx_tests::deployment::Shape;

use crate::canary::{Hit, Kind, Search};
use crate::places::Place;

/// What was searched in one shape.
#[derive(Default)]
struct Told {
    /// By sort of place: how many, bytes, hits.
    places: BTreeMap<&'static str, (usize, usize, usize)>,
    canaries: String,
    forms: usize,
    lies: u32,
}

static TOLD: Mutex<BTreeMap<&'static str, Told>> = Mutex::new(BTreeMap::new());

fn name(shape: Shape) -> &'static str {
    match shape {
        Shape::OneProcess => "one process, SQLite",
        Shape::ManyProcesses => "PostgreSQL and Redis",
        Shape::Sqs => "PostgreSQL and SQS",
        Shape::Broker => "PostgreSQL and a Knative broker",
        Shape::Lambda => "AWS Lambda, PostgreSQL and SQS",
    }
}

/// Prints what was searched, and writes it into the file that `OHX_PHI_REPORT` names, once all shapes have told.
pub fn tell(shape: Shape, search: &Search, places: &[Place], hits: &[Hit], lies: u32) {
    let mut told = Told { forms: search.forms(), lies, ..Told::default() };
    for place in places {
        let entry = told.places.entry(place.sort).or_default();
        entry.0 += 1;
        entry.1 += place.bytes.len();
        entry.2 += hits.iter().filter(|hit| hit.place == place.name).count();
    }
    let of = |kind| search.canaries.get(&kind).copied().unwrap_or(0);
    told.canaries =
        format!("{} values, {} secrets, {} of persons", of(Kind::Value), of(Kind::Secret), of(Kind::Person));
    let mut all = TOLD.lock().unwrap();
    all.insert(name(shape), told);
    let table = table(&all);
    println!("{table}");
    let Ok(file) = std::env::var("OHX_PHI_REPORT") else { return };
    if all.len() == 3 && all.values().all(|told| told.places.values().all(|(_, _, hits)| *hits == 0)) {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
        let page = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the mark");
        let (_, after) = rest.split_once(END).expect("the other mark");
        std::fs::write(&path, format!("{before}{BEGIN}\n\n{table}\n{END}{after}")).unwrap();
    }
}

const BEGIN: &str = "<!-- written by make test-phi -->";
const END: &str = "<!-- end of what make test-phi wrote -->";

fn table(all: &BTreeMap<&'static str, Told>) -> String {
    let mut text = String::from("| shape | place | how many | KiB | hits |\n|---|---|---:|---:|---:|\n");
    for (shape, told) in all {
        for (sort, (count, bytes, hits)) in &told.places {
            writeln!(text, "| {shape} | {sort} | {count} | {} | {hits} |", bytes.div_ceil(1024)).unwrap();
        }
    }
    text.push('\n');
    for (shape, told) in all {
        writeln!(
            text,
            "- {shape}: {}, in {} forms and pieces; {} answers that lied and quoted.",
            told.canaries, told.forms, told.lies
        )
        .unwrap();
    }
    text
}
