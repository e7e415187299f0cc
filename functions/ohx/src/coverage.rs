//! `ohx coverage`: why is Tuesday missing? Through the API of a running exchange.

use std::fmt::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::{Instant, LinkId, Record};
use ohx_runtime::Settings;
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::client::{self, Exchange};
use crate::put;

/// Says what of a link's time is at the EHR, what is on its way, what has failed and what nobody has asked for, and why.
/// Times and counts only. Exit code 1 where something is missing.
#[derive(Args)]
pub(crate) struct Coverage {
    /// The link
    #[arg(long)]
    link: LinkId,
    /// Only this record
    #[arg(long)]
    record: Option<Record>,
    /// Only this day, such as 2026-11-17
    #[arg(long, value_name = "DATE", conflicts_with_all = ["from", "to"])]
    day: Option<Date>,
    /// The IANA zone that the day is meant in, and that times are shown in, such as Europe/Berlin
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Only from this instant on, such as 2026-11-17T00:00:00Z
    #[arg(long)]
    from: Option<Instant>,
    /// Only up to this instant
    #[arg(long)]
    to: Option<Instant>,
    /// As JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    exchange: Exchange,
}

#[derive(Deserialize)]
struct Shown {
    record: String,
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    start: Instant,
    end: Instant,
    state: String,
    attempts: u32,
    why: Vec<String>,
}

/// A day's first instant and the next one's: not always 24 hours apart.
fn day(date: Date, zone: &TimeZone) -> anyhow::Result<(Instant, Instant)> {
    let start = |date: Date| date.to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
    Ok((start(date)?, start(date.tomorrow()?)?))
}

impl Coverage {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let zone = TimeZone::get(&self.zone).with_context(|| format!("--zone {}", self.zone))?;
        let (from, to) = match self.day {
            Some(date) => day(date, &zone).map(|(start, end)| (Some(start), Some(end)))?,
            None => (self.from, self.to),
        };
        if from.zip(to).is_some_and(|(from, to)| from >= to) {
            bail!("--from has to be before --to");
        }
        let api = self.exchange.api(settings)?;
        let mut url = api.at("api/ingestors/coverage/")?;
        {
            let mut query = url.query_pairs_mut();
            query.append_pair("link", &self.link.to_string());
            let given = [
                ("record", self.record.as_ref().map(ToString::to_string)),
                ("from", from.map(|at| at.to_string())),
                ("to", to.map(|at| at.to_string())),
            ];
            for (name, value) in given {
                if let Some(value) = value {
                    query.append_pair(name, &value);
                }
            }
        }
        url.query_pairs_mut().append_pair("limit", "1000"); // more than a provider has records
        let answer: Value = match api.send(api.call(Method::GET, url)).await? {
            Ok(answer) => Value::Array(client::read::<client::Page<Value>>(answer).await?.items),
            Err(problem) => {
                eprintln!("{problem}");
                return Ok(ExitCode::FAILURE);
            }
        };
        let shown: Vec<Shown> =
            serde_json::from_value(answer.clone()).context("the exchange's answer cannot be read")?;
        put(&if self.json { format!("{answer:#}\n") } else { text(&shown, &zone) })?;
        let whole = shown.iter().flat_map(|s| &s.spans).all(|span| span.state == "published");
        Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// One block a record, one line a span; the reasons below it.
fn text(shown: &[Shown], zone: &TimeZone) -> String {
    let mut text = String::new();
    for Shown { record, spans } in shown {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{record}");
        if spans.is_empty() {
            let _ = writeln!(text, "  nothing was asked for yet: the link has no history");
        }
        let at =
            |instant: Instant| instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string();
        for span in spans {
            let tried = match span.attempts {
                0 => String::new(),
                n => format!("  (begun {n} time(s))"),
            };
            let _ = writeln!(text, "  {}  to  {}  {}{tried}", at(span.start), at(span.end), span.state);
            for why in &span.why {
                let _ = writeln!(text, "      {why}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_as_long_as_its_zone_says() {
        let hours = |date: &str, zone: &str| {
            let (start, end) = day(date.parse().unwrap(), &TimeZone::get(zone).unwrap()).unwrap();
            end.duration_since(start).as_hours()
        };
        assert_eq!(hours("2026-11-17", "Europe/Berlin"), 24);
        assert_eq!(hours("2026-10-25", "Europe/Berlin"), 25);
        assert_eq!(hours("2026-03-29", "Europe/Berlin"), 23);
        let (start, _) =
            day("2026-11-17".parse().unwrap(), &TimeZone::get("Europe/Berlin").unwrap()).unwrap();
        assert_eq!(start.to_string(), "2026-11-16T23:00:00Z");
    }

    #[test]
    fn every_span_has_its_line_and_its_reasons() {
        let span = |state: &str, attempts, why: &[&str]| Span {
            start: "2026-11-17T00:00:00Z".parse().unwrap(),
            end: "2026-11-17T06:00:00Z".parse().unwrap(),
            state: state.to_owned(),
            attempts,
            why: why.iter().map(|w| (*w).to_owned()).collect(),
        };
        let spans = vec![
            span("published", 0, &[]),
            span("failed", 2, &["given up", "the patient has to consent again"]),
        ];
        let shown = [
            Shown { record: "getmeas".into(), spans },
            Shown { record: "heart-list".into(), spans: Vec::new() },
        ];
        assert_eq!(
            text(&shown, &TimeZone::get("Europe/Berlin").unwrap()),
            "getmeas\n  \
             2026-11-17 01:00:00 +01:00  to  2026-11-17 07:00:00 +01:00  published\n  \
             2026-11-17 01:00:00 +01:00  to  2026-11-17 07:00:00 +01:00  failed  (begun 2 time(s))\n      \
             given up\n      the patient has to consent again\n\
             heart-list\n  nothing was asked for yet: the link has no history\n"
        );
    }
}
