//! What the broker knows.

use ohx_bus::Depth;

use crate::families::Families;

/// Shows how much is waiting.
pub(crate) fn show(depth: &Depth, to: &mut Families) {
    for ((function, priority), queue) in &depth.queues {
        let labels = [("function", function.as_str()), ("priority", priority.as_str())];
        to.gauge(
            "ohx_queue_events",
            "Events in a function's queue: ready, or being delivered.",
            &labels,
            (queue.queued + queue.in_hand) as f64,
        );
        to.gauge(
            "ohx_queue_lag_events",
            "Events in a function's queue that nobody has begun to deliver.",
            &labels,
            queue.queued as f64,
        );
        if let Some(oldest) = queue.oldest {
            to.gauge(
                "ohx_queue_oldest_event_age_seconds",
                "How long the oldest event has been in a function's queue. SQS does not tell.",
                &labels,
                oldest.as_secs_f64(),
            );
        }
    }
    to.gauge(
        "ohx_queue_delayed_events",
        "Events that wait for their time, retries among them, over all functions.",
        &[],
        depth.delayed as f64,
    );
}
