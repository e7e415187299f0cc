//! Subscriptions, and the notifications that they bring.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ohx_domain::Instant;
use reqwest::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::life::News;
use super::wire::{Answer, Call, Refusal};
use super::{NewGroup, Simulator, SimulatorError, State};
use crate::faults::take;

/// The topics that can be subscribed, and the scope each needs.
const TOPICS: [(i64, &str); 15] = [
    (1, "user.metrics"),
    (2, "user.metrics"),
    (4, "user.metrics"),
    (16, "user.activity"),
    (44, "user.activity"),
    (46, "user.info"),
    (50, "user.sleepevents"),
    (51, "user.sleepevents"),
    (52, "user.sleepevents"),
    (54, "user.metrics"),
    (55, "user.metrics"),
    (58, "user.metrics"),
    (61, "user.metrics"),
    (62, "user.metrics"),
    (63, "user.metrics"),
];
const PROFILE: i64 = 46;
const ACTIVITY: i64 = 16;
/// After this much failure a subscription is cancelled (the newer guide).
const CANCEL_AFTER: Duration = Duration::from_secs(20 * 86_400);

pub(super) struct Subscription {
    pub(super) person: u64,
    appli: i64,
    callback: String,
    comment: String,
    failing_since: Option<Instant>,
}

impl Subscription {
    fn render(&self) -> Value {
        json!({
            "appli": self.appli,
            "callbackurl": self.callback,
            "expires": 2_147_483_647,
            "comment": self.comment,
        })
    }
}

/// One notification to one callback.
#[derive(Clone)]
pub(super) struct Delivery {
    person: u64,
    appli: i64,
    callback: String,
    form: Vec<(&'static str, String)>,
}

const NO_SUCH: Refusal = Refusal(286, "No such subscription was found");
const BAD_TOPIC: Refusal = Refusal(283, "The appli provided is absent, or incorrect");
const BAD_CALLBACK: Refusal = Refusal(293, "The callback URL is either unknown or invalid");

/// `POST /notify`.
pub(super) async fn notify(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let caller = sim.authenticate(call)?;
    let person = caller.person;
    let appli = call.number("appli")?;
    let topic = |appli: Option<i64>| {
        let known = TOPICS.into_iter().find(|(id, _)| Some(*id) == appli).ok_or(BAD_TOPIC)?;
        caller.needs(known.1).map(|()| known.0)
    };
    if action == "list" {
        let state = sim.state();
        let own = state.subscriptions.iter().filter(|known| known.person == person);
        let listed = own.filter(|known| appli.is_none_or(|appli| known.appli == appli));
        return Ok(Answer::Body(json!({ "profiles": listed.map(Subscription::render).collect::<Vec<_>>() })));
    }
    let callback = call.get("callbackurl").ok_or(BAD_CALLBACK)?;
    match action {
        "subscribe" => {
            let appli = topic(appli)?;
            sim.probe(callback).await?;
            let comment = call.get("comment").unwrap_or_default().to_owned();
            let mut state = sim.state();
            match state.find(person, appli, callback) {
                Some(known) => known.comment = comment,
                None => {
                    let callback = callback.to_owned();
                    let failing_since = None;
                    state.subscriptions.push(Subscription {
                        person,
                        appli,
                        callback,
                        comment,
                        failing_since,
                    });
                }
            }
        }
        "get" => {
            let mut state = sim.state();
            let found = state.find(person, appli.unwrap_or(1), callback).ok_or(NO_SUCH)?;
            return Ok(Answer::Body(found.render()));
        }
        "update" => update(sim, person, appli.ok_or(BAD_TOPIC)?, callback, call, topic).await?,
        "revoke" => {
            let mut state = sim.state();
            let before = state.subscriptions.len();
            state.subscriptions.retain(|known| {
                let named = known.callback == callback && appli.is_none_or(|appli| known.appli == appli);
                known.person != person || !named
            });
            if state.subscriptions.len() == before {
                return Err(NO_SUCH);
            }
        }
        _ => return Err(Refusal::NOT_IMPLEMENTED),
    }
    Ok(Answer::Body(json!({})))
}

async fn update(
    sim: &Simulator,
    person: u64,
    appli: i64,
    callback: &str,
    call: &Call,
    topic: impl Fn(Option<i64>) -> Result<i64, Refusal>,
) -> Result<(), Refusal> {
    let (new_callback, new_appli, comment) =
        (call.get("new_callbackurl"), call.number("new_appli")?, call.get("comment"));
    let given = [new_callback.is_some(), new_appli.is_some(), comment.is_some()];
    if given.into_iter().filter(|given| *given).count() != 1 {
        return Err(Refusal::INVALID);
    }
    if let Some(new) = new_callback {
        sim.probe(new).await?;
    }
    let new_appli = new_appli.map(|new| topic(Some(new))).transpose()?;
    let mut state = sim.state();
    let known = state.find(person, appli, callback).ok_or(NO_SUCH)?;
    if let Some(new) = new_callback {
        known.callback = new.to_owned();
    }
    known.appli = new_appli.unwrap_or(known.appli);
    if let Some(comment) = comment {
        known.comment = comment.to_owned();
    }
    Ok(())
}

impl Simulator {
    /// A callback must answer HEAD with exactly 200 at that moment; 204 is not enough. That it should be https and on
    /// port 443 is not checked: the sandbox lives on loopback.
    async fn probe(&self, callback: &str) -> Result<(), Refusal> {
        let url = Url::parse(callback).map_err(|_| BAD_CALLBACK)?;
        if callback.len() > 255 || !matches!(url.scheme(), "http" | "https") {
            return Err(BAD_CALLBACK);
        }
        let reply = self.0.http.head(url).timeout(self.0.config.notify_timeout).send().await;
        match reply {
            Ok(reply) if reply.status() == StatusCode::OK => Ok(()),
            _ => Err(BAD_CALLBACK),
        }
    }

    /// The person ends the connection on Withings' side: every token dies, and topic 46 says so.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn unlink(&self, person: u64) -> Result<(), SimulatorError> {
        let deliveries = {
            let mut state = self.state();
            if !state.persons.contains_key(&person) {
                return Err(SimulatorError::UnknownPerson);
            }
            let topics = BTreeMap::from([(PROFILE, vec![("action", "unlink".to_owned())])]);
            let deliveries = state.to_subscribers(person, &topics);
            state.end_consent(person);
            deliveries
        };
        self.deliver(deliveries);
        Ok(())
    }

    /// How many subscriptions a person has.
    pub fn subscriptions(&self, person: u64) -> usize {
        self.state().subscriptions.iter().filter(|known| known.person == person).count()
    }

    /// The addresses that are told of a person's readings, each once.
    pub fn callbacks(&self, person: u64) -> Vec<String> {
        let state = self.state();
        let known = state.subscriptions.iter().filter(|known| known.person == person);
        let mut callbacks: Vec<_> = known.map(|known| known.callback.clone()).collect();
        callbacks.sort_unstable();
        callbacks.dedup();
        callbacks
    }

    /// Sends notifications in the background. Outside of an asynchronous runtime nobody can send: they are lost.
    pub(super) fn deliver(&self, deliveries: Vec<Delivery>) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            self.state().stats.notify_lost += deliveries.len() as u64;
            return;
        };
        for delivery in deliveries {
            let times = {
                let mut state = self.state();
                if take(&mut state.faults.lose) {
                    state.stats.notify_lost += 1;
                    0
                } else if take(&mut state.faults.double) {
                    2
                } else {
                    1
                }
            };
            for _ in 0..times {
                self.0.in_flight.send_modify(|count| *count += 1);
                let (sim, delivery) = (self.clone(), delivery.clone());
                runtime.spawn(async move {
                    let delivered = sim.attempt(&delivery).await;
                    sim.settle(&delivery, delivered);
                    sim.0.in_flight.send_modify(|count| *count -= 1);
                });
            }
        }
    }

    async fn attempt(&self, delivery: &Delivery) -> bool {
        let mut waited = Duration::ZERO;
        for round in &self.0.config.notify_rounds {
            tokio::time::sleep(round.saturating_sub(waited)).await;
            waited = *round;
            for _ in 0..2 {
                self.state().stats.notify_attempts += 1;
                let request = self.0.http.post(&delivery.callback).form(&delivery.form);
                let reply = request.timeout(self.0.config.notify_timeout).send().await;
                if reply.is_ok_and(|reply| reply.status().is_success()) {
                    return true;
                }
            }
        }
        false
    }

    fn settle(&self, delivery: &Delivery, delivered: bool) {
        let now = self.now();
        let mut state = self.state();
        if delivered {
            state.stats.notify_delivered += 1;
        } else {
            state.stats.notify_failed += 1;
        }
        let Delivery { person, appli, callback, .. } = delivery;
        let Some(known) = state.find(*person, *appli, callback) else {
            return;
        };
        known.failing_since = if delivered { None } else { known.failing_since.or(Some(now)) };
        let hopeless =
            known.failing_since.is_some_and(|since| now.duration_since(since).unsigned_abs() >= CANCEL_AFTER);
        if hopeless {
            state
                .subscriptions
                .retain(|known| (known.person, known.appli, &known.callback) != (*person, *appli, callback));
        }
    }
}

impl State {
    fn find(&mut self, person: u64, appli: i64, callback: &str) -> Option<&mut Subscription> {
        self.subscriptions
            .iter_mut()
            .find(|known| known.person == person && known.appli == appli && known.callback == callback)
    }

    /// What to send when these groups have appeared, changed or gone: one notification a topic and callback, over the
    /// dates of all of them.
    pub(super) fn notifications(&self, person: u64, groups: &[&NewGroup]) -> Vec<Delivery> {
        let mut windows: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for group in groups {
            for topic in group.measures.iter().map(|row| topic_of(row.meastype)) {
                let window = windows.entry(topic).or_insert((group.date, group.date));
                *window = (window.0.min(group.date), window.1.max(group.date));
            }
        }
        let topics = windows.into_iter().map(|(topic, (from, to))| {
            (topic, vec![("startdate", from.to_string()), ("enddate", (to + 1).to_string())])
        });
        self.to_subscribers(person, &topics.collect())
    }

    /// What to send about a person's days and nights: one notification a day, and one a topic over all its windows.
    pub(super) fn told(&self, person: u64, news: &[News]) -> Vec<Delivery> {
        let mut dates = BTreeSet::new();
        let mut windows: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
        for told in news {
            match told {
                News::Day(date) => drop(dates.insert(*date)),
                News::Window(topic, (from, to)) => {
                    let window = windows.entry(*topic).or_insert((*from, *to));
                    *window = (window.0.min(*from), window.1.max(*to));
                }
            }
        }
        let days =
            dates.into_iter().map(|date| BTreeMap::from([(ACTIVITY, vec![("date", date.to_string())])]));
        let windows = windows.into_iter().map(|(topic, (from, to))| {
            BTreeMap::from([(topic, vec![("startdate", from.to_string()), ("enddate", to.to_string())])])
        });
        days.chain(windows).flat_map(|topics| self.to_subscribers(person, &topics)).collect()
    }

    fn to_subscribers(
        &self,
        person: u64,
        topics: &BTreeMap<i64, Vec<(&'static str, String)>>,
    ) -> Vec<Delivery> {
        let own = self.subscriptions.iter().filter(|known| known.person == person);
        own.filter_map(|known| {
            let mut form = vec![("userid", person.to_string()), ("appli", known.appli.to_string())];
            form.extend(topics.get(&known.appli)?.iter().cloned());
            Some(Delivery { person, appli: known.appli, callback: known.callback.clone(), form })
        })
        .collect()
    }
}

/// The topic of a measure type; what is in no list counts as body composition.
fn topic_of(meastype: i64) -> i64 {
    match meastype {
        12 | 71 | 73 => 2,
        9 | 10 | 11 | 54 | 130 | 135..=139 => 4,
        147 | 148 | 151 | 204 | 205 | 248 | 249 | 251 => 63,
        _ => 1,
    }
}
