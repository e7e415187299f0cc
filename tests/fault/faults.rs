//! The faults that a single delivery meets: chosen before it, armed, counted where they were met, and taken away.

use std::time::Duration;

use ohx_bus::Verdict;
use ohx_events::{Event, Function};
use ohx_sandbox::fhir;
use ohx_tests::proxy::{Manner, Proxy};

use crate::journal::{Kind, kind};
use crate::kill::killed_after;
use crate::world::World;

/// How long a side that has fallen silent stays so: longer than anybody waits.
const SILENCE: Duration = Duration::from_millis(2_300);

/// A fault, armed.
struct Armed {
    kind: Kind,
    /// Which cloud it is about; the EHR's where none.
    cloud: Option<usize>,
    /// Bytes asked through the proxy before, and refreshes carried out.
    before: (u64, u64),
}

impl World {
    /// Delivers an event to its function, which may meet a fault of its own. `None` where the function was killed.
    pub async fn deliver(&self, to: Function, event: &Event, step: &str) -> Option<Verdict> {
        if let Some(verdict) = self.sabotage(to, event).await {
            return Some(verdict);
        }
        let dice = self.plan.dice;
        let hurts = !self.healed() && dice.chance(&format!("{step}/hurts"), self.plan.pain);
        let killed = kind::killed(to.as_str());
        let dies = hurts && self.plan.knows(killed) && dice.chance(&format!("{step}/dies"), 450);
        // Most handlers wait some dozens of times: each order of magnitude is as likely as the next.
        let longest = dice.pick(&format!("{step}/longest"), &[6, 20, 60, 120]);
        let polls = dies.then(|| dice.between(&format!("{step}/poll"), 1, longest) as u32);
        let armed = if hurts && !dies { self.arm(to, event, step).await } else { None };
        let verdict = killed_after(
            ohx_bus::deliver::attempt(&self.functions(), to, event, Duration::from_secs(120)),
            polls,
        )
        .await;
        if verdict.is_none() {
            self.journal.note(killed, format!("{step}, wait {}", polls.unwrap_or_default()));
        }
        if let Some(armed) = armed {
            self.disarm(&armed, step);
        }
        verdict
    }

    fn proxy_of(&self, cloud: Option<usize>) -> &Proxy {
        cloud.map_or(&self.ehr_proxy, |cloud| &self.clouds[cloud].proxy)
    }

    async fn arm(&self, to: Function, event: &Event, step: &str) -> Option<Armed> {
        let dice = self.plan.dice;
        let kinds: &[Kind] = match to {
            Function::Fetch => &[
                kind::PROVIDER_CUT,
                kind::PROVIDER_CUT,
                kind::PROVIDER_ERROR,
                kind::PROVIDER_ERROR,
                kind::REFRESH_LOST,
                kind::PROVIDER_STALLED,
            ],
            Function::Publish => &[
                kind::EHR_CUT,
                kind::EHR_CUT,
                kind::EHR_COMMITTED,
                kind::EHR_COMMITTED,
                kind::EHR_ERROR,
                kind::EHR_STALLED,
            ],
            Function::Devices => &[kind::EHR_CUT, kind::EHR_COMMITTED, kind::EHR_ERROR],
            Function::Nightly => &[kind::PROVIDER_CUT, kind::PROVIDER_ERROR],
            Function::Transform => &[],
        };
        let kinds: Vec<Kind> = kinds.iter().copied().filter(|kind| self.plan.knows(kind)).collect();
        if kinds.is_empty() {
            return None;
        }
        let kind = dice.pick(&format!("{step}/fault"), &kinds);
        let whose = ohx_events::envelope::link_of(event).ok();
        let patient =
            self.patients.iter().find(|patient| Some(patient.link) == whose).or(self.patients.first())?;
        let cloud = matches!(to, Function::Fetch | Function::Nightly).then_some(patient.cloud);
        let proxy = self.proxy_of(cloud);
        let refreshes = cloud.map(|cloud| self.clouds[cloud].refreshes()).unwrap_or_default();
        let armed = Armed { kind, cloud, before: (proxy.done().asked, refreshes) };
        let which = dice.below(&format!("{step}/which"), 10);
        match kind {
            kind::PROVIDER_CUT | kind::EHR_CUT => {
                // Before the first byte, within the head, within the body.
                let after = dice.pick(&format!("{step}/after"), &[0, 1, 40, 200, 700, 3_000]);
                proxy.cut_answer(after);
            }
            kind::PROVIDER_ERROR => self.clouds[patient.cloud].fail_once(which),
            kind::REFRESH_LOST => {
                self.clouds[patient.cloud].lose_next_refresh();
                // Tokens live a few hours. Where others are at work, time does not jump between their steps.
                if self.plan.at_once == 1 && self.chaos.is_some() && !self.lost_a_refresh().await {
                    self.time.pass(Duration::from_secs(4 * 3_600));
                }
            }
            kind::PROVIDER_STALLED | kind::EHR_STALLED => {
                // Seldom: it takes real time.
                if !dice.chance(&format!("{step}/really"), 150) {
                    return None;
                }
                proxy.behave(Manner::Stall);
                let proxy = proxy.clone();
                tokio::spawn(async move {
                    tokio::time::sleep(SILENCE).await;
                    if proxy.manner() == Manner::Stall {
                        proxy.behave(Manner::Pass);
                    }
                });
            }
            kind::EHR_COMMITTED => self.ehr.inject(fhir::Fault::CommitThenDrop { calls: 1 }),
            _ => self.ehr.inject(match which % 5 {
                0 => fhir::Fault::Unavailable { calls: 1, retry_after: 7 },
                1 => fhir::Fault::HttpStatus { status: 502, calls: 1 },
                2 => fhir::Fault::HttpStatus { status: 429, calls: 1 },
                3 => fhir::Fault::HtmlErrorPage { status: 200, calls: 1 },
                _ => fhir::Fault::HttpStatus { status: 500, calls: 1 },
            }),
        }
        Some(armed)
    }

    /// Takes the fault away, and counts it where it was met: where anything was asked at all.
    fn disarm(&self, armed: &Armed, step: &str) {
        let proxy = self.proxy_of(armed.cloud);
        let unmet = proxy.spare_answer();
        let refreshed = || armed.cloud.is_some_and(|cloud| self.clouds[cloud].refreshes() > armed.before.1);
        let met = match armed.kind {
            kind::PROVIDER_CUT | kind::EHR_CUT => !unmet,
            kind::REFRESH_LOST => refreshed(),
            _ => proxy.done().asked > armed.before.0,
        };
        if met {
            self.journal.note(armed.kind, step);
        }
        self.recover();
    }

    /// Faults of single calls are over; what lasts longer goes on.
    pub fn recover(&self) {
        self.ehr.clear_faults();
        for refused in self.refused() {
            self.ehr.inject(fhir::Fault::RejectIdentifier { value: refused, status: 422 });
        }
        for cloud in &self.clouds {
            cloud.recover();
        }
    }
}
