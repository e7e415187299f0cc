//! A suite that finds nothing must be able to find: worlds in which a promise is broken on purpose, and what the check
//! says of them. What breaks it is in this file only.

use ohx_bus::Verdict;
use ohx_domain::Counts;
use ohx_events::envelope::{link_of, parse_opened, sealed_data};
use ohx_events::sealed::MappedPiece;
use ohx_events::{Event, Function};
use ohx_store::Acknowledgement;

use crate::check::{self, Finding, Tally};
use crate::plan::Plan;
use crate::world::World;

/// How a world is broken. A delivery that is broken never reaches its function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// The first piece with a reading is acknowledged to the ledger, and the EHR never gets it.
    AcknowledgeOne,
    /// So is every piece.
    AcknowledgeAll,
    /// `fetch` refuses whatever comes.
    RefuseToFetch,
}

impl World {
    /// What a broken function answers; `None` where the real one is to be called.
    pub async fn sabotage(&self, to: Function, event: &Event) -> Option<Verdict> {
        let how = (*self.sabotage.lock().unwrap())?;
        match (how, to) {
            (Sabotage::RefuseToFetch, Function::Fetch) => {
                Some(Verdict::Reject { reason: "broken on purpose".into() })
            }
            (Sabotage::AcknowledgeOne | Sabotage::AcknowledgeAll, Function::Publish) => {
                let acknowledged = self.acknowledge_unwritten(event).await;
                if acknowledged && how == Sabotage::AcknowledgeOne {
                    *self.sabotage.lock().unwrap() = None;
                }
                acknowledged.then_some(Verdict::Done)
            }
            _ => None,
        }
    }

    /// Tells the ledger that the EHR has what it was never sent. `false` where there is no reading in it.
    async fn acknowledge_unwritten(&self, event: &Event) -> bool {
        let links = self.links();
        let open = links.open(link_of(event).unwrap()).await.unwrap();
        let opened = sealed_data(event, &open.key).unwrap();
        let piece: MappedPiece = parse_opened(event, &opened).unwrap();
        if piece.observations.is_empty() {
            return false;
        }
        let ack = Acknowledgement {
            request: piece.request,
            run: piece.run,
            part: piece.part,
            piece: piece.piece,
            pieces: piece.pieces,
            counts: Counts { created: piece.observations.len() as u64, ..Counts::default() },
            skipped: piece.skipped.clone(),
            holes: Vec::new(),
        };
        self.store.acknowledge(&ack, links.parts().clock.now()).await.unwrap();
        true
    }

    fn break_with(&self, how: Option<Sabotage>) {
        *self.sabotage.lock().unwrap() = how;
    }

    /// Every group of the first patient is corrected.
    async fn correct_everything(&self) {
        let patient = &self.patients[0];
        let cloud = &self.clouds[patient.cloud];
        cloud.correct_all(&patient.person);
        cloud.idle().await;
    }
}

fn block<T>(life: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(life)
}

/// A world that went well: everything is at the EHR.
async fn settled() -> World {
    let world = World::begin(Plan::calm(77)).await;
    let (found, tally) = world.recovers().await;
    assert_eq!((found.as_slice(), tally.nights), ([].as_slice(), 1), "a world without faults");
    assert!(tally.readings > 30, "{tally:?}");
    assert_eq!(world.journal.all(), [], "and none was injected");
    world
}

#[test]
fn an_acknowledgement_before_the_ehr_has_it_is_found() {
    let (found, _) = block(async {
        let world = World::begin(Plan::calm(77)).await;
        world.break_with(Some(Sabotage::AcknowledgeOne));
        world.recovers().await
    });
    assert!(!found.is_empty() && found.iter().all(|f| matches!(f, Finding::Lost { .. })), "{found:#?}");
}

#[test]
fn identifiers_that_change_are_found() {
    let (found, _) = block(async {
        let world = settled().await;
        world.forget_identifiers();
        world.correct_everything().await;
        world.recovers().await
    });
    assert!(found.iter().any(|f| matches!(f, Finding::Doubled { .. })), "{found:#?}");
}

#[test]
fn a_correction_that_is_swallowed_is_found() {
    let (found, _) = block(async {
        let world = settled().await;
        world.break_with(Some(Sabotage::AcknowledgeAll));
        world.correct_everything().await;
        let (found, _) = world.recovers().await;
        assert!(found.iter().any(|f| matches!(f, Finding::Altered { .. })), "{found:#?}");
        // And it stays so when all is well again: the ledger believes that it is there.
        world.break_with(None);
        world.recovers().await
    });
    assert!(!found.is_empty() && found.iter().all(|f| matches!(f, Finding::Altered { .. })), "{found:#?}");
}

#[test]
fn readings_that_are_never_fetched_are_found() {
    let (found, tally): (Vec<Finding>, Tally) = block(async {
        let world = World::begin(Plan::calm(77)).await;
        world.break_with(Some(Sabotage::RefuseToFetch));
        world.recovers().await
    });
    let has = |is: fn(&Finding) -> bool| found.iter().any(is);
    assert!(has(|f| matches!(f, Finding::Lost { .. })), "{found:#?}");
    assert!(has(|f| matches!(f, Finding::Hole { .. })), "the ledger says so too: {found:#?}");
    assert!(has(|f| matches!(f, Finding::DeadLetter { .. })), "and so do the dead letters: {found:#?}");
    assert_eq!(tally.nights, crate::run::NIGHTS, "every night was tried");
}

/// Two resources with one identifier, whatever type: as two writers leave them who both saw none.
#[test]
fn a_resource_that_is_there_twice_is_found() {
    let found = block(async {
        let world = settled().await;
        let one = world.ehr.resources("Observation").into_iter().next().unwrap();
        let mut copy: serde_json::Value = serde_json::from_str(&one).unwrap();
        copy.as_object_mut().unwrap().remove("id");
        let sent = ohx_tests::outside::http()
            .post(format!("{}/Observation", world.ehr_url))
            .header("content-type", "application/fhir+json")
            .body(copy.to_string())
            .send();
        assert_eq!(sent.await.unwrap().status(), 201);
        check::everything(&world).await.0
    });
    assert!(found.iter().any(|f| matches!(f, Finding::Doubled { readings: 1, .. })), "{found:#?}");
    assert!(
        found.iter().any(|f| matches!(f, Finding::SharedIdentifiers { identifiers: 1, .. })),
        "{found:#?}"
    );
}
