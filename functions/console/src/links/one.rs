//! One link: how it stands, its coverage by days, its syncs and devices, and what can be done with it.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ohx_domain::LinkState;
use secrecy::SecretString;
use serde::Deserialize;

use super::api::{Coverage, Device, Fate, Link, Push, Summary};
use super::calendar::{Calendar, Month, cut, is_open};
use super::words::{self, Badge};
use crate::api::ApiError;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::words::{When, count, given, record, sentence};
use crate::{Console, ConsoleError};

/// How many syncs are listed.
const SYNCS: &str = "20";

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    frame: Frame,
    link: Link,
    badge: Badge,
    reason: Option<String>,
    since: Option<When>,
    facts: Vec<(&'static str, Fact)>,
    succeeded: Option<When>,
    active: bool,
    ended: bool,
    connectable: bool,
    zone: String,
    /// The same, as a part of an address.
    zone_part: String,
    /// Whether the zone was asked for, or is only the one that is taken where none was.
    zone_given: bool,
    month: String,
    record: Option<String>,
    records: Vec<(String, String)>,
    calendar: Option<Calendar>,
    /// Why there is none.
    no_calendar: Option<String>,
    day: Option<DayShown>,
    syncs: Vec<SyncRow>,
    devices: Option<Result<Vec<DeviceRow>, String>>,
    notice: Option<&'static str>,
}

/// Something to know of a link: a text or a time.
enum Fact {
    Text(String),
    At(When),
}

/// One day, in full.
struct DayShown {
    title: String,
    date: String,
    records: Vec<DayOfRecord>,
}

struct DayOfRecord {
    name: String,
    spans: Vec<DaySpan>,
}

struct DaySpan {
    badge: (&'static str, &'static str, &'static str),
    from: String,
    until: String,
    why: Vec<String>,
}

struct SyncRow {
    id: String,
    at: When,
    says: String,
    badge: Badge,
}

struct DeviceRow {
    name: String,
    battery: Option<String>,
    last_sync: Option<When>,
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    month: Option<String>,
    day: Option<String>,
    record: Option<String>,
    zone: Option<String>,
    devices: Option<String>,
    did: Option<String>,
}

/// `GET /console/links/{id}/`.
pub(crate) async fn page(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Result<Response, ConsoleError> {
    let key = &signed_in.key;
    let link = found(console.api.link(key, &id).await)?;
    let syncs = console.api.syncs(key, &link.id, SYNCS).await?.items;
    let named = given(asked.zone.as_deref()).and_then(|name| Some((name, TimeZone::get(name).ok()?)));
    let (zone_name, zone) = named.clone().unwrap_or(("UTC", TimeZone::UTC));
    let now = console.sessions.now();
    let day = asked.day.as_deref().and_then(|day| day.parse::<Date>().ok());
    let of_day = day.map(|day| day.strftime("%Y-%m").to_string());
    let month = Month::of(given(asked.month.as_deref()).or(of_day.as_deref()), zone.clone(), now);
    let covered = coverage(&console, key, &link, &month).await?;
    let (covered, no_calendar) = match covered {
        Ok(covered) => (covered, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let only = given(asked.record.as_deref()).filter(|only| covered.iter().any(|one| one.record == *only));
    let chosen: Vec<&Coverage> =
        covered.iter().filter(|one| only.is_none_or(|only| one.record == only)).collect();
    let calendar = (!covered.is_empty()).then(|| month.calendar(&chosen, day, now));
    let day = day.and_then(|day| shown(&month, day, &chosen, &zone));
    let devices = match asked.devices {
        Some(_) => Some(devices(&console, key, &link.id).await?),
        None => None,
    };
    let page = LinkPage {
        frame: Frame::new(&console, Some(&signed_in.session)).below("/links/"),
        badge: words::link(link.state),
        reason: link.state_reason.as_deref().map(sentence),
        since: link.state_since.map(When::from),
        facts: facts(&link),
        succeeded: super::succeeded(&syncs),
        active: link.state == LinkState::Active,
        ended: link.state == LinkState::Disconnected,
        connectable: matches!(link.state, LinkState::Pending | LinkState::ReauthorizationRequired),
        zone: zone_name.to_owned(),
        zone_part: url::form_urlencoded::byte_serialize(zone_name.as_bytes()).collect(),
        zone_given: named.is_some(),
        month: month.days().next().map(|first| first.strftime("%Y-%m").to_string()).unwrap_or_default(),
        record: only.map(str::to_owned),
        records: covered.iter().map(|one| (one.record.clone(), record(&one.record))).collect(),
        calendar,
        no_calendar,
        day,
        syncs: syncs.into_iter().map(SyncRow::from).collect(),
        devices,
        notice: match asked.did.as_deref() {
            Some("devices") => Some("The devices were asked for: they are at the EHR in a moment."),
            Some("cancelled") => {
                Some("What was still open of the sync has ended. The nightly run asks for what is missing.")
            }
            _ => None,
        },
        link,
    };
    page::html(StatusCode::OK, &page)
}

/// What the API gave, where there is such a thing.
pub(super) fn found<T>(answer: Result<T, ApiError>) -> Result<T, ConsoleError> {
    answer.map_err(|error| match error {
        ApiError::Refused { status: StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST, .. } => {
            ConsoleError::NotFound
        }
        error => error.into(),
    })
}

/// The month's coverage, or why it cannot be told.
async fn coverage(
    console: &Console,
    key: &SecretString,
    link: &Link,
    month: &Month,
) -> Result<Result<Vec<Coverage>, String>, ConsoleError> {
    if link.history_start.is_none() {
        return Ok(Err("Nothing is asked for before the patient has consented.".to_owned()));
    }
    let Some((from, to)) = month.whole() else {
        return Ok(Err("There is no such month.".to_owned()));
    };
    match console.api.coverage(key, &link.id, from, to).await {
        Ok(covered) if covered.is_empty() => {
            Ok(Err("The patient's consent covers no kind of reading that is asked for.".to_owned()))
        }
        Ok(covered) => Ok(Ok(covered)),
        Err(ApiError::Refused { status: StatusCode::UNPROCESSABLE_ENTITY, problem }) => {
            Ok(Err(problem.detail.as_deref().map(sentence).unwrap_or_default()))
        }
        Err(error) => Err(error.into()),
    }
}

fn facts(link: &Link) -> Vec<(&'static str, Fact)> {
    let mut facts = vec![
        ("Provider", Fact::Text(link.provider.clone())),
        ("EHR", Fact::Text(link.ehr.clone())),
        ("Made", Fact::At(link.created_at.into())),
    ];
    for also in &link.also {
        facts.push(("Also to", Fact::Text(format!("{} as {}", also.ehr, also.patient))));
    }
    facts.extend(link.connected_at.map(|at| ("Connected", Fact::At(at.into()))));
    match link.history_start {
        Some(at) => facts.push(("History begins", Fact::At(at.into()))),
        None => facts.push(("History", Fact::Text(count(link.backfill_days.into(), "day")))),
    }
    if link.state == LinkState::Active {
        match &link.push {
            Push::Subscribed { checked } => {
                facts.push(("Provider notifies, seen", Fact::At((*checked).into())))
            }
            Push::Polling { reason } => {
                facts.push(("News", Fact::Text(format!("asked for every night: {reason}"))));
            }
            Push::Unknown => {}
        }
    }
    facts
}

/// A day with why it is as it is.
fn shown(month: &Month, day: Date, records: &[&Coverage], zone: &TimeZone) -> Option<DayShown> {
    let edges = month.edges(day)?;
    let clock = |at: jiff::Timestamp, short: bool| {
        if at == edges.1 {
            return "24:00".to_owned();
        }
        // What is shorter than a minute, such as the hole that a refused reading leaves, is told to the second.
        at.to_zoned(zone.clone()).strftime(if short { "%H:%M:%S" } else { "%H:%M" }).to_string()
    };
    let of = |one: &&Coverage| DayOfRecord {
        name: record(&one.record),
        spans: cut(one, edges)
            .into_iter()
            .map(|((from, until), span)| {
                let badge = match span.state {
                    Fate::Published => ("●", "good", "at the EHR"),
                    Fate::OnItsWay => ("↻", "warn", "on its way"),
                    Fate::Failed => ("▲", "bad", "given up"),
                    _ if is_open(one, span) => ("○", "soft", "not asked for yet"),
                    Fate::Refused => ("▲", "bad", "refused by the EHR"),
                    Fate::NeverAsked => ("○", "soft", "nobody has asked for it"),
                    Fate::BeforeHistory => ("○", "soft", "before the link's history"),
                };
                let told = span.state == Fate::NeverAsked || !is_open(one, span);
                let why = span.why.iter().filter(|_| told).map(|why| sentence(why)).collect();
                let short = until.duration_since(from).as_secs() < 60;
                DaySpan { badge, from: clock(from, short), until: clock(until, short), why }
            })
            .collect(),
    };
    let records: Vec<DayOfRecord> = records.iter().map(of).filter(|one| !one.spans.is_empty()).collect();
    Some(DayShown { title: day.strftime("%A, %-d %B %Y").to_string(), date: day.to_string(), records })
}

impl From<Summary> for SyncRow {
    fn from(sync: Summary) -> Self {
        let c = sync.counts;
        let mut says = format!("{} new, {} updated, {} unchanged", c.created, c.updated, c.unchanged);
        if c.rejected > 0 {
            says.push_str(&format!(", {} refused by the EHR", c.rejected));
        }
        let badge = match (sync.open, sync.failed) {
            (0, 0) => Badge { sign: "●", class: "good", text: "Done".into() },
            (0, failed) => {
                let text = format!("{failed} of {} given up", count(sync.requests, "request"));
                Badge { sign: "▲", class: "bad", text: text.into() }
            }
            (open, _) => {
                let text = format!("{open} of {} open", count(sync.requests, "request"));
                Badge { sign: "◐", class: "warn", text: text.into() }
            }
        };
        Self { id: sync.id, at: sync.requested_at.into(), says, badge }
    }
}

/// The devices as the provider lists them now, or why it does not.
async fn devices(
    console: &Console,
    key: &SecretString,
    id: &str,
) -> Result<Result<Vec<DeviceRow>, String>, ConsoleError> {
    let row = |device: Device| DeviceRow {
        name: match (device.model, device.kind) {
            (Some(model), Some(kind)) => format!("{model} ({kind})"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => "A device".to_owned(),
        },
        battery: device.battery_percent.map(|percent| format!("{percent} %")).or(device.battery),
        last_sync: device.last_sync.map(When::from),
    };
    match console.api.devices(key, id).await {
        Ok(page) => Ok(Ok(page.items.into_iter().map(row).collect())),
        Err(ApiError::Refused { problem, .. }) => {
            let why = problem.detail.as_deref().map(sentence);
            Ok(Err(why.unwrap_or_else(|| "The provider does not tell them now.".to_owned())))
        }
        Err(error) => Err(error.into()),
    }
}
