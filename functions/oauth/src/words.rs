//! What patients read, in the languages that there are: a file a language, and the compiler holds each of them complete.

mod de;
mod en;
mod es;
mod fr;

use http::{HeaderMap, header};
use jiff::civil::Date;

use crate::cookies;

/// A language of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    En,
    De,
    Fr,
    Es,
}

impl Language {
    /// All of them, as a page offers them.
    pub(crate) const ALL: [Self; 4] = [Self::En, Self::De, Self::Fr, Self::Es];

    /// As BCP 47 writes it.
    pub(crate) const fn code(self) -> &'static str {
        self.words().code
    }

    /// Its words.
    pub(crate) const fn words(self) -> &'static Words {
        match self {
            Self::En => &en::WORDS,
            Self::De => &de::WORDS,
            Self::Fr => &fr::WORDS,
            Self::Es => &es::WORDS,
        }
    }

    /// The language of a code, whatever region stands behind it.
    pub(crate) fn parse(code: &str) -> Option<Self> {
        let primary = code.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.code().eq_ignore_ascii_case(primary))
    }

    /// The one that was chosen, else the one of the flow's cookie, else what the browser likes best, else English.
    pub(crate) fn of(chosen: Option<&str>, headers: &HeaderMap) -> Self {
        let kept = || cookies::get(headers, cookies::LANGUAGE).and_then(Self::parse);
        chosen.and_then(Self::parse).or_else(kept).or_else(|| accepted(headers)).unwrap_or(Self::En)
    }
}

/// The best of `Accept-Language` (RFC 9110, section 12.5.4) that there is; of equals the first.
fn accepted(headers: &HeaderMap) -> Option<Language> {
    let text = headers.get(header::ACCEPT_LANGUAGE)?.to_str().ok()?;
    let mut best: Option<(f32, Language)> = None;
    for range in text.split(',') {
        let mut parts = range.split(';');
        let Some(language) = parts.next().and_then(Language::parse) else { continue };
        let weight =
            parts.find_map(|part| part.trim().strip_prefix("q=")?.parse::<f32>().ok()).unwrap_or(1.0);
        if weight > 0.0 && best.is_none_or(|(most, _)| weight > most) {
            best = Some((weight, language));
        }
    }
    best.map(|(_, language)| language)
}

/// The words of one language. `{provider}`, `{clinic}`, `{days}`, `{date}`, `{done}` and `{all}` are filled in; `{clinic}`
/// stands where a subject or a direct object does, or behind a preposition that leaves it as it is.
pub(crate) struct Words {
    pub(crate) code: &'static str,
    /// The language in itself.
    pub(crate) name: &'static str,
    pub(crate) language: &'static str,
    pub(crate) skip: &'static str,
    /// An EHR endpoint that has no title.
    pub(crate) clinic: &'static str,
    /// Between the last two of a list, with its blanks.
    pub(crate) and: &'static str,
    /// Between thousands.
    pub(crate) thousands: &'static str,
    pub(crate) months: [&'static str; 12],
    /// `{day}`, `{month}`, `{year}`.
    pub(crate) date: &'static str,
    pub(crate) topics: Topics,
    pub(crate) connect: Connect,
    pub(crate) notices: Notices,
    pub(crate) page: Page,
    pub(crate) end: End,
}

/// Kinds of data.
pub(crate) struct Topics {
    pub(crate) body: &'static str,
    pub(crate) blood_pressure: &'static str,
    pub(crate) heart_rate: &'static str,
    pub(crate) heart_rhythm: &'static str,
    pub(crate) oxygen: &'static str,
    pub(crate) breathing: &'static str,
    pub(crate) temperature: &'static str,
    pub(crate) glucose: &'static str,
    pub(crate) activity: &'static str,
    pub(crate) workouts: &'static str,
    pub(crate) fitness: &'static str,
    pub(crate) sleep: &'static str,
    pub(crate) vessels: &'static str,
    pub(crate) urine: &'static str,
    /// Not measured: which devices there are.
    pub(crate) devices: &'static str,
}

/// The page that the clinic's address opens.
pub(crate) struct Connect {
    pub(crate) title: &'static str,
    pub(crate) lead: &'static str,
    /// In place of `lead`, where the patient was connected before.
    pub(crate) again: &'static str,
    pub(crate) what: &'static str,
    pub(crate) what_note: &'static str,
    pub(crate) who: &'static str,
    pub(crate) who_text: &'static str,
    pub(crate) why: &'static str,
    pub(crate) why_text: &'static str,
    pub(crate) no_alarm: &'static str,
    pub(crate) past: &'static str,
    /// No day, one day, several, and since a date.
    pub(crate) past_none: &'static str,
    pub(crate) past_day: &'static str,
    pub(crate) past_days: &'static str,
    pub(crate) past_since: &'static str,
    pub(crate) kept: &'static str,
    pub(crate) kept_text: &'static str,
    pub(crate) kept_password: &'static str,
    pub(crate) stop: &'static str,
    pub(crate) stop_text: &'static str,
    pub(crate) go: &'static str,
    pub(crate) go_note: &'static str,
    pub(crate) decline: &'static str,
}

/// Pages that only say something.
pub(crate) struct Notices {
    pub(crate) not_connected: &'static str,
    pub(crate) declined: &'static str,
    pub(crate) declined_text: &'static str,
    /// Leads back to the page that was declined.
    pub(crate) look_again: &'static str,
    /// The address from the clinic.
    pub(crate) address: &'static str,
    pub(crate) address_text: &'static str,
    /// The way back from the provider.
    pub(crate) stale: &'static str,
    pub(crate) no_profile: &'static str,
    pub(crate) account_in_use: &'static str,
    pub(crate) unavailable: &'static str,
    pub(crate) unavailable_text: &'static str,
    pub(crate) foreign: &'static str,
    pub(crate) foreign_text: &'static str,
}

/// The patient's own page.
pub(crate) struct Page {
    pub(crate) connected: &'static str,
    pub(crate) connected_text: &'static str,
    /// The provider does not accept the connection any more.
    pub(crate) broken: &'static str,
    pub(crate) broken_text: &'static str,
    pub(crate) progress: &'static str,
    pub(crate) starting: &'static str,
    pub(crate) running: &'static str,
    pub(crate) arrived: &'static str,
    pub(crate) arrived_in_part: &'static str,
    pub(crate) steady: &'static str,
    pub(crate) parts: &'static str,
    pub(crate) parts_of: &'static str,
    pub(crate) delivered: &'static str,
    pub(crate) last: &'static str,
    pub(crate) refresh: &'static str,
    pub(crate) keep: &'static str,
    pub(crate) keep_text: &'static str,
    pub(crate) keep_secret: &'static str,
    /// Where the address is the clinic's, which ends soon.
    pub(crate) keep_short: &'static str,
    pub(crate) stop: &'static str,
    pub(crate) stop_text: &'static str,
    pub(crate) disconnect: &'static str,
}

/// Disconnecting, and the receipt.
pub(crate) struct End {
    pub(crate) sure: &'static str,
    pub(crate) what: &'static str,
    pub(crate) revoke: &'static str,
    pub(crate) destroy: &'static str,
    pub(crate) receipt: &'static str,
    pub(crate) stays: &'static str,
    pub(crate) later: &'static str,
    pub(crate) yes: &'static str,
    pub(crate) no: &'static str,
    pub(crate) ended: &'static str,
    pub(crate) ended_text: &'static str,
    /// What comes after the end.
    pub(crate) next: &'static str,
    pub(crate) steps: &'static str,
    pub(crate) all_done: &'static str,
    pub(crate) under_way: &'static str,
    pub(crate) not_all: &'static str,
    pub(crate) step_keys: &'static str,
    pub(crate) step_unsubscribe: &'static str,
    pub(crate) step_revoke: &'static str,
    pub(crate) step_devices: &'static str,
    pub(crate) step_mark: &'static str,
    pub(crate) done: &'static str,
    pub(crate) pending: &'static str,
    pub(crate) not_needed: &'static str,
    pub(crate) not_offered: &'static str,
    pub(crate) failed: &'static str,
    /// Where the provider was not told.
    pub(crate) by_hand: &'static str,
}

impl Words {
    /// A number, with its thousands apart.
    pub(crate) fn number(&self, n: u64) -> String {
        let digits = n.to_string();
        let mut text = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                text.push_str(self.thousands);
            }
            text.push(digit);
        }
        text
    }

    /// A day, in words.
    pub(crate) fn day(&self, date: Date) -> String {
        let month = usize::try_from(date.month()).ok().and_then(|m| self.months.get(m.checked_sub(1)?));
        fill(
            self.date,
            &[
                ("day", &date.day().to_string()),
                ("month", month.copied().unwrap_or_default()),
                ("year", &date.year().to_string()),
            ],
        )
    }

    /// Several names as one.
    pub(crate) fn list(&self, names: &[String]) -> String {
        match names {
            [] => self.clinic.to_owned(),
            [only] => only.clone(),
            [first @ .., last] => format!("{}{}{last}", first.join(", "), self.and),
        }
    }
}

/// Puts what is known where a text names it, once: what was put in is not looked through. A text begins with a capital.
pub(crate) fn fill(text: &str, known: &[(&str, &str)]) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, behind) = after.split_once('}').unwrap_or((after, ""));
        filled.push_str(before);
        filled.push_str(known.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value));
        rest = behind;
    }
    filled.push_str(rest);
    let mut letters = filled.chars();
    match letters.next() {
        Some(first) if first.is_lowercase() => first.to_uppercase().chain(letters).collect(),
        _ => filled,
    }
}

#[cfg(test)]
#[path = "words_tests.rs"]
mod tests;
