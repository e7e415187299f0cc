use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_domain::{Clock as _, EhrEndpoint, LinkId, ManualClock};
use ohx_fhir::EhrError;
use ohx_runtime::EventFailure;
use ohx_runtime::parts::Parts;
use ohx_seal::{Keyring, generate_key};
use ohx_store::SharedStore;
use ohx_store_sqlite::SqliteStore;
use secrecy::ExposeSecret as _;

use super::{Gate, Only};

struct Rig {
    store: SharedStore,
    clock: Arc<ManualClock>,
    ehr: EhrEndpoint,
}

impl Rig {
    async fn new(concurrency: u32) -> Self {
        let store: SharedStore = Arc::new(SqliteStore::open("sqlite::memory:").await.unwrap());
        store.migrate().await.unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-21T08:00:00Z".parse().unwrap()));
        let base = "http://127.0.0.1:1/fhir".parse().unwrap();
        let ehr = EhrEndpoint { concurrency, ..EhrEndpoint::new("clinic".parse().unwrap(), base) };
        Self { store, clock, ehr }
    }

    /// A gate as another instance of the function has it.
    fn instance(&self) -> Gate {
        let keys = format!("k:{}", generate_key().expose_secret());
        Gate::new(Parts {
            store: self.store.clone(),
            bus: Arc::new(MemoryBus::new(MemoryConfig::default())),
            keyring: Arc::new(Keyring::parse(&keys.into()).unwrap()),
            clock: self.clock.clone(),
            http: ohx_runtime::outbound::client(Duration::from_secs(1)).unwrap(),
            public_url: "http://127.0.0.1:1".parse().unwrap(),
            identifier_base: "https://ohx.test/ns".into(),
        })
    }

    fn unavailable(&self, retry_after: Option<Duration>) -> EhrError {
        EhrError::Unavailable {
            ehr: self.ehr.name.clone(),
            call: "a batch of writes",
            problem: "HTTP 503".into(),
            retry_after,
            in_doubt: false,
        }
    }
}

fn after(failure: &EventFailure) -> Option<Duration> {
    match failure {
        EventFailure::Retry { after, .. } => *after,
        EventFailure::Wait { after, .. } => Some(*after),
        EventFailure::Reject { reason } => panic!("rejected: {reason}"),
    }
}

/// Runs `calls` on three instances at once, and tells how many were ever under way together.
async fn most_together(rig: &Rig, calls: usize, only: Option<Only>) -> usize {
    let instances = [rig.instance(), rig.instance(), rig.instance()];
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = tokio::task::JoinSet::new();
    for call in 0..calls {
        let (gate, ehr) = (instances[call % 3].clone(), rig.ehr.clone());
        let (now, most) = (now.clone(), most.clone());
        tasks.spawn(async move {
            let work = async {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            };
            gate.pass(&ehr, only, work).await
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    most.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_share_the_room() {
    let rig = Rig::new(2).await;
    let most = most_together(&rig, 9, None).await;
    assert!((1..=2).contains(&most), "{most} at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_has_one_writer() {
    let rig = Rig::new(8).await;
    assert_eq!(most_together(&rig, 6, Some(Only::Link(LinkId::new()))).await, 1);
}

#[tokio::test]
async fn an_endpoint_that_fails_is_left_alone_and_tried_again() {
    let rig = Rig::new(2).await;
    let gate = rig.instance();
    for _ in 0..3 {
        let failed = gate.pass::<()>(&rig.ehr, None, async { Err(rig.unavailable(None)) }).await;
        failed.unwrap_err();
    }
    let untouched = async { panic!("the endpoint was asked") };
    let failure = gate.pass::<()>(&rig.ehr, None, untouched).await.unwrap_err();
    assert_eq!(after(&failure), Some(Duration::from_secs(10)));
    rig.clock.advance(Duration::from_secs(10));
    gate.pass(&rig.ehr, None, async { Ok(()) }).await.unwrap();
    gate.pass(&rig.ehr, None, async { Ok(()) }).await.unwrap();
}

#[tokio::test]
async fn patience_that_one_instance_is_asked_for_is_had_by_all() {
    let rig = Rig::new(2).await;
    let asked = Some(Duration::from_secs(17));
    let failure =
        rig.instance().pass::<()>(&rig.ehr, None, async { Err(rig.unavailable(asked)) }).await.unwrap_err();
    assert_eq!(after(&failure), asked);
    let other = rig.instance();
    let untouched = async { panic!("the endpoint was asked") };
    let failure = other.pass::<()>(&rig.ehr, None, untouched).await.unwrap_err();
    assert_eq!(after(&failure), asked);
    rig.clock.advance(Duration::from_secs(18));
    other.pass(&rig.ehr, None, async { Ok(()) }).await.unwrap();
}

#[tokio::test]
async fn a_call_that_is_cut_off_gives_its_room_back_in_time() {
    let rig = Rig::new(1).await;
    let gate = rig.instance();
    let cut = gate.pass::<()>(&rig.ehr, None, std::future::pending());
    let _ = tokio::time::timeout(Duration::from_millis(50), cut).await.unwrap_err();
    // Its lease ends by itself.
    rig.clock.advance(Duration::from_secs(61));
    let now = rig.clock.now();
    gate.pass(&rig.ehr, None, async { Ok(()) }).await.unwrap();
    assert_eq!(rig.clock.now(), now);
}

#[tokio::test]
async fn a_write_in_doubt_keeps_other_writers_of_the_same_out() {
    let rig = Rig::new(4).await;
    let (gate, other) = (rig.instance(), rig.instance());
    let only = Some(Only::Link(LinkId::new()));
    let doubt = EhrError::Unavailable {
        ehr: rig.ehr.name.clone(),
        call: "a batch of writes",
        problem: "no answer in time".into(),
        retry_after: None,
        in_doubt: true,
    };
    let failure = gate.pass::<()>(&rig.ehr, only, async { Err(doubt) }).await.unwrap_err();
    assert_eq!(after(&failure), Some(Duration::from_secs(60)), "sooner would be in vain");
    let early = other.pass::<()>(&rig.ehr, only, async { panic!("two writers") });
    let early = tokio::time::timeout(Duration::from_millis(700), early).await;
    assert!(early.is_err(), "it waits for the lease");
    // Others are not concerned, not even those who need the room it had.
    for _ in 0..4 {
        other.pass(&rig.ehr, Some(Only::Link(LinkId::new())), async { Ok(()) }).await.unwrap();
    }
    other.pass(&rig.ehr, Some(Only::Models), async { Ok(()) }).await.unwrap();
    rig.clock.advance(Duration::from_secs(61));
    other.pass(&rig.ehr, only, async { Ok(()) }).await.unwrap();
}

#[tokio::test]
async fn a_writer_that_was_stopped_for_longer_than_its_lease_sends_nothing_more() {
    let rig = Rig::new(4).await;
    let (gate, other) = (rig.instance(), rig.instance());
    let only = Some(Only::Link(LinkId::new()));
    let (looked, has_looked) = tokio::sync::oneshot::channel();
    let (resume, resumed) = tokio::sync::oneshot::channel::<()>();
    let mut stopped = std::pin::pin!(gate.pass::<()>(&rig.ehr, only, async move {
        looked.send(()).unwrap();
        resumed.await.unwrap();
        panic!("it goes on although another has written since");
    }));
    tokio::select! {
        _ = &mut stopped => panic!("it has ended"),
        looked = has_looked => looked.unwrap(),
    }
    // From here on nobody lets it run.
    rig.clock.advance(Duration::from_secs(61));
    let rival = other.pass(&rig.ehr, only, async {
        resume.send(()).unwrap();
        Ok(())
    });
    rival.await.unwrap();
    // The lease is free again. What the stopped one has read is out of date all the same.
    let failure = stopped.await;
    assert!(failure.unwrap_err().reason().contains("was lost"));
}

#[tokio::test]
async fn a_writer_that_was_stopped_while_it_waited_for_room_does_not_begin() {
    let rig = Rig::new(1).await;
    let (gate, other) = (rig.instance(), rig.instance());
    let only = Some(Only::Link(LinkId::new()));
    let (leave, left) = tokio::sync::oneshot::channel::<()>();
    let mut full = std::pin::pin!(other.pass(&rig.ehr, None, async {
        left.await.unwrap();
        Ok(())
    }));
    let mut stopped =
        std::pin::pin!(gate.pass::<()>(&rig.ehr, only, async { panic!("another has written since") }));
    // It has the link, and waits for room.
    let waiting = async { tokio::join!(&mut full, &mut stopped) };
    tokio::time::timeout(Duration::from_millis(300), waiting).await.unwrap_err();
    leave.send(()).unwrap();
    full.await.unwrap();
    rig.clock.advance(Duration::from_secs(61));
    rig.instance().pass(&rig.ehr, only, async { Ok(()) }).await.unwrap();
    assert!(stopped.await.unwrap_err().reason().contains("was lost"));
}

#[tokio::test]
async fn work_that_takes_longer_than_a_lease_keeps_it() {
    let rig = Rig::new(1).await;
    let (gate, other) = (rig.instance(), rig.instance());
    let only = Some(Only::Link(LinkId::new()));
    let long = gate.pass(&rig.ehr, only, async {
        for _ in 0..8 {
            rig.clock.advance(Duration::from_secs(21));
            tokio::time::sleep(2 * super::LOOK).await;
        }
        let rival = other.pass::<()>(&rig.ehr, only, async { panic!("two writers") });
        tokio::time::timeout(Duration::from_millis(600), rival).await.unwrap_err();
        Ok(())
    });
    long.await.unwrap();
}
