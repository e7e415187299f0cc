//! What only the bus in memory promises.

use std::sync::Arc;
use std::time::Duration;

use futures_util::poll;
use ohx_bus::memory::{MemoryBus, MemoryConfig};
use ohx_bus::{Bus as _, BusError};
use ohx_events::{Function, Priority, types};
use tokio::sync::{Notify, Semaphore, oneshot};

use crate::functions::{Functions, Graves, event, status};
use crate::rig::{Transport, deliver_to, quick, until, within};

#[tokio::test]
async fn a_full_lane_makes_publishers_wait_and_no_other_lane() {
    let gate = Arc::new(Semaphore::new(0));
    let closed = gate.clone();
    let functions = Functions::new(move |_| {
        let gate = closed.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            status(200)
        }
    });
    let bus = MemoryBus::new(MemoryConfig { workers: 1, queued: 2, ..MemoryConfig::default() });
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = bus.clone();
    let deliver = deliver_to(&functions, Transport::Router).await;
    let running = tokio::spawn(async move {
        runner.run(deliver, Arc::new(Graves::default()), quick(2), async { stopped.await.unwrap() }).await;
    });
    let sync = |n: u32| event(n, types::SYNC_REQUESTED, Priority::Normal);
    bus.publish(vec![sync(0)]).await.unwrap();
    until(async || functions.calls().len() == 1).await;
    bus.publish(vec![sync(1), sync(2)]).await.unwrap();

    let blocked = bus.publish(vec![sync(3)]);
    tokio::pin!(blocked);
    assert!(poll!(&mut blocked).is_pending());
    within(bus.publish(vec![event("other", types::RECORDS_FETCHED, Priority::Normal)])).await.unwrap();
    within(bus.publish_after(sync(4), Duration::ZERO)).await.unwrap();
    assert!(poll!(&mut blocked).is_pending());

    gate.add_permits(6);
    within(blocked).await.unwrap();
    within(bus.idle()).await;
    assert_eq!(functions.calls().len(), 6);
    stop.send(()).unwrap();
    within(running).await.unwrap();
}

/// A night's work that waits for a quota must not hold up a notification.
#[tokio::test]
async fn what_waits_for_its_time_keeps_out_nothing_urgent() {
    let bus = MemoryBus::new(MemoryConfig { delayed: 2, ..MemoryConfig::default() });
    let sync = |n: u32, priority| event(n, types::SYNC_REQUESTED, priority);
    for n in 0..3 {
        bus.publish_after(sync(n, Priority::Low), Duration::from_secs(3600)).await.unwrap();
    }
    let blocked = bus.publish(vec![sync(3, Priority::Low)]);
    tokio::pin!(blocked);
    assert!(poll!(&mut blocked).is_pending());
    within(bus.publish(vec![sync(4, Priority::High), sync(5, Priority::High)])).await.unwrap();
    // But there is an end to it.
    bus.publish_after(sync(6, Priority::High), Duration::from_secs(3600)).await.unwrap();
    let urgent = bus.publish(vec![sync(7, Priority::High)]);
    tokio::pin!(urgent);
    assert!(poll!(&mut urgent).is_pending());
    assert!(poll!(&mut blocked).is_pending());
}

#[tokio::test]
async fn a_closed_bus_takes_nothing_and_frees_who_waits() {
    let bus = MemoryBus::new(MemoryConfig { workers: 1, queued: 1, ..MemoryConfig::default() });
    let hanging = Arc::new(Notify::new());
    let handle = hanging.clone();
    let functions = Functions::new(move |_| {
        let hanging = handle.clone();
        async move {
            hanging.notify_one();
            std::future::pending().await
        }
    });
    let sync = |n: u32| event(n, types::SYNC_REQUESTED, Priority::Normal);
    bus.publish(vec![sync(0)]).await.unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let runner = MemoryBus::clone(&bus);
    let deliver = deliver_to(&functions, Transport::Router).await;
    let running = tokio::spawn(async move {
        runner.run(deliver, Arc::new(Graves::default()), quick(2), async { stopped.await.unwrap() }).await;
    });
    within(hanging.notified()).await;
    bus.publish(vec![sync(1)]).await.unwrap();
    let blocked = bus.publish(vec![sync(2)]);
    tokio::pin!(blocked);
    assert!(poll!(&mut blocked).is_pending());
    stop.send(()).unwrap();
    assert!(matches!(within(blocked).await, Err(BusError::Closed)));
    assert!(matches!(bus.publish(vec![sync(3)]).await, Err(BusError::Closed)));
    assert!(matches!(bus.publish_after(sync(4), Duration::ZERO).await, Err(BusError::Closed)));
    assert!(matches!(bus.ping().await, Err(BusError::Closed)));
    let queue = bus.depth().queues[&(Function::Fetch, Priority::Normal)];
    assert_eq!((queue.queued, queue.in_hand), (1, 1));
    running.abort();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let config = MemoryConfig { drain: Duration::from_millis(50), ..MemoryConfig::default() };
    let bus = MemoryBus::new(config);
    let functions = Functions::new(|_| std::future::pending());
    let deliver = deliver_to(&functions, Transport::Router).await;
    bus.publish(vec![event("hangs", types::PING, Priority::High)]).await.unwrap();
    let called = async { until(async || functions.calls().len() == 1).await };
    within(bus.run(deliver, Arc::new(Graves::default()), quick(2), called)).await;
}

#[tokio::test]
async fn a_silent_function_is_tried_again() {
    let config = MemoryConfig { timeout: Duration::from_millis(30), ..MemoryConfig::default() };
    let bus = MemoryBus::new(config);
    let functions = Functions::new(|call| async move {
        if call.nth == 1 { std::future::pending().await } else { status(200) }
    });
    let deliver = deliver_to(&functions, Transport::Http).await;
    bus.publish(vec![event("silent", types::PING, Priority::High)]).await.unwrap();
    let idle = bus.clone();
    within(bus.run(deliver, Arc::new(Graves::default()), quick(3), async move { idle.idle().await })).await;
    assert_eq!(functions.calls().len(), 2);
}
