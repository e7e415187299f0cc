//! The API's names and times, in words.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A record's name as a heading has it: `blood-pressure` is "Blood pressure". Withings' calls have names that say little.
pub(crate) fn record(name: &str) -> String {
    let known = match name {
        "getmeas" => "Body measures",
        "getactivity" => "Activity",
        "getworkouts" => "Workouts",
        "sleep-getsummary" => "Sleep",
        "heart-list" => "ECG recordings",
        "heart-get" => "ECG signals",
        "bloodpressure" => "Blood pressure",
        _ => return sentence(&name.replace('-', " ")),
    };
    known.to_owned()
}

/// A text of the API's, with a capital letter at its beginning.
pub(crate) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// "1 reading", "2 readings".
pub(crate) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// A time, for the page's script, which shows it in the browser's own zone, and for whoever has none.
pub(crate) struct When {
    /// As `datetime` of `<time>` wants it.
    pub(crate) iso: String,
    /// In UTC.
    pub(crate) text: String,
}

impl From<Timestamp> for When {
    fn from(at: Timestamp) -> Self {
        let text = at.to_zoned(TimeZone::UTC).strftime("%-d %b %Y, %H:%M UTC").to_string();
        Self { iso: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), text }
    }
}

/// A field of a form or an address that may be left empty.
pub(crate) fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

/// What follows `?` in an address, without what is empty.
pub(crate) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut text = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = given(*value) {
            text.append_pair(name, value);
        }
    }
    text.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_empty_is_not_in_an_address() {
        let pairs =
            [("provider", Some("a b")), ("state", Some(" ")), ("patient", None), ("cursor", Some("x"))];
        assert_eq!(query(&pairs), "provider=a+b&cursor=x");
    }

    #[test]
    fn times_are_told_in_utc_and_for_scripts() {
        let when = When::from("2026-11-03T07:05:59.5Z".parse::<Timestamp>().unwrap());
        assert_eq!(
            (when.iso.as_str(), when.text.as_str()),
            ("2026-11-03T07:05:59Z", "3 Nov 2026, 07:05 UTC")
        );
    }
}
