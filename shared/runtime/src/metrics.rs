//! Every metric that a process counts itself, declared once, with its help text and labels. Labels are bounded; none is a link, a person or a value.

use std::sync::LazyLock;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};

/// The registry that `/metrics` shows.
static REGISTRY: LazyLock<Registry> = LazyLock::new(Registry::new);

/// Registers a metric. A clash of names is a defect of this file, and shows in the test below.
fn register<M: prometheus::core::Collector + Clone + 'static>(metric: prometheus::Result<M>) -> M {
    #[expect(clippy::expect_used, reason = "names and labels are constants of this file, tried by its test")]
    let metric = metric.expect("a valid metric");
    if let Err(error) = REGISTRY.register(Box::new(metric.clone())) {
        tracing::error!(error = %error, "metric not registered");
    }
    metric
}

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(IntCounterVec::new(Opts::new(name, help), labels))
}

fn seconds(name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
    register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels))
}

/// Requests answered.
pub static REQUESTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "ohx_http_requests_total",
        "HTTP requests answered, by function and status code.",
        &["function", "status"],
    )
});

/// How long requests took.
pub static REQUEST_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    // Two seconds are what the strictest provider waits for the answer to a notification.
    let buckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 30.0, 120.0];
    seconds(
        "ohx_http_request_duration_seconds",
        "Time to answer an HTTP request, by function.",
        &["function"],
        &buckets,
    )
});

/// Events handled.
pub static EVENTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Events handled, by function, type and outcome (done, retry, wait, reject).";
    counter("ohx_events_total", help, &["function", "type", "outcome"])
});

/// Resources written.
pub static RESOURCES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Observations by what became of them at the EHR (created, updated, unchanged, rejected).";
    counter("ohx_observations_total", help, &["provider", "record", "outcome"])
});

/// Readings left out by the mapping.
pub static SKIPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Readings that the mapping left out, by reason.";
    counter("ohx_readings_skipped_total", help, &["provider", "record", "reason"])
});

/// Observations made by the mapping.
pub static MAPPED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Observations that the mapping made, by the mapping's name and version.";
    counter("ohx_observations_mapped_total", help, &["provider", "mapping", "version"])
});

/// Calls to providers.
pub static PROVIDER_CALLS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Calls to a provider's API, by outcome (ok, retry, slow_down, refresh, reauthorize, permanent, quota).";
    counter("ohx_provider_calls_total", help, &["provider", "outcome"])
});

/// Token refreshes.
pub static REFRESHES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Token refreshes, by outcome (refreshed, elsewhere, failed, doubted, held, reauthorize).";
    counter("ohx_token_refreshes_total", help, &["provider", "outcome"])
});

/// Links that need a consent.
pub static DEAD_LINKS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Links whose patient has to consent again, each told once, by reason.";
    counter("ohx_links_reauthorization_required_total", help, &["provider", "reason"])
});

/// Outages of providers.
pub static OUTAGES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "How often a provider app refused so many links at once that it was taken for an outage.";
    counter("ohx_provider_outages_total", help, &["provider"])
});

/// Notifications received.
pub static NOTIFICATIONS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Provider notifications and what gateways push, by outcome (requested, merged, revoked, irrelevant, unknown, pushed, refused; beside these \
         early and late: answered before the event was out, or before anything was written down).";
    counter("ohx_notifications_total", help, &["provider", "outcome"])
});

/// Requests made by the nightly run.
pub static PLANNED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Ledger requests made or repeated by the planner, by kind (hole, changes, unfinished).";
    counter("ohx_planned_requests_total", help, &["kind"])
});

/// Pauses of EHR endpoints.
pub static EHR_PAUSES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "How often an EHR endpoint was left alone because it did not answer or asked for patience.";
    counter("ohx_ehr_pauses_total", help, &["ehr"])
});

/// The text that `/metrics` answers with.
pub fn exposition() -> String {
    // A counter that nothing has touched yet is still declared.
    for counter in [
        &REQUESTS,
        &EVENTS,
        &RESOURCES,
        &MAPPED,
        &SKIPPED,
        &PROVIDER_CALLS,
        &REFRESHES,
        &DEAD_LINKS,
        &OUTAGES,
        &NOTIFICATIONS,
        &PLANNED,
        &EHR_PAUSES,
    ] {
        LazyLock::force(counter);
    }
    TextEncoder::new().encode_to_string(&REGISTRY.gather()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_valid_and_shown() {
        REQUESTS.with_label_values(&["fetch", "204"]).inc();
        REQUEST_SECONDS.with_label_values(&["fetch"]).observe(0.002);
        EVENTS.with_label_values(&["fetch", "sync.requested.v1", "done"]).inc();
        RESOURCES.with_label_values(&["withings", "getmeas", "created"]).inc();
        MAPPED.with_label_values(&["withings", "withings/getmeas", "1"]).inc();
        SKIPPED.with_label_values(&["withings", "getmeas", "unmapped"]).inc();
        PROVIDER_CALLS.with_label_values(&["withings", "ok"]).inc();
        REFRESHES.with_label_values(&["withings", "refreshed"]).inc();
        DEAD_LINKS.with_label_values(&["withings", "grant-refused"]).inc();
        OUTAGES.with_label_values(&["withings"]).inc();
        NOTIFICATIONS.with_label_values(&["withings", "requested"]).inc();
        PLANNED.with_label_values(&["hole"]).inc();
        EHR_PAUSES.with_label_values(&["clinic"]).inc();
        let text = exposition();
        assert_eq!(text.lines().filter(|l| l.starts_with("# TYPE ohx_")).count(), 13, "{text}");
    }
}
