//! The life of a world: steps that go wrong as its seed wants, then healing, then nights until nothing is open.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::future::join_all;
use ohx_bus::Verdict;
use ohx_domain::{Instant, LinkId};
use ohx_events::{Envelope, Event, Priority, types};
use ohx_tests::proxy::{Manner, Proxy};

use crate::bus::{After, ChaoticBus, Waiting};
use crate::check::{self, Finding, Tally};
use crate::journal::{Kind, kind};
use crate::plan::Source;
use crate::world::{Patient, World};

const DAY: Duration = Duration::from_secs(24 * 3_600);
/// So many nights may pass until everything is there.
pub const NIGHTS: u32 = 6;
/// A healed world that delivers so often goes round in circles.
pub const ENDLESS: u64 = 20_000;
/// Whoever waits for longer than this in real time is waiting for time to pass.
const PATIENCE: Duration = Duration::from_millis(150);

/// The event that a cron job sends every night.
pub fn ping(now: Instant) -> Event {
    let envelope = Envelope {
        id: format!("nightly.{}", now.as_microsecond()),
        event_type: types::PING,
        source: "ohx",
        link: LinkId::new(),
        sync: None,
        priority: Priority::Low,
        time: now,
        traceparent: None,
    };
    envelope.plain(&serde_json::json!({})).expect("an event")
}

/// What is out of reach, and until which step; and when the next night is.
#[derive(Default)]
pub struct Outages {
    until: BTreeMap<Kind, u64>,
    night: Option<Instant>,
}

impl Outages {
    /// A cron job runs once a day; one that time has jumped over runs once, afterwards.
    async fn cron(&mut self, world: &World) {
        let now = world.time.now();
        match self.night {
            Some(night) if now < night => return,
            Some(_) => world.night().await,
            None => {}
        }
        self.night = Some(now + DAY);
    }

    fn end(&mut self, world: &World, step: u64) {
        let over: Vec<Kind> =
            self.until.iter().filter(|(_, until)| **until <= step).map(|(kind, _)| *kind).collect();
        for kind in over {
            self.until.remove(kind);
            for proxy in proxies(world, kind) {
                proxy.behave(Manner::Pass);
            }
        }
    }

    pub fn end_all(&mut self, world: &World) {
        self.end(world, u64::MAX);
    }
}

fn proxies(world: &World, kind: Kind) -> Vec<&Proxy> {
    match kind {
        kind::PROVIDER_DOWN => world.clouds.iter().map(|cloud| &cloud.proxy).collect(),
        kind::EHR_DOWN => vec![&world.ehr_proxy],
        kind::STORE_DOWN | kind::STORE_CUT => world.store_proxy.iter().collect(),
        _ => world.redis.iter().map(|(proxy, ..)| proxy).collect(),
    }
}

impl World {
    /// What happens around the functions at a step.
    pub async fn happen(&self, step: u64, outages: &mut Outages) {
        let (dice, name) = (self.plan.dice, format!("step {step}"));
        let hit = |kind: Kind, per_mille| {
            self.plan.knows(kind) && dice.chance(&format!("{name}/{kind}"), per_mille)
        };
        outages.end(self, step);
        for (kind, per_mille) in [
            (kind::PROVIDER_DOWN, 15),
            (kind::EHR_DOWN, 15),
            (kind::STORE_DOWN, 20),
            (kind::REDIS_DOWN, 20),
            (kind::STORE_CUT, 60),
            (kind::REDIS_CUT, 60),
        ] {
            let proxies = proxies(self, kind);
            if proxies.is_empty() || !hit(kind, per_mille) {
                continue;
            }
            self.journal.note(kind, &name);
            for proxy in proxies {
                match kind {
                    kind::STORE_CUT | kind::REDIS_CUT => proxy.sever(),
                    _ => proxy.behave(Manner::Down),
                }
            }
            if !matches!(kind, kind::STORE_CUT | kind::REDIS_CUT) {
                outages.until.insert(kind, step + dice.between(&format!("{name}/{kind}/lasts"), 2, 9));
            }
        }
        if hit(kind::CLOCK_OFF, 40) {
            // The first setting is ahead, the next may be behind: that is the step back.
            let off = dice.between(&format!("{name}/off"), 0, 60) as i64 - 30;
            self.time.be_off(off);
            self.journal.note(kind::CLOCK_OFF, format!("{name}: {off} s"));
        }
        if hit(kind::CLOCK_FORTH, 40) {
            // Before a real Redis others are at work meanwhile, perhaps in the middle of a refresh.
            let short = self.chaos.is_none() || self.lost_a_refresh().await;
            let longest = if short { 60 } else { 2_900 };
            let minutes = dice.pick(&format!("{name}/forth"), &[3, 20, 90, 400, 1_500, 2_900]).min(longest);
            self.let_arrive().await;
            self.time.pass(Duration::from_secs(minutes * 60));
            self.journal.note(kind::CLOCK_FORTH, format!("{name}: {minutes} min"));
        }
        if hit(kind::KEYS, 15) {
            self.rotate_keys(&name).await;
        } else if hit(kind::RESTARTED, 20) {
            self.restart(&name).await;
        }
        if hit(kind::EHR_REFUSED, 30) {
            self.refuse_a_reading(&name);
        }
        if dice.chance(&format!("{name}/news"), 60) {
            self.something_new(&name).await;
        }
        outages.cron(self).await;
    }

    /// Whether a provider has refreshed a token whose successor has not come here: until it is refreshed again, the consent
    /// hangs on the provider's patience with the old token (eight hours at Withings), which no fault may use up.
    pub async fn lost_a_refresh(&self) -> bool {
        let mut stored = 0;
        // Google's refreshes change nothing at Google: there is nothing to lose.
        let rotates = |patient: &&Patient| self.clouds[patient.cloud].source != Source::Google;
        for patient in self.patients.iter().filter(rotates) {
            let Ok(Some(tokens)) = self.store.tokens(patient.link).await else { return true };
            // The first pair came with the consent.
            stored += u64::try_from(tokens.version - 1).unwrap_or_default();
        }
        let made: u64 = self.clouds.iter().map(|cloud| cloud.refreshes()).sum();
        let lost = made.saturating_sub(stored);
        let mut known = self.refreshes.lock().unwrap_or_else(PoisonError::into_inner);
        if lost > known.0 && stored == known.1 {
            return true;
        }
        *known = (lost, stored);
        false
    }

    /// Somebody measures something; the provider may fail to say so.
    async fn something_new(&self, name: &str) {
        let dice = self.plan.dice;
        let who = dice.below(&format!("{name}/who"), self.patients.len() as u64) as usize;
        let patient = &self.patients[who];
        let cloud = &self.clouds[patient.cloud];
        for (kind, lose) in [(kind::NOTIFICATION_LOST, true), (kind::NOTIFICATION_DOUBLED, false)] {
            if self.plan.knows(kind) && dice.chance(&format!("{name}/{kind}"), 250) {
                cloud.disturb_notifications(lose);
                self.journal.note(kind, name);
            }
        }
        cloud.news(&patient.person, self.time.now(), dice, &format!("{name}/news"));
        cloud.idle().await;
        self.recover();
    }

    /// The EHR has something against one reading.
    fn refuse_a_reading(&self, name: &str) {
        let patient = &self.patients[0];
        let readings = self.clouds[patient.cloud].readings(&patient.person);
        let which = self.plan.dice.below(&format!("{name}/refused"), readings.len() as u64) as usize;
        let Some(reading) = readings.get(which) else { return };
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(format!(".{}", reading.identity()));
        self.journal.note(kind::EHR_REFUSED, name);
        self.recover();
    }

    /// The nightly run is asked for. Where the broker does not take it, the next night comes.
    pub async fn night(&self) {
        let _not_taken = self.links().parts().bus.publish(vec![ping(self.time.now())]).await;
    }

    /// What a killed function has sent arrives before time jumps: no network keeps a request for so long.
    async fn let_arrive(&self) {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }

    /// Delivers, and lets time pass for those who wait for it: a lease of a killed function ends, a pause is over.
    async fn attempt(&self, item: &Waiting, step: &str) -> Option<Verdict> {
        let delivery = self.deliver(item.to, &item.event, step);
        let mut delivery = std::pin::pin!(delivery);
        loop {
            match tokio::time::timeout(PATIENCE, &mut delivery).await {
                Ok(verdict) => return verdict,
                Err(_) => self.time.pass_for_all(Duration::from_secs(20), PATIENCE),
            }
        }
    }

    pub async fn deliver_and_settle(&self, chaos: &ChaoticBus, item: Waiting, step: &str) {
        let verdict = self.attempt(&item, step).await;
        if let After::Bury(reason) = chaos.settle(item.clone(), verdict, step) {
            let kept =
                ohx_bus::deliver::bury(&self.graves(), item.to, &item.event, &reason, item.attempts + 1)
                    .await;
            if kept.is_err() {
                // The event stays in the queue until its dead letter can be kept.
                chaos.put_back(item, Duration::from_secs(300));
            }
        }
    }

    /// Lives through all steps of the plan.
    pub async fn live(&self) {
        let chaos = self.chaos.as_ref().expect("a world whose broker is the test's own");
        let mut outages = Outages::default();
        let mut step = 0;
        while step < self.plan.steps {
            step += 1;
            self.happen(step, &mut outages).await;
            let name = format!("step {step}");
            let taken: Vec<Waiting> =
                (0..self.plan.at_once).filter_map(|nth| chaos.take(&format!("{name}.{nth}"))).collect();
            if taken.is_empty() {
                match chaos.next_due() {
                    Some(due) => self.wait_until(due).await,
                    None => {
                        self.something_new(&name).await;
                        self.time.pass(Duration::from_secs(3_600));
                    }
                }
                continue;
            }
            let deliveries = taken.into_iter().enumerate().map(|(nth, item)| {
                let name = format!("{name}.{nth} {}", item.to);
                async move { self.deliver_and_settle(chaos, item, &name).await }
            });
            join_all(deliveries).await;
        }
        outages.end_all(self);
    }

    async fn wait_until(&self, due: Instant) {
        self.let_arrive().await;
        let wait = due.duration_since(self.time.now());
        self.time.pass(Duration::try_from(wait).unwrap_or_default() + Duration::from_millis(1));
    }

    /// No fault any more: proxies pass, the EHR takes everything, the clock is right, the broker is a good one.
    pub fn heal(&self) {
        self.healed.store(true, std::sync::atomic::Ordering::SeqCst);
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.time.be_off(0);
        self.recover();
        let proxies = self.clouds.iter().map(|cloud| &cloud.proxy);
        let others = std::iter::once(&self.ehr_proxy).chain(&self.store_proxy);
        for proxy in proxies.chain(others).chain(self.redis.iter().map(|(proxy, ..)| proxy)) {
            proxy.behave(Manner::Pass);
            proxy.spare_answer();
        }
        if let Some(chaos) = &self.chaos {
            chaos.calm_down();
        }
    }

    /// Delivers everything that is on its way, and what follows from it.
    async fn drain(&self, name: &str) -> Result<(), Finding> {
        let chaos = self.chaos.as_ref().expect("a world whose broker is the test's own");
        for n in 0..ENDLESS {
            let step = format!("{name}/{n}");
            match chaos.take(&step) {
                Some(item) => self.deliver_and_settle(chaos, item, &step).await,
                None => match chaos.next_due() {
                    Some(due) => self.wait_until(due).await,
                    None => return Ok(()),
                },
            }
        }
        Err(Finding::Endless { waiting: chaos.len() })
    }

    /// Nights pass until everything is as it should be. Gives what is not, and what there is.
    pub async fn recovers(&self) -> (Vec<Finding>, Tally) {
        self.heal();
        if let Err(endless) = self.drain("healing").await {
            return (vec![endless], Tally::default());
        }
        let mut found = (Vec::new(), Tally::default());
        for night in 1..=NIGHTS {
            self.time.pass(DAY);
            self.night().await;
            if let Err(endless) = self.drain(&format!("night {night}")).await {
                return (vec![endless], Tally::default());
            }
            found = check::everything(self).await;
            found.1.nights = night;
            if found.0.is_empty() {
                break;
            }
        }
        found
    }
}
