//! What is seen from afar: links and their flow, readings published over time. Counts only.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use ohx_domain::{Instant, LinkState, ProviderName};
use ohx_link::Links;
use ohx_runtime::Problem;
use ohx_store::Flow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::http::InQuery;
use crate::store_problem;

/// A link is fresh where something of it was published within so long: a night that failed shows the next morning.
const FRESH: Duration = Duration::from_secs(36 * 3600);
const HOUR: Duration = Duration::from_secs(3600);

/// How far back the readings are counted.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Span {
    /// The last 24 hours, by hours.
    Day,
    /// The last 7 days, by 6 hours.
    #[default]
    Week,
    /// The last 30 days, by days.
    Month,
}

impl Span {
    /// The length of a step, and how many there are.
    const fn steps(self) -> (Duration, u32) {
        match self {
            Self::Day => (HOUR, 24),
            Self::Week => (Duration::from_secs(6 * 3600), 28),
            Self::Month => (Duration::from_secs(24 * 3600), 30),
        }
    }
}

/// What is asked.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// How far back the readings are counted: `day`, `week` or `month`.
    #[serde(default)]
    #[param(inline)]
    span: Span,
}

/// The whole exchange, seen from afar.
#[derive(Serialize, ToSchema)]
pub(crate) struct Overview {
    /// When it was so.
    #[schema(value_type = String, format = DateTime)]
    at: Instant,
    /// Within how many hours something of a link has to be published for it to be fresh.
    fresh_within_hours: u64,
    /// The provider apps that are configured or have links, by name.
    providers: Vec<ProviderOverview>,
    /// Readings that reached EHRs.
    published: Published,
}

/// One provider app.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct ProviderOverview {
    /// Its name.
    provider: String,
    /// Links by state.
    links: LinkCounts,
    /// Active links by how readings flow.
    flow: FlowCounts,
}

/// Links by state.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct LinkCounts {
    pending: u64,
    active: u64,
    reauthorization_required: u64,
    disconnected: u64,
}

/// Active links by how readings flow.
#[derive(Default, Serialize, ToSchema)]
pub(crate) struct FlowCounts {
    /// Something of it was published lately.
    fresh: u64,
    /// Nothing of it was.
    stale: u64,
    /// The provider refuses it, or what was asked for last was given up.
    failing: u64,
}

/// Resources that were created or updated at EHRs, in steps of time.
#[derive(Serialize, ToSchema)]
pub(crate) struct Published {
    /// When the first step begins.
    #[schema(value_type = String, format = DateTime)]
    from: Instant,
    /// How long a step is, in seconds.
    step_seconds: u64,
    /// One for each provider app that has any, by name.
    series: Vec<Series>,
}

/// One provider app's resources.
#[derive(Serialize, ToSchema)]
pub(crate) struct Series {
    provider: ProviderName,
    /// One number a step, the earliest first.
    counts: Vec<u64>,
}

/// The exchange seen from afar: links by provider and state, how readings flow, how many were published when.
#[utoipa::path(get, path = "/api/metrics/overview/", operation_id = "getOverview", tag = "metrics", params(Asked),
    responses((status = 200, description = "Counts", body = Overview)))]
pub(crate) async fn overview(
    State(links): State<Links>,
    InQuery(asked): InQuery<Asked>,
) -> Result<Json<Overview>, Problem> {
    let (store, now) = (&links.parts().store, links.parts().clock.now());
    let (step, steps) = asked.span.steps();
    let mut providers: BTreeMap<ProviderName, ProviderOverview> = BTreeMap::new();
    for app in store.providers().await.map_err(store_problem)? {
        providers.entry(app.name).or_default();
    }
    for (name, state, n) in store.count_links().await.map_err(store_problem)? {
        let counts = &mut providers.entry(name).or_default().links;
        match state {
            LinkState::Pending => counts.pending = n,
            LinkState::Active => counts.active = n,
            LinkState::ReauthorizationRequired => counts.reauthorization_required = n,
            LinkState::Disconnected => counts.disconnected = n,
        }
    }
    for (name, flow, n) in store.count_flow(now - FRESH).await.map_err(store_problem)? {
        let counts = &mut providers.entry(name).or_default().flow;
        match flow {
            Flow::Fresh => counts.fresh = n,
            Flow::Stale => counts.stale = n,
            Flow::Failing => counts.failing = n,
        }
    }
    let from = now - step * steps;
    let mut series: BTreeMap<ProviderName, Vec<u64>> = BTreeMap::new();
    for (name, at, n) in store.count_published(from, step).await.map_err(store_problem)? {
        let counts = series.entry(name).or_insert_with(|| vec![0; steps as usize]);
        // What is published at this very moment belongs to the last step.
        let last = counts.len().saturating_sub(1);
        let at = usize::try_from(at).unwrap_or(last).min(last);
        if let Some(count) = counts.get_mut(at) {
            *count += n;
        }
    }
    let named = |(name, overview): (ProviderName, ProviderOverview)| ProviderOverview {
        provider: name.to_string(),
        ..overview
    };
    Ok(Json(Overview {
        at: now,
        fresh_within_hours: FRESH.as_secs() / 3600,
        providers: providers.into_iter().map(named).collect(),
        published: Published {
            from,
            step_seconds: step.as_secs(),
            series: series.into_iter().map(|(provider, counts)| Series { provider, counts }).collect(),
        },
    }))
}
