//! What every engine promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::response::IntoResponse as _;
use cloudevents::AttributesReader as _;
use ohx_bus::SharedBus;
use ohx_bus::retry::RetryPolicy;
use ohx_events::{Event, Function, Priority, types};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::functions::{Call, Functions, event, problem, status};
use crate::rig::{Engine, Options, Rig, Transport, quick, until, within};

macro_rules! over_all {
    ($($promise:ident),* $(,)?) => { $(
        mod $promise {
            use super::{Engine, Options, Transport};

            over_each!(
                $promise: memory_router Memory Router, memory_http Memory Http, redis_router Redis Router,
                redis_http Redis Http, sqs_router Sqs Router, sqs_http Sqs Http
            );
        }
    )* };
}

macro_rules! over_each {
    ($promise:ident: $($name:ident $engine:ident $transport:ident),*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            super::promises::$promise(Options::new(Engine::$engine, Transport::$transport)).await;
        }
    )* };
}

over_all!(
    events_reach_their_function_unchanged,
    every_subscriber_gets_an_event_once_and_one_that_fails_holds_up_no_other,
    urgent_first_and_none_starves,
    a_failing_handler_is_called_until_it_succeeds,
    retry_after_is_honoured,
    exhausted_attempts_end_as_a_dead_letter_without_payload,
    what_nobody_else_has_is_tried_until_it_is_taken,
    what_nobody_else_has_and_nobody_takes_ends_at_last,
    what_outlasts_an_outage_of_the_dead_letters_is_delivered,
    a_refusal_is_a_dead_letter_at_once,
    a_success_with_a_body_is_a_failure,
    a_panicking_handler_is_called_again,
    a_poison_event_holds_up_nobody,
    waiting_retries_occupy_no_worker,
    a_dead_letter_that_cannot_be_kept_stays_queued,
    a_delayed_event_waits,
    handlers_that_publish_never_jam_the_chain,
    a_shutdown_finishes_what_is_in_hand,
    what_nobody_listens_to_is_dropped,
    depth_counts_what_waits,
);

async fn done(_: Call) -> axum::response::Response {
    status(204)
}

fn sync(id: impl ToString) -> Event {
    event(id, types::SYNC_REQUESTED, Priority::Normal)
}

mod promises {
    use super::*;

    pub(super) async fn events_reach_their_function_unchanged(options: Options) {
        let rig = Rig::start(options, Functions::new(done)).await;
        let sealed: Vec<u8> = (0..=255).cycle().take(200 * 1024).collect();
        let mut mapped = event("mapped", types::RESOURCES_MAPPED, Priority::High);
        mapped.set_data(ohx_events::envelope::SEALED, sealed);
        let sent = [
            (Function::Devices, event("ended", types::LINK_DISCONNECTED, Priority::High)),
            (Function::Nightly, event("ping", types::PING, Priority::Normal)),
            (Function::Fetch, event("sync", types::SYNC_REQUESTED, Priority::Low)),
            (Function::Transform, event("fetched", types::RECORDS_FETCHED, Priority::Normal)),
            (Function::Publish, mapped),
        ];
        rig.bus().ping().await.unwrap();
        rig.bus().publish(sent.iter().map(|(_, event)| event.clone()).collect()).await.unwrap();
        until(async || rig.functions.calls().len() == sent.len()).await;
        for (to, event) in sent {
            let calls = rig.functions.calls_of(event.id());
            assert_eq!(calls.len(), 1);
            assert_eq!(calls[0].to, to);
            let (got, sent) = (
                ohx_events::http_binding::to_binary(calls[0].event.clone()),
                ohx_events::http_binding::to_binary(event),
            );
            assert!(got.unwrap() == sent.unwrap(), "attributes or data changed on the way to {to}");
        }
        rig.finish().await;
    }

    pub(super) async fn every_subscriber_gets_an_event_once_and_one_that_fails_holds_up_no_other(
        options: Options,
    ) {
        // A connected link concerns two functions; one of them refuses it.
        let functions = Functions::new(|call: Call| async move {
            match call.to {
                Function::Devices => problem(422, "refused"),
                _ => status(204),
            }
        });
        let rig = Rig::start(options, functions).await;
        rig.bus().publish(vec![event("connected", types::LINK_CONNECTED, Priority::High)]).await.unwrap();
        until(async || rig.functions.calls().len() == 2 && rig.graves.letters().len() == 1).await;
        let called: BTreeSet<_> = rig.functions.calls_of("connected").iter().map(|call| call.to).collect();
        assert_eq!(called, BTreeSet::from([Function::Nightly, Function::Devices]));
        assert_eq!(rig.graves.letters()[0].to, Function::Devices);
        rig.finish().await;
    }

    pub(super) async fn urgent_first_and_none_starves(options: Options) {
        let mut rig = Rig::new(Options { concurrency: 1, ..options }, Functions::new(done)).await;
        // The least urgent are there first, and all before anything is delivered.
        for (priority, count) in [(Priority::Low, 20), (Priority::Normal, 40), (Priority::High, 40)] {
            let name = priority.as_str();
            let events = (0..count).map(|n| event(format!("{name}-{n:02}"), types::SYNC_REQUESTED, priority));
            rig.bus().publish(events.collect()).await.unwrap();
        }
        rig.run().await;
        rig.idle().await;
        let served = rig.functions.ids();
        assert_eq!(served.len(), 100);
        assert!(served[0].starts_with("high"));
        let last_high = served.iter().rposition(|id| id.starts_with("high")).unwrap();
        let before = |name: &str| served[..last_high].iter().filter(|id| id.starts_with(name)).count();
        assert!(before("normal") <= 8 && before("low") <= 8, "high waited for others: {served:?}");
        let last_low = served.iter().rposition(|id| id.starts_with("low")).unwrap();
        for window in served[..=last_low].windows(8) {
            assert!(window.iter().any(|id| id.starts_with("low")), "low starved: {served:?}");
        }
        for name in ["high", "normal", "low"] {
            let order: Vec<_> = served.iter().filter(|id| id.starts_with(name)).collect();
            // SQS promises no order.
            assert!(options.engine == Engine::Sqs || order.is_sorted(), "one worker, one queue: {order:?}");
        }
        rig.finish().await;
    }

    pub(super) async fn a_failing_handler_is_called_until_it_succeeds(options: Options) {
        let codes = [500, 503, 404, 408, 409, 429, 302, 401, 403];
        let options = Options { policy: quick(codes.len() as u32 + 1), ..options };
        let functions =
            Functions::new(move |call| async move { status(*codes.get(call.nth - 1).unwrap_or(&200)) });
        let rig = Rig::start(options, functions).await;
        rig.bus().publish(vec![sync("stubborn")]).await.unwrap();
        rig.idle().await;
        let calls = rig.functions.calls();
        assert_eq!(calls.len(), codes.len() + 1);
        for (n, pair) in calls.windows(2).enumerate() {
            let wait = pair[1].at - pair[0].at;
            let full =
                Duration::from_millis(10).saturating_mul(2_u32.pow(n as u32)).min(Duration::from_millis(40));
            assert!(wait >= full / 2 - Duration::from_millis(1), "wait {n} was only {wait:?}");
        }
        assert!(rig.graves.letters().is_empty());
        rig.finish().await;
    }

    pub(super) async fn retry_after_is_honoured(options: Options) {
        let functions = Functions::new(|call| async move {
            if call.nth == 1 { ([("retry-after", "1")], status(503)).into_response() } else { status(202) }
        });
        let rig = Rig::start(options, functions).await;
        rig.bus().publish(vec![sync("limited")]).await.unwrap();
        rig.idle().await;
        let calls = rig.functions.calls();
        assert_eq!(calls.len(), 2);
        let wait = calls[1].at - calls[0].at;
        assert!(wait >= Duration::from_millis(990), "called again after {wait:?}");
        rig.finish().await;
    }

    pub(super) async fn exhausted_attempts_end_as_a_dead_letter_without_payload(options: Options) {
        let functions = Functions::new(|_| async { problem(503, "the EHR is away") });
        let rig = Rig::start(Options { policy: quick(3), ..options }, functions).await;
        rig.bus().publish(vec![event("doomed", types::RESOURCES_MAPPED, Priority::Low)]).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.calls().len(), 3);
        let letters = rig.graves.letters();
        assert_eq!(letters.len(), 1);
        assert_eq!((letters[0].to, letters[0].attempts), (Function::Publish, 3));
        assert_eq!(letters[0].reason, "the EHR is away");
        assert_eq!(letters[0].event.id(), "doomed");
        assert!(letters[0].event.data().is_none());
        rig.finish().await;
    }

    pub(super) async fn what_nobody_else_has_is_tried_until_it_is_taken(options: Options) {
        let functions = Functions::new(|call| async move {
            match (call.event.id(), call.nth) {
                ("brought", 1..8) => problem(503, "the EHR is away"),
                ("refused", 1..5) => problem(503, "the EHR is away"),
                ("refused", _) => problem(422, "no patient of ours"),
                _ => status(200),
            }
        });
        let rig = Rig::start(Options { policy: quick(3), ..options }, functions).await;
        let events = ["brought", "refused"].map(|id| {
            let mut event = event(id, types::RESOURCES_MAPPED, Priority::High);
            ohx_events::envelope::set_only_copy(&mut event);
            event
        });
        rig.bus().publish(events.into()).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.calls_of("brought").len(), 8);
        assert_eq!(rig.functions.calls_of("refused").len(), 5);
        let letters = rig.graves.letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!((letters[0].event.id(), letters[0].reason.as_str()), ("refused", "no patient of ours"));
        rig.finish().await;
    }

    pub(super) async fn what_nobody_else_has_and_nobody_takes_ends_at_last(options: Options) {
        let functions = Functions::new(|_| async { problem(503, "the EHR is gone") });
        // Ten times as often as anything else.
        let policy = RetryPolicy { handed_out: 1, ..quick(1) };
        let rig = Rig::start(Options { policy, ..options }, functions).await;
        let mut event = event("brought", types::RESOURCES_MAPPED, Priority::High);
        ohx_events::envelope::set_only_copy(&mut event);
        rig.bus().publish(vec![event]).await.unwrap();
        rig.idle().await;
        let calls = rig.functions.calls_of("brought").len();
        assert!((10..=11).contains(&calls), "{calls}");
        let letters = rig.graves.letters();
        assert_eq!(letters.len(), 1, "{letters:?}");
        assert_eq!((letters[0].event.id(), letters[0].attempts), ("brought", 11));
        rig.finish().await;
    }

    pub(super) async fn what_outlasts_an_outage_of_the_dead_letters_is_delivered(options: Options) {
        // The database is away: functions fail, and no dead letter can be kept.
        let functions = Functions::new(|call| async move { status(if call.nth < 6 { 503 } else { 204 }) });
        let rig = Rig::start(Options { policy: quick(2), ..options }, functions).await;
        *rig.graves.refusals.lock().unwrap() = 100;
        rig.bus().publish(vec![sync("patient")]).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.calls().len(), 6);
        assert!(rig.graves.letters().is_empty());
        rig.finish().await;
    }

    pub(super) async fn a_refusal_is_a_dead_letter_at_once(options: Options) {
        let functions = Functions::new(|call| async move { status(call.event.id().parse().unwrap()) });
        let rig = Rig::start(options, functions).await;
        let codes = ["400", "405", "410", "413", "422", "425"];
        rig.bus().publish(codes.iter().map(sync).collect()).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.calls().len(), codes.len());
        let letters: BTreeMap<_, _> = rig
            .graves
            .letters()
            .into_iter()
            .map(|l| (l.event.id().to_owned(), (l.reason, l.attempts)))
            .collect();
        assert_eq!(letters.len(), codes.len());
        for code in codes {
            assert_eq!(letters[code], (format!("HTTP {code}"), 1));
        }
        rig.finish().await;
    }

    pub(super) async fn a_success_with_a_body_is_a_failure(options: Options) {
        let functions = Functions::new(|call| async move {
            if call.nth < 3 {
                axum::Json(serde_json::json!({"ok": true})).into_response()
            } else {
                status(200)
            }
        });
        let rig = Rig::start(options, functions).await;
        rig.bus().publish(vec![sync("chatty")]).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.calls().len(), 3);
        assert!(rig.graves.letters().is_empty());
        rig.finish().await;
    }

    pub(super) async fn a_panicking_handler_is_called_again(options: Options) {
        let functions = Functions::new(|call| async move {
            assert!(call.event.id() != "panics" || call.nth > 2, "a panic that a test wants");
            status(200)
        });
        let rig = Rig::start(Options { concurrency: 1, ..options }, functions).await;
        rig.bus().publish(vec![sync("panics"), sync("neighbour")]).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.calls_of("panics").len(), 3);
        assert_eq!(rig.functions.calls_of("neighbour").len(), 1);
        assert!(rig.graves.letters().is_empty());
        rig.finish().await;
    }

    pub(super) async fn a_poison_event_holds_up_nobody(options: Options) {
        let functions = Functions::new(|call| async move {
            status(if call.event.id().starts_with("poison") { 500 } else { 200 })
        });
        let rig = Rig::start(options, functions).await;
        let events = (0..60).map(|n| sync(if n % 20 == 0 { format!("poison-{n}") } else { n.to_string() }));
        rig.bus().publish(events.collect()).await.unwrap();
        rig.idle().await;
        let mut counts = BTreeMap::new();
        for id in rig.functions.ids() {
            *counts.entry(id).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 60);
        for (id, count) in counts {
            assert_eq!(count, if id.starts_with("poison") { 4 } else { 1 }, "{id}");
        }
        assert_eq!(rig.graves.letters().len(), 3);
        rig.finish().await;
    }

    pub(super) async fn waiting_retries_occupy_no_worker(options: Options) {
        // One worker, and retries that wait for an hour: the neighbours can only be served if waiting holds no worker.
        let functions = Functions::new(|call| async move {
            let slow = call.event.id().starts_with("slow");
            if slow { ([("retry-after", "3600")], status(503)).into_response() } else { status(200) }
        });
        let mut rig = Rig::start(Options { concurrency: 1, ..options }, functions).await;
        rig.bus().publish((0..10).map(|n| sync(format!("slow-{n}"))).collect()).await.unwrap();
        rig.bus().publish((0..10).map(|n| sync(format!("quick-{n}"))).collect()).await.unwrap();
        until(async || rig.functions.calls().len() == 20).await;
        until(async || rig.put_off().await == 10).await;
        within(rig.stop()).await.unwrap();
    }

    pub(super) async fn a_dead_letter_that_cannot_be_kept_stays_queued(options: Options) {
        let functions = Functions::new(|_| async { status(400) });
        let mut rig = Rig::new(options, functions).await;
        *rig.graves.refusals.lock().unwrap() = 2;
        rig.run().await;
        rig.bus().publish(vec![sync("refused")]).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.graves.letters().len(), 1);
        rig.finish().await;
    }

    pub(super) async fn a_delayed_event_waits(options: Options) {
        let rig = Rig::start(options, Functions::new(done)).await;
        let delay = Duration::from_millis(300);
        let began = Instant::now();
        rig.bus().publish_after(sync("later"), delay).await.unwrap();
        // The very same event a second time is an event of its own.
        rig.bus().publish_after(sync("later"), delay).await.unwrap();
        rig.bus().publish(vec![sync("now")]).await.unwrap();
        rig.idle().await;
        assert_eq!(rig.functions.ids(), ["now", "later", "later"]);
        for call in rig.functions.calls_of("later") {
            assert!(call.at - began >= delay - Duration::from_millis(2), "{:?}", call.at - began);
        }
        rig.finish().await;
    }

    pub(super) async fn handlers_that_publish_never_jam_the_chain(options: Options) {
        // One event becomes four at each stage, with fewer workers than events and hardly any room.
        let bus: Arc<OnceLock<SharedBus>> = Arc::default();
        let handle = bus.clone();
        let functions = Functions::new(move |call| {
            let bus = handle.clone();
            async move {
                let next = match call.to {
                    Function::Nightly => types::SYNC_REQUESTED,
                    Function::Fetch => types::RECORDS_FETCHED,
                    Function::Transform => types::RESOURCES_MAPPED,
                    Function::Publish | Function::Devices => types::RESOURCES_PUBLISHED,
                };
                let events = (0..4).map(|n| event(format!("{}.{n}", call.event.id()), next, Priority::Low));
                status(bus.get().unwrap().publish(events.collect()).await.map_or(503, |()| 204))
            }
        });
        let mut rig = Rig::new(Options { concurrency: 2, queued: 2, ..options }, functions).await;
        bus.set(rig.bus()).ok().unwrap();
        rig.run().await;
        let pings = (0..4).map(|n| event(n, types::PING, Priority::Normal)).collect();
        rig.bus().publish(pings).await.unwrap();
        rig.idle().await;
        let ids: BTreeSet<_> = rig.functions.ids().into_iter().collect();
        assert_eq!(ids.len(), 4 + 16 + 64 + 256);
        rig.finish().await;
    }

    pub(super) async fn a_shutdown_finishes_what_is_in_hand(options: Options) {
        let (gate, finished) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (waiting, count) = (gate.clone(), finished.clone());
        let functions = Functions::new(move |_| {
            let (gate, count) = (waiting.clone(), count.clone());
            async move {
                gate.acquire().await.unwrap().forget();
                count.fetch_add(1, Ordering::SeqCst);
                status(200)
            }
        });
        let mut rig = Rig::start(Options { concurrency: 1, ..options }, functions).await;
        rig.bus().publish((0..100).map(sync).collect()).await.unwrap();
        until(async || rig.functions.calls().len() == 1).await;
        // Handlers go on to finish, one after the other, while the engine is told to stop.
        let stopping = rig.stop();
        until(async || {
            gate.add_permits(1);
            stopping.is_finished()
        })
        .await;
        stopping.await.unwrap();
        let called = rig.functions.calls().len();
        assert!(called < 100, "the engine took everything before it stopped");
        assert_eq!(finished.load(Ordering::SeqCst), called, "a delivery was cut off");
        let depth = rig.depth().await;
        let queue = depth.queues[&(Function::Fetch, Priority::Normal)];
        assert_eq!((queue.queued, queue.in_hand, depth.delayed), (100 - called as u64, 0, 0));
    }

    pub(super) async fn what_nobody_listens_to_is_dropped(options: Options) {
        let rig = Rig::start(options, Functions::new(done)).await;
        let counts = event("counts", types::RESOURCES_PUBLISHED, Priority::Normal);
        rig.bus().publish(vec![counts.clone()]).await.unwrap();
        rig.bus().publish_after(counts, Duration::from_millis(1)).await.unwrap();
        rig.bus().publish(Vec::new()).await.unwrap();
        assert!(rig.depth().await.is_empty());
        // Such types are for observers outside, and no mistake: no dead letter either.
        assert!(rig.graves.letters().is_empty());
        rig.finish().await;
    }

    pub(super) async fn depth_counts_what_waits(options: Options) {
        let mut rig = Rig::new(options, Functions::new(done)).await;
        rig.bus().publish(vec![sync(1), sync(2), event(3, types::PING, Priority::High)]).await.unwrap();
        rig.bus().publish_after(sync(4), Duration::from_secs(1)).await.unwrap();
        let depth = rig.depth().await;
        assert_eq!(depth.queues.len(), Function::ALL.len() * Priority::ALL.len());
        let fetch = depth.queues[&(Function::Fetch, Priority::Normal)];
        assert_eq!((fetch.queued, fetch.in_hand, depth.delayed), (2, 0, 1));
        assert_eq!(fetch.oldest.is_some(), options.engine != Engine::Sqs);
        assert_eq!(depth.queues[&(Function::Nightly, Priority::High)].queued, 1);
        assert!(!depth.is_empty());
        rig.run().await;
        rig.finish().await;
    }
}
