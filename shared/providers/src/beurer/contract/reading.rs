//! One record of an answer, as the normalised reading that every way of Beurer's has.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use ohx_domain::decimal::parse_json_number;
use ohx_domain::{Instant, Sensitive};
use serde_json::value::RawValue;

use super::document::{RecordAt, TimeAt, ValueAt};
use super::pointer::{self, is_name};
use crate::Part;
use crate::beurer::normal::{self, Reading, Writer};
use crate::beurer::push::ReadingError;
use crate::beurer::push::values;
use crate::beurer::zone::{self, Moment};
use crate::beurer::{AHEAD, Kind};

/// Wrong with a record: the reasons that the mapping documents count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Problem {
    NotAnObject,
    NoTime,
    NoZone,
    Future,
    NoId,
    NoValue,
    BadValue,
    UnknownUnit,
    SeveralUnits,
}

impl Problem {
    #[cfg(test)]
    pub(super) const ALL: [Self; 9] = [
        Self::NotAnObject,
        Self::NoTime,
        Self::NoZone,
        Self::Future,
        Self::NoId,
        Self::NoValue,
        Self::BadValue,
        Self::UnknownUnit,
        Self::SeveralUnits,
    ];

    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::NotAnObject => "not-an-object",
            Self::NoTime => "no-time",
            Self::NoZone => "no-zone",
            Self::Future => "future",
            Self::NoId => "no-id",
            Self::NoValue => "no-value",
            Self::BadValue => "bad-value",
            Self::UnknownUnit => "unknown-unit",
            Self::SeveralUnits => "several-units",
        }
    }
}

/// What a page became.
pub(super) struct Made {
    pub(super) parts: Vec<Part>,
    /// How many records have which problem.
    pub(super) problems: BTreeMap<&'static str, u64>,
}

/// A device as parts name it: id and model.
type Device = (String, Option<String>);

/// Normalises the records of a page. One that is not as the contract says becomes its problem, which the mapping counts;
/// the others are taken. Records of one device travel together, because a part names one.
pub(super) fn parts(kind: Kind, record: &RecordAt, items: &[&RawValue], now: Instant) -> Made {
    let mut by_device: BTreeMap<Option<Device>, Vec<Reading>> = BTreeMap::new();
    let mut problems = BTreeMap::new();
    for item in items {
        match read(kind, record, item, now) {
            Ok((device, reading)) => by_device.entry(device).or_default().push(reading),
            Err(problem) => {
                *problems.entry(problem.code()).or_insert(0) += 1;
                let text = format!("{{\"problem\":\"{}\"}}", problem.code());
                let reading = Reading { kind, at: now, text: Sensitive::new(text) };
                by_device.entry(None).or_default().push(reading);
            }
        }
    }
    let mut parts = Vec::new();
    for (device, readings) in &by_device {
        let mut lead = String::from("\"origin\":\"contract\"");
        if let Some((id, model)) = device {
            let quoted = |text: &str| serde_json::Value::from(text).to_string();
            let _ = write!(lead, ",\"device\":{{\"id\":{}", quoted(id));
            if let Some(model) = model {
                let _ = write!(lead, ",\"model\":{}", quoted(model));
            }
            lead.push('}');
        }
        parts.extend(normal::parts(&lead, readings).into_iter().flat_map(|of| of.parts));
    }
    Made { parts, problems }
}

fn read(
    kind: Kind,
    record: &RecordAt,
    item: &RawValue,
    now: Instant,
) -> Result<(Option<Device>, Reading), Problem> {
    if !item.get().starts_with('{') {
        return Err(Problem::NotAnObject);
    }
    let (when, local, zone) = time(&record.time, item)?;
    if when.at.as_second() > now.as_second().saturating_add(AHEAD) {
        return Err(Problem::Future);
    }
    let mut writer = Writer::new(kind, &when);
    match local {
        Some(local) => writer.local(local),
        None => writer.text("utc", &when.at.to_string()),
    }
    if let Some(zone) = zone {
        writer.text("zone", &zone);
    }
    let values = values(&record.values, item)?;
    values::write(kind, &values, &mut writer).map_err(|error| match error {
        ReadingError::Missing(_) => Problem::NoValue,
        ReadingError::Unit(..) => Problem::UnknownUnit,
        ReadingError::SeveralUnits(_) => Problem::SeveralUnits,
        _ => Problem::BadValue,
    })?;
    if let Some(at) = &record.manual
        && let Some(flag) = pointer::find(item, at)
    {
        writer.flag("manual", matches!(flag.get(), "true" | "1" | "\"true\"" | "\"1\""));
    }
    if let Some(at) = &record.id {
        // A record that has an id today and none tomorrow would be two readings.
        let id = pointer::text(item, at).filter(|id| is_name(id, 128)).ok_or(Problem::NoId)?;
        writer.text("id", &id);
    }
    let device = record.device.as_ref().and_then(|at| {
        let id = pointer::text(item, &at.id).filter(|id| is_name(id, 64))?;
        let model = at.model.as_ref().and_then(|at| pointer::text(item, at));
        Some((id, model.filter(|model| is_name(model, 64))))
    });
    Ok((device, writer.finish()))
}

/// When a record was measured: the moment, its wall clock where that is what it says, and the zone's name.
fn time(at: &TimeAt, item: &RawValue) -> Result<(Moment, Option<DateTime>, Option<String>), Problem> {
    let text = pointer::text(item, &at.at).ok_or(Problem::NoTime)?;
    let said = at.zone_at.as_ref().and_then(|place| pointer::text(item, place)).or_else(|| at.zone.clone());
    let known: Option<TimeZone> = said.as_deref().and_then(zone::named);
    if at.is_local() {
        let zone = known.ok_or(Problem::NoZone)?;
        let local = match at.format.as_str() {
            // A civil time only: an offset or a Z would be a claim that this format does not make.
            "local" => {
                text.parse::<DateTime>().ok().filter(|_| text.len() <= 32 && !text.contains(['+', 'Z']))
            }
            pattern => DateTime::strptime(pattern, &text).ok(),
        };
        let local = local.ok_or(Problem::NoTime)?;
        let moment = zone::resolve(local, &zone).ok_or(Problem::NoTime)?;
        return Ok((moment, Some(local), said));
    }
    let number = || text.parse::<i64>().ok();
    let (instant, offset): (Option<Instant>, Option<Offset>) = match at.format.as_str() {
        "unix-seconds" => (number().and_then(|n| Instant::from_second(n).ok()), None),
        "unix-milliseconds" => (number().and_then(|n| Instant::from_millisecond(n).ok()), None),
        _ => zone::rfc3339(&text).map_or((None, None), |(at, offset)| (Some(at), offset)),
    };
    let instant = instant.filter(|at| at.as_second() >= 0).ok_or(Problem::NoTime)?;
    Ok(match (known, offset) {
        (Some(zone), _) => (zone::moment(instant, &zone), None, said),
        (None, Some(offset)) => {
            (zone::moment(instant, &TimeZone::fixed(offset)), None, zone::fixed_name(offset))
        }
        (None, None) => (zone::moment(instant, &TimeZone::UTC), None, None),
    })
}

/// The values as the gateway's contract writes them, so that one table of names and units serves both.
fn values(wanted: &BTreeMap<String, ValueAt>, item: &RawValue) -> Result<Box<RawValue>, Problem> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut text = String::from("{");
    for (name, at) in wanted {
        let Some(raw) = pointer::find(item, &at.at) else { continue };
        let number = pointer::scalar(raw).ok_or(Problem::BadValue)?;
        let number = number.trim();
        // An empty text is how some write null.
        if number.is_empty() {
            continue;
        }
        parse_json_number(number).ok_or(Problem::BadValue)?;
        let unit = match (&at.unit, &at.unit_at) {
            (Some(unit), _) => unit.clone(),
            (None, Some(place)) => {
                let theirs = pointer::text(item, place).ok_or(Problem::UnknownUnit)?;
                at.units.get(&theirs).cloned().unwrap_or(theirs)
            }
            (None, None) => return Err(Problem::UnknownUnit),
        };
        let comma = if text.len() > 1 { "," } else { "" };
        let _ = write!(text, "{comma}\"{name}\":{{\"value\":{number},\"unit\":{}}}", quoted(&unit));
    }
    text.push('}');
    // `.5` and the like are no JSON.
    RawValue::from_string(text).map_err(|_| Problem::BadValue)
}
