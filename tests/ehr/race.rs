//! Many writers of the same readings at once.

use std::sync::Arc;

use ohx_domain::WriteStrategy;
use ohx_events::sealed::MappedResource;
use ohx_fhir::{EhrClient, Published};
use tokio::sync::{Barrier, Mutex};
use tokio::task::JoinSet;

use crate::readings::{Case, digits, one};
use crate::servers::{Server, WAYS};

const WRITERS: usize = 32;

/// What a writer holds while it writes, where the strategy needs that only one does: the publish function takes a lease of
/// the store for it.
type Lock = Option<Arc<Mutex<()>>>;

async fn write(
    ehr: EhrClient,
    base: String,
    readings: Vec<MappedResource>,
    lock: Lock,
    together: Arc<Barrier>,
) -> Published {
    together.wait().await;
    let _held = match &lock {
        Some(lock) => Some(lock.lock().await),
        None => None,
    };
    // As a queue delivers: what met another writer comes again.
    for _ in 0..9 {
        if let Ok(published) = ehr.publish(&base, &[], &readings).await {
            return published;
        }
    }
    panic!("nine times in vain");
}

pub(crate) async fn thirty_two_writers_at_once_leave_one(server: &Server) {
    for way in WAYS {
        let case = Case::new("race", *way);
        let readings = case.readings(3);
        let together = Arc::new(Barrier::new(WRITERS));
        let one_at_a_time = Arc::new(Mutex::new(()));
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let ehr = server.client(*way);
            // Where it was chosen there would be a lock besides, in case others chose differently; here all choose the same.
            let needs = ehr.plan().await.unwrap().strategy != WriteStrategy::Update;
            let lock = needs.then(|| one_at_a_time.clone());
            tasks.spawn(write(ehr, case.base.clone(), readings.clone(), lock, together.clone()));
        }
        for published in tasks.join_all().await {
            let [.., rejected] = crate::readings::counts(&published.outcomes);
            assert_eq!(rejected, 0, "{}: {:?}", way.name(), published.outcomes);
        }
        for reading in &readings {
            let resource = one(server, reading).await;
            let value = digits(&resource, "valueQuantity.value");
            assert!(["72.10", "72.1"].contains(&value.as_str()), "{}: {value}", way.name());
        }
    }
}
