//! Observations mapped a second on one core: the document, next to a mapping of the same input that is written by
//! hand over `serde_json::Value`. Both from the page's bytes to each Observation's bytes, in turn, in one run.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs)]

#[path = "mapping/by_hand.rs"]
mod by_hand;
#[path = "mapping/page.rs"]
mod page;

use std::time::{Duration, Instant};

use ohx_domain::{Sensitive, account_pseudonym};
use ohx_mapping::{Context, Mapping};

const GROUPS: usize = 1000;
const ROUNDS: usize = 15;
const ROUND: Duration = Duration::from_millis(400);

fn main() {
    let page = page::page(GROUPS);
    let mapping = Mapping::parse(ohx_mapping::builtin("withings", "getmeas").unwrap()).unwrap();
    let provider = "withings".parse().unwrap();
    let patient = "Patient/p1".parse().unwrap();
    let context = Context {
        identifier_base: "https://ohx.example.org/ns".into(),
        account: account_pseudonym(&provider, &Sensitive::new("363".into()), &patient),
        provider,
        subject: patient,
    };
    let by_document = || mapping.map(page.as_bytes(), &context).unwrap().observations.len();
    let hand = || by_hand::map(page.as_bytes(), &context).len();
    let observations = by_document();
    assert_eq!(observations, hand(), "both map the same readings");
    println!(
        "{GROUPS} groups, {} KB of JSON, {observations} Observations, {ROUNDS} rounds in turn, one core",
        page.len() / 1024
    );

    let (mut document, mut written, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (d, h) = (rate(by_document, observations), rate(hand, observations));
        document.push(d);
        written.push(h);
        ratios.push(d / h);
    }
    println!("mapping document         {:>9.0} Observations/s (median)", median(&mut document));
    println!("by hand, serde_json      {:>9.0} Observations/s (median)", median(&mut written));
    println!("document / by hand       {:>9.2} (median of the rounds' ratios)", median(&mut ratios));
}

fn rate(map: impl Fn() -> usize, observations: usize) -> f64 {
    let began = Instant::now();
    let mut runs = 0;
    while began.elapsed() < ROUND {
        std::hint::black_box(map());
        runs += 1;
    }
    (runs * observations) as f64 / began.elapsed().as_secs_f64()
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
