//! Whatever comes, in whatever order and however often: in the end the EHR has the newest version of each reading, once.

use std::collections::BTreeMap;

use ohx_fhir::Outcome;
use proptest::prelude::*;

use crate::server::Server;
use crate::{BASE, BOTH, client, reading};

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_newest_version_wins(
        // Calls of (which reading, which version of it); before each call, whether the server fails it once first.
        calls in prop::collection::vec((prop::collection::vec((0_usize..5, 0_i64..4), 1..6), 0_u8..4), 1..8),
        batch_size in 1_usize..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for strategy in BOTH {
                let server = Server::start().await;
                let ehr = client(&server, strategy, batch_size);
                let mut newest = BTreeMap::new();
                for (call, fault) in &calls {
                    let mine: Vec<_> = call
                        .iter()
                        .map(|(which, version)| reading(*which, &format!("{which}.{version}0"), *version))
                        .collect();
                    for (which, version) in call {
                        let best = newest.entry(*which).or_insert(*version);
                        *best = (*best).max(*version);
                    }
                    server.faults(|faults| match fault {
                        1 => faults.next.push_back((503, vec![], String::new())),
                        2 => faults.next_batch.push_back((502, vec![], "<html>".into())),
                        3 => faults.next_batch.push_back((413, vec![], String::new())),
                        _ => {}
                    });
                    // At least once, as a queue delivers. A lone entry that meets the 413 is rejected: again, too.
                    let mut tries = 0;
                    loop {
                        let published = ehr.publish(BASE, &[], &mine).await;
                        let rejected = |outcome: &Outcome| matches!(outcome, Outcome::Rejected { .. });
                        if published.is_ok_and(|published| !published.outcomes.iter().any(rejected)) {
                            break;
                        }
                        tries += 1;
                        prop_assert!(tries < 9);
                    }
                }
                server.faults(|faults| *faults = crate::server::Faults::default());
                prop_assert_eq!(server.count("Observation").0, newest.len());
                for (which, version) in newest {
                    let (_, text) = server.current(&reading(which, "1", 0).identifier.value);
                    let value = format!(r#""value":{which}.{version}0,"#);
                    prop_assert!(text.contains(&value), "{} not in {}", value, text);
                }
            }
            Ok(())
        })?;
    }
}
