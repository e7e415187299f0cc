//! `make soak`: fresh worlds until the time is over, and what came of them as a table in `docs/reliability.md`.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::journal::kind;
use crate::suite::{Report, by_kind, many};

const BEGIN: &str = "<!-- soak: written by make soak -->";
const END: &str = "<!-- soak: end -->";

/// The table: nothing in it depends on the machine but how many worlds there were time for.
fn table(reports: &[Report]) -> String {
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    let weights = reports.iter().flat_map(|report| &report.findings).map(|finding| finding.weight());
    let (lost, doubled, altered) =
        weights.fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2));
    let faults = by_kind(reports);
    let nights =
        |n: u32| reports.iter().filter(|report| report.is_good() && report.tally.nights == n).count();
    let mut text = format!(
        "{BEGIN}\n\n| worlds (seeds) | readings | faults injected | lost | doubled | altered | worlds that did not end well |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n| {} | {} | {} | {lost} | {doubled} | {altered} | {} |\n\n",
        reports.len(),
        sum(|report| report.tally.readings),
        faults.values().sum::<u64>(),
        sum(|report| usize::from(!report.is_good())),
    );
    let later = reports.iter().filter(|report| report.is_good() && report.tally.nights > 2).count();
    text += &format!(
        "Everything was there after the first night in {} worlds, after the second in {}, later in {later}. {} events were \
         given up while what they needed was out of reach, and asked for again.\n\n",
        nights(1),
        nights(2),
        sum(|report| report.tally.given_up),
    );
    let bad: Vec<String> = reports.iter().filter(|r| !r.is_good()).map(|r| r.seed.to_string()).collect();
    if !bad.is_empty() {
        text += &format!("Seeds that did not end well: {}.\n\n", bad.join(", "));
    }
    text += "| fault | injected |\n| --- | ---: |\n";
    for kind in kind::ALL {
        text += &format!("| {kind} | {} |\n", faults.get(kind).copied().unwrap_or_default());
    }
    text + "\n" + END
}

/// Puts the table in its place.
fn written(document: &str, table: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{table}{after}"))
}

#[test]
#[ignore = "takes hours: make soak"]
fn fresh_worlds_until_the_time_is_over() {
    let seconds =
        std::env::var("SOAK_SECONDS").map_or(7_200, |text| text.parse().expect("a number of seconds"));
    let first = rand::random::<u64>() >> 16;
    let until = Instant::now() + Duration::from_secs(seconds);
    println!("worlds from seed {first} on, for {seconds} s");
    let reports = many(
        |n| Some(first + n),
        Some(until),
        |report| {
            if !report.is_good() {
                println!("{}", report.tell());
            }
        },
    );
    let table = table(&reports);
    println!("{table}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reliability.md");
    let document = std::fs::read_to_string(&path).expect("docs/reliability.md");
    let new = written(&document, &table).expect("docs/reliability.md has the markers of the table");
    std::fs::write(&path, new).expect("docs/reliability.md can be written");
    assert!(reports.iter().all(Report::is_good), "some worlds did not end well: see above");
}

#[test]
fn the_table_finds_its_place() {
    let document = format!("before\n{BEGIN}\na former table\n{END}\nafter\n");
    let new = written(&document, &table(&[])).unwrap();
    assert!(
        new.starts_with("before\n") && new.ends_with("\nafter\n") && !new.contains("a former table"),
        "{new}"
    );
    assert_eq!(written(&new, &table(&[])).unwrap(), new);
    for kind in kind::ALL {
        assert!(new.contains(kind), "{kind}");
    }
}
