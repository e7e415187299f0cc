//! A link that takes the place of others: the same person, at a service that replaces the one they were connected to.
//!
//! No reading is lost and none is doubled across the switch. What the older link has published stays as it is; the new
//! one begins where the older one ended, and asks for the holes that it left. Then the older one ends.

use std::time::Duration;

use ohx_domain::{Instant, Interval, Intervals, Link, LinkId, LinkState, Query, Record, SyncId, SyncReason};
use ohx_providers::Grant;
use ohx_store::LinkFilter;

use crate::{Asking, Links, Result, account_digest};

/// The links that a new one replaces.
#[derive(Debug, Default)]
pub struct Former {
    /// The older links.
    links: Vec<LinkId>,
    /// The end of what they have published.
    pub until: Option<Instant>,
    /// By record of the new link, what they should have published and have not.
    holes: Vec<(Record, Intervals)>,
}

/// The reason that an older link's state gets: it is how the newer one finds it again.
fn replaced(by: LinkId) -> String {
    format!("replaced by link {by}")
}

impl Links {
    /// The link that this one has replaced, if there is one.
    ///
    /// # Errors
    /// [`crate::LinkError::Store`].
    pub async fn predecessor(&self, link: &Link) -> Result<Option<LinkId>> {
        let mut filter = LinkFilter {
            patient: Some(link.patient.clone()),
            state: Some(LinkState::Disconnected),
            limit: 1000,
            ..LinkFilter::default()
        };
        let reason = replaced(link.id);
        loop {
            let page = self.parts.store.links(&filter).await?;
            let older = page.iter().find(|older| older.state_reason.as_deref() == Some(&reason));
            if older.is_some() || page.len() < 1000 {
                return Ok(older.map(|older| older.id));
            }
            filter.after = page.last().map(|last| last.id);
        }
    }

    /// The links of the same account, patient and EHR at a service that the new link's replaces, found by the older
    /// user id that the provider told ([`Grant::former`]).
    ///
    /// # Errors
    /// [`crate::LinkError::Store`].
    pub async fn former(&self, link: &Link, grant: &Grant) -> Result<Former> {
        let mut former = Former::default();
        let Some((kind, account)) = &grant.former else { return Ok(former) };
        for app in self.parts.store.providers().await?.into_iter().filter(|app| app.kind == *kind) {
            for id in self.parts.store.links_of_account(&account_digest(&app.name, account)).await? {
                let older = self.get(id).await?;
                if older.patient == link.patient && older.ehr == link.ehr {
                    self.look_at(&mut former, &older).await?;
                }
            }
        }
        Ok(former)
    }

    async fn look_at(&self, former: &mut Former, older: &Link) -> Result<()> {
        let (app, provider) = self.app(&older.provider).await?;
        let mut published = Vec::new();
        for spec in provider.records(&app.config, &older.scopes) {
            let coverage = self.parts.store.coverage(older.id, &spec.record).await?.published;
            former.until = former.until.max(coverage.iter().map(|interval| interval.end).max());
            published.push((spec.record, coverage));
        }
        former.links.push(older.id);
        let (Some(start), Some(until)) = (older.history_start, former.until) else { return Ok(()) };
        let Some(wanted) = Interval::new(start, until) else { return Ok(()) };
        let successors = ohx_providers::kind(&app.config.kind).map(|k| k.successors).unwrap_or_default();
        for (record, coverage) in published {
            let heirs = successors.iter().filter(|(older, _)| *older == record.as_str());
            for heir in heirs.filter_map(|(_, newer)| newer.parse().ok()) {
                former.holes.push((heir, coverage.gaps(wanted)));
            }
        }
        Ok(())
    }

    /// Asks for the holes, and ends the older links.
    ///
    /// # Errors
    /// [`crate::LinkError::Store`], [`crate::LinkError::Bus`].
    pub async fn succeed(&self, id: LinkId, former: Former) -> Result<()> {
        if former.links.is_empty() {
            return Ok(());
        }
        let link = self.get(id).await?;
        let (app, provider) = self.app(&link.provider).await?;
        let specs = provider.records(&app.config, &link.scopes);
        let sync = SyncId::new();
        for (record, holes) in former.holes {
            let Some(spec) = specs.iter().find(|spec| spec.record == record) else { continue };
            for window in holes.iter().flat_map(|hole| spec.windows(*hole)) {
                let asking = Asking {
                    record: record.clone(),
                    query: Query::Window(window),
                    reason: SyncReason::Backfill,
                    sync,
                    source: "oauth",
                    delay: Duration::ZERO,
                };
                self.ask(&link, &asking).await?;
            }
        }
        for older in former.links {
            self.disconnect(older, &replaced(id), false).await?;
        }
        Ok(())
    }
}
