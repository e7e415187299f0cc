//! The reasons, in words.

use ohx_domain::{Instant, Link, LinkState, PushState, Request, RequestState};
use ohx_store::BuriedLetter;

use super::timeline::{Fate, Span};

/// How many dead letters are told of one span.
const LETTERS: usize = 3;

/// What is known of a link beside its requests.
pub(super) struct Why<'a> {
    pub(super) link: &'a Link,
    pub(super) now: Instant,
    /// Since when the provider refuses the link's grant, where that is not believed yet.
    pub(super) doubted: Option<Instant>,
    /// The end of what is published of the record.
    pub(super) tail: Option<Instant>,
}

impl Why<'_> {
    /// Why a span is as it is. Empty for what is published.
    pub(super) fn tell(&self, span: &Span, requests: &[&Request], letters: &[&BuriedLetter]) -> Vec<String> {
        let mut said = match span.fate {
            Fate::Published => return Vec::new(),
            Fate::BeforeHistory => {
                return vec![
                    "before the link's history begins: a sync with a \"from\" that early extends it"
                        .to_owned(),
                ];
            }
            Fate::NeverAsked => Vec::new(),
            Fate::OnItsWay => requests.iter().take(1).map(|r| self.on_its_way(r)).collect(),
            Fate::Failed | Fate::Refused => requests.iter().take(1).map(|r| ended(r)).collect(),
        };
        for buried in letters.iter().take(LETTERS) {
            let letter = &buried.letter;
            let replayed = buried.replay.map(|_| "; replayed").unwrap_or_default();
            said.push(format!(
                "given up by {} at {} after {} attempt(s): {}{replayed}",
                letter.function,
                seconds(letter.at),
                letter.attempts,
                letter.reason
            ));
        }
        if letters.len() > LETTERS {
            said.push(format!("and {} more dead letters", letters.len() - LETTERS));
        }
        said.extend(self.link_says(span));
        said
    }

    fn on_its_way(&self, request: &Request) -> String {
        let since = |at: Instant| minutes(at, self.now);
        let stands = match request.state {
            RequestState::Requested => {
                format!("asked for {} ago, not begun yet", since(request.requested_at))
            }
            RequestState::Fetching => format!("being read; moved {} ago", since(request.updated_at)),
            _ => format!("read, on its way to the EHR; moved {} ago", since(request.updated_at)),
        };
        match &request.note {
            Some(note) => format!("{stands}; {note}"),
            None => stands,
        }
    }

    /// What the link's state has to do with what nobody has asked for, or could not be read.
    fn link_says(&self, span: &Span) -> Option<String> {
        let link = self.link;
        let reason = link.state_reason.as_deref().map(|r| format!(": {r}")).unwrap_or_default();
        let since = link.state_since.map(|at| format!(" since {}", seconds(at))).unwrap_or_default();
        match link.state {
            LinkState::Pending => Some("the patient has not consented yet".to_owned()),
            LinkState::ReauthorizationRequired => {
                Some(format!("the patient has to consent again{since}{reason}"))
            }
            LinkState::Disconnected => Some(format!("the link has ended{reason}")),
            LinkState::Active => {
                if let Some(since) = self.doubted {
                    return Some(format!(
                        "the provider has refused the link's grant since {}: it is asked again before that is believed",
                        seconds(since)
                    ));
                }
                (span.fate == Fate::NeverAsked).then(|| self.nobody_asked(span))
            }
        }
    }

    fn nobody_asked(&self, span: &Span) -> String {
        let last = self.tail.is_none_or(|tail| span.over.start >= tail);
        match &self.link.push {
            PushState::Subscribed { checked } if last => format!(
                "nothing new was told: the provider notifies of news (registered, last seen {}), and the nightly run looks as well",
                seconds(*checked)
            ),
            PushState::Polling { reason } if last => {
                format!("polling, because push is not registered ({reason}): the nightly run asks for it")
            }
            _ => "no request covers it: the nightly run asks for it".to_owned(),
        }
    }
}

fn ended(request: &Request) -> String {
    let note = request.note.as_deref().map(|n| format!(": {n}")).unwrap_or_default();
    let at = seconds(request.updated_at);
    match request.state {
        RequestState::Failed => format!("given up at {at} after {} attempt(s){note}", request.attempts),
        _ => format!(
            "read at {at}, and the EHR refused {} reading(s) of that request",
            request.counts.rejected
        ),
    }
}

fn seconds(at: Instant) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// How long ago, in whole minutes and larger units.
fn minutes(at: Instant, now: Instant) -> String {
    let minutes = now.duration_since(at).as_mins().max(0);
    match minutes {
        0..120 => format!("{minutes} min"),
        120..2880 => format!("{} h", minutes / 60),
        _ => format!("{} days", minutes / 1440),
    }
}
