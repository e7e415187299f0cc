//! What the database knows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ohx_domain::{Instant, LinkState, ProviderName};
use ohx_events::Function;
use ohx_store::{FRESHNESS, Freshness, Night, OpenWork, Outcomes, Result, Store, Trouble};

use crate::families::Families;

/// A request that has work left for longer than this leaves a gap that somebody should know of.
const LONG: Duration = Duration::from_secs(86_400);
/// What becomes of resources at an EHR.
const OUTCOMES: [&str; 4] = ["created", "updated", "unchanged", "rejected"];

/// One reading.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Of the configuration.
    pub(crate) providers: Vec<ProviderName>,
    /// Of the configuration, and whether each is left alone.
    pub(crate) ehrs: BTreeMap<String, bool>,
    pub(crate) retired: BTreeSet<String>,
    pub(crate) links: Vec<(ProviderName, LinkState, u64)>,
    pub(crate) freshness: Vec<Freshness>,
    pub(crate) gaps: Vec<(ProviderName, u64)>,
    pub(crate) open: Vec<OpenWork>,
    pub(crate) letters: Vec<(String, u64)>,
    pub(crate) outcomes: Vec<Outcomes>,
    pub(crate) night: Option<Night>,
}

impl Snapshot {
    /// Reads the store.
    pub(crate) async fn read(store: &dyn Store, now: Instant) -> Result<Self> {
        let paused = store.troubles(Trouble::EhrPaused, now).await?;
        let ehrs = store.ehrs().await?.into_iter().map(|ehr| ehr.name.as_str().to_owned());
        Ok(Self {
            providers: store.providers().await?.into_iter().map(|app| app.name).collect(),
            ehrs: ehrs.map(|name| (name.clone(), paused.contains(&name))).collect(),
            retired: store.troubles(Trouble::ProviderRetired, now).await?.into_iter().collect(),
            links: store.count_links().await?,
            freshness: store.count_freshness(now).await?,
            gaps: store.count_gaps(now - LONG).await?,
            open: store.count_open().await?,
            letters: store.count_letters().await?,
            outcomes: store.count_outcomes().await?,
            night: store.last_night().await?,
        })
    }

    /// Shows it. What is configured is shown with 0 where nothing is counted, so that a rule can tell "none" from "not known".
    pub(crate) fn show(&self, now: Instant, to: &mut Families) {
        self.show_links(to);
        self.show_work(now, to);
        self.show_outcomes(to);
        self.show_night(to);
        for (ehr, paused) in &self.ehrs {
            to.gauge(
                "ohx_ehr_paused",
                "Whether an EHR endpoint is left alone now, because it does not answer or asked for patience (1), or not (0).",
                &[("ehr", ehr)],
                f64::from(u8::from(*paused)),
            );
        }
        for provider in &self.providers {
            to.gauge(
                "ohx_provider_retired",
                "Whether a provider said within the last day that its service is retired (1), or not (0).",
                &[("provider", provider.as_str())],
                f64::from(u8::from(self.retired.contains(provider.as_str()))),
            );
        }
    }

    /// Counts by provider app, with 0 for each app of the configuration that has none.
    fn by_provider<'a>(
        &'a self,
        counts: impl Iterator<Item = (&'a ProviderName, u64)>,
    ) -> BTreeMap<&'a ProviderName, u64> {
        self.providers.iter().map(|provider| (provider, 0)).chain(counts).collect()
    }

    fn show_links(&self, to: &mut Families) {
        for (provider, state, links) in &self.links {
            let labels = [("provider", provider.as_str()), ("state", state.as_str())];
            to.gauge("ohx_links", "Links by state.", &labels, *links as f64);
        }
        for one in &self.freshness {
            let bounds = FRESHNESS.iter().map(Duration::as_secs_f64);
            to.histogram(
                "ohx_link_freshness_seconds",
                "Active links by how long ago a request of theirs was last completed, also with nothing new; +Inf has those of which none ever was.",
                &[("provider", one.provider.as_str())],
                bounds.zip(one.within),
                one.beyond,
                one.sum.as_secs_f64(),
            );
        }
        let gaps = self.gaps.iter().map(|(provider, links)| (provider, *links));
        for (provider, links) in self.by_provider(gaps) {
            to.gauge(
                "ohx_coverage_gap_links",
                "Active links that lack something: asked for more than a day ago and not there yet, or given up or refused and not brought since.",
                &[("provider", provider.as_str())],
                links as f64,
            );
        }
    }

    fn show_work(&self, now: Instant, to: &mut Families) {
        for (provider, requests) in
            self.by_provider(self.open.iter().map(|open| (&open.provider, open.requests)))
        {
            to.gauge(
                "ohx_open_requests",
                "Requests of the ledger with work left.",
                &[("provider", provider.as_str())],
                requests as f64,
            );
        }
        for open in &self.open {
            // A clock that is a little behind shows no age, and not a negative one.
            let age = open.oldest.min(now).duration_until(now).as_secs_f64();
            to.gauge(
                "ohx_oldest_open_request_age_seconds",
                "How long ago the oldest request with work left was asked for.",
                &[("provider", open.provider.as_str())],
                age,
            );
        }
        let mut letters: BTreeMap<_, u64> =
            Function::ALL.iter().map(|function| (function.as_str(), 0)).collect();
        for (function, kept) in &self.letters {
            // The name comes out of a row: one that is none of ours makes no label of its own.
            let known = Function::ALL.iter().map(|known| known.as_str()).find(|known| known == function);
            *letters.entry(known.unwrap_or("other")).or_default() += kept;
        }
        for (function, kept) in letters {
            to.gauge(
                "ohx_dead_letters",
                "Dead letters that are kept, by the function that gave up.",
                &[("function", function)],
                kept as f64,
            );
        }
    }

    fn show_outcomes(&self, to: &mut Families) {
        let none = self.providers.iter().flat_map(|app| OUTCOMES.map(|outcome| ((app.as_str(), outcome), 0)));
        let counted =
            self.outcomes.iter().map(|one| ((one.provider.as_str(), one.outcome.as_str()), one.resources));
        for ((provider, outcome), resources) in none.chain(counted).collect::<BTreeMap<_, _>>() {
            to.counter(
                "ohx_readings_total",
                "Resources by what became of them at EHRs since the beginning (created, updated, unchanged, rejected).",
                &[("provider", provider), ("outcome", outcome)],
                resources,
            );
        }
    }

    fn show_night(&self, to: &mut Families) {
        let Some(night) = &self.night else { return };
        to.gauge(
            "ohx_nightly_last_start_timestamp_seconds",
            "When a nightly run last began.",
            &[],
            seconds(night.started),
        );
        if let Some(completed) = night.completed {
            to.gauge(
                "ohx_nightly_last_completion_timestamp_seconds",
                "When a nightly run last came to its end: everything was asked for.",
                &[],
                seconds(completed),
            );
        }
        for one in &night.predicted {
            let labels = [("provider", one.provider.as_str())];
            to.gauge(
                "ohx_nightly_predicted_finish_timestamp_seconds",
                "When the work of the last nightly run is done at the pace of the provider app, as predicted before it began.",
                &labels,
                seconds(one.finish),
            );
            to.gauge(
                "ohx_nightly_predicted_calls",
                "Calls that the last nightly run takes at least, as predicted before it began: further pages are not known.",
                &labels,
                one.calls as f64,
            );
        }
    }
}

fn seconds(at: Instant) -> f64 {
    at.as_microsecond() as f64 / 1e6
}
