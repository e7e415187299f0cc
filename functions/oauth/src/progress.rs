//! What moves on a patient's page: the first readings on their way, or the steps of an end. Counts, no values.

use std::time::Duration;

use ohx_domain::{Instant, Link};
use ohx_link::{LinkError, Receipt, ReceiptState};
use ohx_store::{History, Step, StepName, StepState};

use crate::Oauth;
use crate::about::About;
use crate::notice::Problem;
use crate::words::End;

/// For how long after a consent the first requests may take to be made.
const BEGINS: Duration = Duration::from_secs(600);
/// For how long more requests may follow the first ones.
const SETTLES: Duration = Duration::from_secs(5);

/// A part of a page that changes by itself.
#[derive(Debug)]
pub(crate) struct Region {
    pub(crate) title: &'static str,
    pub(crate) text: String,
    /// Whether there is more to come.
    pub(crate) open: bool,
    /// How many of how many, for a bar.
    pub(crate) share: Option<(u64, u64)>,
    /// What, and how many.
    pub(crate) counts: Vec<(&'static str, String)>,
    /// What was done, and what came of it.
    pub(crate) steps: Vec<(String, &'static str, bool)>,
    /// What is left to the patient.
    pub(crate) note: Option<String>,
}

fn day(at: Instant) -> jiff::civil::Date {
    at.to_zoned(jiff::tz::TimeZone::UTC).date()
}

/// How far the first readings of a link are.
pub(crate) async fn arriving(oauth: &Oauth, link: &Link, about: &About) -> Result<Region, Problem> {
    let parts = oauth.links.parts();
    let since = link.connected_at.unwrap_or(link.created_at);
    let known = parts.store.history_of_link(link.id, since).await;
    let known = known.map_err(|e| Problem::out_of_reach(&LinkError::Store(e)))?;
    let age = parts.clock.now().duration_since(since);
    Ok(first(about, &known, Duration::try_from(age).unwrap_or_default(), link.backfill_days == 0))
}

fn first(about: &About, known: &History, age: Duration, nothing_wanted: bool) -> Region {
    let words = &about.words.page;
    let (text, open) = match known {
        History { requests: 0, .. } if age < BEGINS && !nothing_wanted => (words.starting, true),
        History { requests: 0, .. } => (words.steady, false),
        History { open: 1.., .. } => (words.running, true),
        _ if age < SETTLES => (words.running, true),
        History { failed: 1.., .. } => (words.arrived_in_part, false),
        _ => (words.arrived, false),
    };
    let done = known.requests.saturating_sub(known.open);
    let mut counts = Vec::new();
    if known.requests > 0 {
        let (done, all) = (about.words.number(done), about.words.number(known.requests));
        counts.push((words.parts, about.say_with(words.parts_of, &[("done", &done), ("all", &all)])));
        let brought = known.counts.created + known.counts.updated + known.counts.unchanged;
        counts.push((words.delivered, about.words.number(brought)));
    } else if let Some(last) = known.last_published {
        counts.push((words.last, about.words.day(day(last))));
    }
    Region {
        title: words.progress,
        text: about.say(text),
        open,
        share: (open && known.requests > 0).then_some((done, known.requests)),
        counts,
        steps: Vec::new(),
        note: None,
    }
}

/// Since when a link has ended, and the steps of that.
pub(crate) async fn ended(
    oauth: &Oauth,
    link: &Link,
    about: &About,
) -> Result<(String, Option<Region>), Problem> {
    let words = &about.words.end;
    let found = oauth.links.parts().store.erasure(link.id).await;
    let Some(erasure) = found.map_err(|e| Problem::out_of_reach(&LinkError::Store(e)))? else {
        // It ended before ends were written down.
        let since = about.words.day(day(link.state_since.unwrap_or(link.created_at)));
        return Ok((about.say_with(words.ended_text, &[("date", &since)]), None));
    };
    let receipt = Receipt::from(&erasure);
    let since = about.words.day(day(receipt.disconnected_at));
    let text = about.say_with(words.ended_text, &[("date", &since)]);
    Ok((text, Some(told(about, &receipt))))
}

fn told(about: &About, receipt: &Receipt) -> Region {
    let words = &about.words.end;
    let revoked = receipt.steps.iter().find(|step| step.step == StepName::Revoke).map(|step| step.state);
    let text = match receipt.state {
        ReceiptState::Pending => words.under_way,
        ReceiptState::Complete => words.all_done,
        ReceiptState::Incomplete => words.not_all,
    };
    let mut steps: Vec<(String, &'static str, bool)> = Vec::new();
    // What only the clinic can ask for is of no interest where it has not.
    let unasked =
        |step: &&Step| step.step != StepName::MarkEnteredInError || step.state != StepState::NotNeeded;
    for step in receipt.steps.iter().filter(unasked) {
        let told = (about.say(name(words, step.step)), state(words, step), step.state == StepState::Failed);
        // The same of several places is said once.
        if !steps.contains(&told) {
            steps.push(told);
        }
    }
    let by_hand = matches!(revoked, Some(StepState::NotOffered | StepState::Failed));
    Region {
        title: words.steps,
        text: text.to_owned(),
        open: receipt.state == ReceiptState::Pending,
        share: None,
        counts: Vec::new(),
        steps,
        note: by_hand.then(|| about.say(words.by_hand)),
    }
}

const fn name(words: &End, step: StepName) -> &'static str {
    match step {
        StepName::DestroyKeys => words.step_keys,
        StepName::Unsubscribe => words.step_unsubscribe,
        StepName::Revoke => words.step_revoke,
        StepName::EndDevices => words.step_devices,
        StepName::MarkEnteredInError => words.step_mark,
    }
}

const fn state(words: &End, step: &Step) -> &'static str {
    match step.state {
        StepState::Pending => words.pending,
        StepState::Done => words.done,
        StepState::NotNeeded => words.not_needed,
        StepState::NotOffered => words.not_offered,
        StepState::Failed => words.failed,
    }
}
