//! Killing a function: its work is dropped at one of the points where it waits.

use std::future::poll_fn;
use std::task::Poll;

/// Runs `work`, but drops it at the given one of its waits. `None` where that happened; work that ends sooner gives what
/// it gives, and so does all work where no number is given.
///
/// An odd number ends it as soon as it waits: what it asked for may never be sent. An even one ends it when that for
/// which it waits is there: it was done, and nobody reads the answer.
pub async fn killed_after<T>(work: impl Future<Output = T>, wait: Option<u32>) -> Option<T> {
    let mut work = Some(Box::pin(work));
    let mut waits = 0;
    let at = move |waits: u32, rest: u32| wait.is_some_and(|wait| wait % 2 == rest && waits >= wait);
    poll_fn(move |context| {
        if at(waits, 0) {
            work = None;
        }
        let Some(running) = work.as_mut() else { return Poll::Ready(None) };
        if let Poll::Ready(done) = running.as_mut().poll(context) {
            return Poll::Ready(Some(done));
        }
        waits += 1;
        if at(waits, 1) {
            work = None;
            return Poll::Ready(None);
        }
        Poll::Pending
    })
    .await
}

#[tokio::test]
async fn work_is_dropped_where_it_waits() {
    use std::cell::Cell;
    let steps = Cell::new(0);
    let work = async || {
        for step in 1..=5 {
            steps.set(step);
            tokio::task::yield_now().await;
        }
        "done"
    };
    assert_eq!(killed_after(work(), None).await, Some("done"));
    assert_eq!((killed_after(work(), Some(3)).await, steps.get()), (None, 3));
    assert_eq!((killed_after(work(), Some(2)).await, steps.get()), (None, 2));
    assert_eq!(killed_after(work(), Some(7)).await, Some("done"));
}
