//! From the page's bytes to each Observation's JSON bytes, on one core: the document, next to two mappings of the same
//! page that are written by hand, (a) over `serde_json::Value` and (b) over structs that borrow from the page.
//!
//! All are run in turn, round by round in one process, so that what else the machine does meets them alike; the medians
//! of the rounds are printed. First it is made sure that they make the same Observations.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "mapping/by_struct.rs"]
mod by_struct;
#[path = "mapping/by_value.rs"]
mod by_value;
#[path = "mapping/memory.rs"]
mod memory;
#[path = "mapping/pages.rs"]
mod pages;
#[path = "mapping/same.rs"]
mod same;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use by_struct::Output;
use by_value::Made;
use ohx_domain::{Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapping, builtin};

const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(150);
const READINGS: [usize; 5] = [10, 100, 1_000, 10_000, 100_000];

/// A kind of page, and everything that maps it.
struct Subject {
    name: &'static str,
    record: &'static str,
    /// How many records the page has that is compared.
    records: usize,
    /// How many Observations a record becomes, on average, in hundredths.
    yields: usize,
    page: fn(usize) -> String,
    by_value: fn(&[u8], &Context, bool) -> Vec<Made>,
    by_struct: fn(&[u8], &Context, &mut Output, bool),
}

const SUBJECTS: [Subject; 2] = [
    Subject {
        name: "groups of measures",
        record: "getmeas",
        records: 1_000,
        yields: 315,
        page: pages::getmeas,
        by_value: by_value::getmeas,
        by_struct: by_struct::getmeas,
    },
    Subject {
        name: "heart rates",
        record: "getintradayactivity",
        records: 10_000,
        yields: 100,
        page: pages::heart_rates,
        by_value: by_value::heart_rates,
        by_struct: by_struct::heart_rates,
    },
];

fn main() {
    let provider = "withings".parse().unwrap();
    let patient = "Patient/p1".parse().unwrap();
    let context = Context {
        identifier_base: "https://ohx.example.org/ns".into(),
        account: account_pseudonym(&provider, &Sensitive::new("363".into()), &patient),
        provider,
        subject: patient,
        covers: None,
    };
    if memory::is_asked_for(&context) {
        return;
    }
    println!("one core; medians of {ROUNDS} rounds in turn, {} ms each\n", ROUND.as_millis());
    for subject in &SUBJECTS {
        let Some(document) = builtin("withings", subject.record) else {
            println!("no document for {}\n", subject.record);
            continue;
        };
        let mapping = Mapping::parse(document).unwrap();
        compare(subject, &mapping, &context);
        grow(subject, &mapping, &context);
    }
}

/// A name, and what maps the page and says how many Observations came of it.
type Candidate<'a> = (&'static str, Box<dyn FnMut() -> usize + 'a>);

/// The document and the mappings by hand, in turn over one page.
fn compare(subject: &Subject, mapping: &Mapping, context: &Context) {
    let page = (subject.page)(subject.records);
    let page = page.as_bytes();
    let observations = assert_equal(subject, mapping, page, context);
    println!("{} {}: {} KB, {observations} Observations", subject.records, subject.name, page.len() / 1024);

    let mut output = Output::default();
    let mut candidates: Vec<Candidate<'_>> = vec![
        ("document", Box::new(|| mapping.map(page, context).unwrap().observations.len())),
        ("(a) serde_json::Value", Box::new(|| (subject.by_value)(page, context, false).len())),
        ("(a) with digests", Box::new(|| (subject.by_value)(page, context, true).len())),
        ("(b) borrowing structs", {
            let mut output = Output::default();
            Box::new(move || {
                (subject.by_struct)(page, context, &mut output, false);
                output.ends.len()
            })
        }),
        (
            "(b) with digests",
            Box::new(|| {
                (subject.by_struct)(page, context, &mut output, true);
                output.ends.len()
            }),
        ),
    ];
    let mut rates = vec![Vec::new(); candidates.len()];
    let mut ratios = vec![Vec::new(); candidates.len()];
    for _ in 0..ROUNDS {
        let round: Vec<f64> = candidates.iter_mut().map(|(_, map)| rate(map, observations)).collect();
        for (n, rate) in round.iter().enumerate() {
            rates[n].push(*rate);
            ratios[n].push(round[0] / rate);
        }
    }
    println!("{:<24} {:>14} {:>10} {:>16}", "", "Observations/s", "page MB/s", "document / this");
    for (n, (name, _)) in candidates.iter().enumerate() {
        let rate = median(&mut rates[n]);
        let bytes = rate / observations as f64 * page.len() as f64 / 1e6;
        println!("{name:<24} {rate:>14.0} {bytes:>10.0} {:>16.2}", median(&mut ratios[n]));
    }
    println!();
}

/// How many Observations all three make of the page, having found that they are the same ones.
fn assert_equal(subject: &Subject, mapping: &Mapping, page: &[u8], context: &Context) -> usize {
    let made = mapping.map(page, context).unwrap();
    assert!(made.skipped.is_empty(), "nothing is left out of the page: {:?}", made.skipped);
    let of = made.observations.iter().map(|o| (o.identifier.value.as_str(), o)).collect::<BTreeMap<_, _>>();

    let by_value = (subject.by_value)(page, context, true);
    assert_eq!(of.len(), by_value.len());
    for other in &by_value {
        assert!(other.digest.is_some());
        same::assert_same(of[other.identifier.as_str()].resource.get(), &other.resource);
    }

    let mut output = Output::default();
    (subject.by_struct)(page, context, &mut output, true);
    let mut by_struct: Vec<_> = output.texts().zip(output.digests.iter().map(String::as_str)).collect();
    let mut ours: Vec<_> = of.values().map(|o| (o.resource.get(), o.digest.as_str())).collect();
    by_struct.sort_unstable();
    ours.sort_unstable();
    for (a, b) in ours.iter().zip(&by_struct) {
        assert_eq!(a, b);
    }
    assert_eq!(ours.len(), by_struct.len());
    of.len()
}

/// What a reading costs on pages of growing size.
fn grow(subject: &Subject, mapping: &Mapping, context: &Context) {
    println!(
        "{:<24} {:>14} {:>10} {:>22}",
        "Observations of a page", "ns each", "page KB", "peak bytes a page byte"
    );
    for readings in READINGS {
        let records = (readings * 100).div_ceil(subject.yields);
        let page = (subject.page)(records);
        let page = page.as_bytes();
        let observations = mapping.map(page, context).unwrap().observations.len();
        let mut map = || mapping.map(page, context).unwrap().observations.len();
        let mut each: Vec<f64> = (0..5).map(|_| 1e9 / rate(&mut map, observations)).collect();
        let memory = memory::of(subject.record, records)
            .map_or_else(|| "-".to_owned(), |peak| format!("{:.1}", peak as f64 / page.len() as f64));
        println!("{observations:<24} {:>14.0} {:>10} {memory:>22}", median(&mut each), page.len() / 1024);
    }
    println!();
}

/// Observations a second of the core's time.
fn rate(map: &mut dyn FnMut() -> usize, observations: usize) -> f64 {
    let (began, worked) = (Instant::now(), on_core());
    let mut runs = 0;
    while began.elapsed() < ROUND {
        assert_eq!(std::hint::black_box(map()), observations);
        runs += 1;
    }
    let elapsed = began.elapsed();
    let worked = on_core().zip(worked).map_or(elapsed, |(after, before)| after - before);
    (runs * observations) as f64 / worked.as_secs_f64()
}

/// How long this thread has been on a core, where the operating system says it (Linux): time that other programs took
/// the core away is not the mapping's.
fn on_core() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
