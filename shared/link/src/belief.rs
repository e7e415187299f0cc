//! Whether a refused grant is believed to be dead.
//!
//! A provider that says of one grant that it is dead is usually right; one that says so of many at once has an outage (a 403
//! burst, a broken token service, a client secret that was changed), and to believe it would send every patient through a
//! consent for nothing. So nothing is believed at first sight. A refused link rests for a moment and asks again, and then
//! it is the app's other links that decide: one that got a new pair since is a witness that the provider is well. Where many
//! are refused, the whole app is held, one refresh at a time finds out whether it is over, and nothing is believed meanwhile.

use std::time::Duration;

use ohx_domain::Instant;
use ohx_events::plain::{ConsentReason, ReauthorizationRequired};
use ohx_events::{Envelope, Priority, types};
use ohx_providers::{Provider, ProviderError, Remedy};
use ohx_runtime::metrics::{DEAD_LINKS, OUTAGES, REFRESHES};
use ohx_runtime::trace::traceparent;
use ohx_store::{ConsentNeed, Refusals, Witnesses};

use crate::{LinkError, Links, OpenLink, Result};

/// Between the first refusal and the second look.
const CONFIRM: Duration = Duration::from_secs(10);
/// Between two looks after that; the span of time in which refusals count as one burst; and how long a link of a small app is
/// doubted that has no witness.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// So many links refused within the window, and more than got a new pair in it, are an outage.
const MANY: u32 = 5;
/// A new pair is good where it was not refused for so long.
const SETTLED: Duration = Duration::from_secs(60);
/// How long a link of an app with many links is doubted that has no witness, and how long an outage is believed.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Between two tries of an app that is held.
pub(crate) const HOLD: Duration = Duration::from_secs(2 * 60);

/// What follows from a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// The grant is dead.
    Dead,
    /// Not known yet: the link rests, and asks again.
    Doubted,
    /// The provider is unwell.
    Outage,
}

/// The rule, see the head of this module.
fn judge(refusals: &Refusals, now: Instant) -> Belief {
    let for_long = |since: Instant, long: Duration| since + long <= now;
    if let Some(since) = refusals.outage {
        return if for_long(since, LONGEST) { Belief::Dead } else { Belief::Outage };
    }
    if refusals.refused >= MANY && refusals.refused > refusals.refreshed {
        return Belief::Outage;
    }
    let enough = match refusals.active {
        _ if refusals.vouched => CONFIRM,
        // It is alone: there is nobody to wait for.
        0..=1 => CONFIRM,
        2..MANY => WINDOW,
        _ => LONGEST,
    };
    if for_long(refusals.since, enough) { Belief::Dead } else { Belief::Doubted }
}

/// How long a link that was refused has to rest: until its next look. `None` where that has come.
pub(crate) fn rest(refused: Option<(Instant, Instant)>, now: Instant) -> Option<Duration> {
    let (since, at) = refused?;
    let next = if at < since + CONFIRM { since + CONFIRM } else { at + WINDOW };
    Duration::try_from(next.duration_since(now)).ok().filter(|rest| !rest.is_zero())
}

/// Why a consent is needed, in one word.
fn reason(source: &ProviderError) -> ConsentReason {
    match source {
        ProviderError::AccountNotLinked { .. } => ConsentReason::NoProfile,
        other if other.remedy() == Remedy::Reauthorize => ConsentReason::GrantRefused,
        _ => ConsentReason::AccessRefused,
    }
}

impl Links {
    /// What a refusal of the pair of `version` comes to, as the error for whoever asked. A dead grant moves the link to "consent
    /// again", and is told once.
    pub(crate) async fn refused(
        &self,
        open: &OpenLink,
        provider: &dyn Provider,
        version: i64,
        source: ProviderError,
    ) -> Result<LinkError> {
        let (id, app, kind) = (open.link.id, &open.link.provider, provider.kind());
        let (store, now) = (&self.parts.store, self.parts.clock.now());
        let witnesses = Witnesses { since: now - WINDOW, settled: now - SETTLED };
        let Some(refusals) = store.note_refusal(id, version, now, witnesses).await? else {
            // Another process has stored another pair: the refusal was about the older one. Or it was quicker to tell.
            return Ok(LinkError::Busy(id));
        };
        match judge(&refusals, now) {
            Belief::Dead => {
                REFRESHES.with_label_values(&[kind, "reauthorize"]).inc();
                self.needs_consent(open, kind, version, &source).await?;
                Ok(LinkError::provider(id, source))
            }
            Belief::Doubted => {
                REFRESHES.with_label_values(&[kind, "doubted"]).inc();
                tracing::info!(link = %id, %app, error = %source, "refused; asked again before that is believed");
                let wait = rest(Some((refusals.since, now)), now).unwrap_or(CONFIRM);
                Ok(LinkError::Doubted { link: id, wait })
            }
            Belief::Outage => {
                REFRESHES.with_label_values(&[kind, "held"]).inc();
                if store.begin_outage(app, now, HOLD).await? {
                    OUTAGES.with_label_values(&[kind]).inc();
                    tracing::warn!(
                        %app,
                        refused = refusals.refused,
                        error = %source,
                        "many links are refused at once: taken for an outage of the provider, or a wrong client secret; no patient is asked to consent again"
                    );
                }
                Ok(LinkError::Outage { app: app.clone(), wait: HOLD })
            }
        }
    }

    /// The provider has taken a token of a link that it had refused: what was said of it, and of an outage, is over.
    pub(crate) async fn trust(&self, open: &OpenLink) {
        match self.parts.store.trust(open.link.id).await {
            Ok(true) => tracing::info!(app = %open.link.provider, "the outage is over"),
            Ok(false) => {}
            // The call has succeeded all the same; the next one notes it.
            Err(error) => tracing::warn!(link = %open.link.id, %error, "not noted that it is taken again"),
        }
    }

    /// The grant is dead: said once, by whoever moves the link.
    async fn needs_consent(
        &self,
        open: &OpenLink,
        kind: &str,
        version: i64,
        source: &ProviderError,
    ) -> Result<()> {
        let (id, since, code) = (open.link.id, self.parts.clock.now(), reason(source));
        let text = source.to_string();
        let need = ConsentNeed { code: code.as_str(), reason: &text, since };
        if !self.parts.store.require_consent(id, version, &need).await? {
            return Ok(());
        }
        tracing::warn!(link = %id, provider = %open.link.provider, reason = text, "the patient has to consent again");
        DEAD_LINKS.with_label_values(&[kind, code.as_str()]).inc();
        let envelope = Envelope {
            // A pair dies once.
            id: format!("{id}.reauthorization-required.{version}"),
            event_type: types::LINK_REAUTHORIZATION_REQUIRED,
            source: "link",
            link: id,
            sync: None,
            priority: Priority::Normal,
            time: since,
            traceparent: traceparent(),
        };
        let told = ReauthorizationRequired { provider: open.link.provider.clone(), reason: code, since };
        // For observers: the state of the link is what counts, and the API shows it.
        if let Err(error) = self.parts.bus.publish(vec![envelope.plain(&told)?]).await {
            tracing::error!(link = %id, %error, "link.reauthorization-required was not sent");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Instant {
        Instant::from_second(1_790_000_000 + second).unwrap()
    }

    fn alone() -> Refusals {
        Refusals { since: at(0), refused: 1, refreshed: 0, vouched: false, active: 1, outage: None }
    }

    /// The first second at which the grant is believed dead.
    fn believed(refusals: Refusals) -> Option<i64> {
        (0..200_000).find(|second| judge(&refusals, at(*second)) == Belief::Dead)
    }

    #[test]
    fn nothing_is_believed_at_first_sight() {
        for active in 0..20 {
            for vouched in [false, true] {
                let refusals = Refusals { active, vouched, ..alone() };
                assert_eq!(judge(&refusals, at(0)), Belief::Doubted, "{refusals:?}");
            }
        }
    }

    #[test]
    fn a_witness_decides_and_without_one_it_takes_the_longer_the_more_there_could_be() {
        assert_eq!(believed(alone()), Some(10));
        for (active, without) in [(2, 600), (4, 600), (5, 86_400), (1000, 86_400)] {
            assert_eq!(believed(Refusals { active, ..alone() }), Some(without));
            assert_eq!(believed(Refusals { active, vouched: true, ..alone() }), Some(10));
        }
    }

    #[test]
    fn many_at_once_are_an_outage_unless_more_are_well() {
        let many = Refusals { refused: 5, active: 1000, ..alone() };
        assert_eq!(judge(&many, at(1000)), Belief::Outage);
        assert_eq!(judge(&Refusals { vouched: true, ..many }, at(1000)), Belief::Outage);
        assert_eq!(judge(&Refusals { refreshed: 4, vouched: true, ..many }, at(1000)), Belief::Outage);
        assert_eq!(
            judge(&Refusals { refreshed: 5, vouched: true, ..many }, at(1000)),
            Belief::Dead,
            "half of those tried"
        );
        assert_eq!(judge(&Refusals { refused: 4, vouched: true, ..many }, at(1000)), Belief::Dead);
    }

    #[test]
    fn an_outage_is_believed_for_a_day() {
        let held =
            Refusals { outage: Some(at(0)), vouched: true, refreshed: 1000, since: at(-90_000), ..alone() };
        assert_eq!(believed(held), Some(86_400));
        assert!((0..86_400).all(|second| judge(&held, at(second)) == Belief::Outage));
    }

    #[test]
    fn a_refused_link_rests_until_its_next_look() {
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(rest(None, at(0)), None);
        assert_eq!(rest(Some((at(0), at(0))), at(0)), seconds(10));
        assert_eq!(rest(Some((at(0), at(5))), at(6)), seconds(4));
        assert_eq!(rest(Some((at(0), at(5))), at(10)), None);
        assert_eq!(rest(Some((at(0), at(10))), at(10)), seconds(600));
        assert_eq!(rest(Some((at(0), at(10))), at(610)), None);
    }
}
