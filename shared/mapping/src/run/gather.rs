//! Readings of an hour or a day as one Observation.
//!
//! It is only made where the page is known to hold all of that time: half an hour's values must not take the place of
//! a whole hour's that were written before.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ohx_domain::decimal::Exact;
use ohx_domain::{Instant, Interval, content_digest};

use super::reading::Taken;
use super::record::Record;
use super::seen::Id;
use super::{Run, When, samples};
use crate::document::{Into, Span};
use crate::expr::scope::KEPT_BYTES;
use crate::mapped::DeviceFacts;
use crate::plan::{Holds, Kind, Use};
use crate::time::{self, Zone};
use crate::units::{self, Conversion};

/// An hour, in microseconds.
const HOUR: i64 = 3_600_000_000;

/// What is gathered: by kind, when it began and the device's id.
pub(super) struct Gathered {
    covers: Option<Interval>,
    count: usize,
    buckets: BTreeMap<(usize, i64, String), Bucket>,
}

struct Bucket {
    extract: usize,
    start: Instant,
    end: Instant,
    zone: Option<Rc<Zone>>,
    /// How many readings are in it.
    readings: usize,
    parts: Vec<Part>,
    issued: Option<(Instant, String)>,
    manual: bool,
    device: Option<Arc<DeviceFacts>>,
}

/// A value of a reading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Part {
    slot: usize,
    at: Instant,
    /// What is summed up must also end at the same time to be the same.
    end: Option<Instant>,
    value: Exact,
}

impl Gathered {
    pub(super) fn new(covers: Option<Interval>) -> Self {
        Self { covers, count: 0, buckets: BTreeMap::new() }
    }

    /// How many readings have been gathered.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

impl<'t> Run<'t> {
    /// Puts a reading with the others of its hour or day, that in which it began.
    pub(super) fn gather(
        &mut self,
        record: &Record<'t>,
        at: usize,
        (span, into): (Span, Into),
        values: &[Option<&Taken<'t>>],
    ) {
        let end = record.when.end.as_ref().map(|(end, _)| *end).filter(|_| into == Into::Sum);
        let part = |(slot, value): (usize, &Option<&Taken<'t>>)| match value {
            Some(Taken::Number(value)) => Some(Part { slot, at: record.when.start, end, value: *value }),
            _ => None,
        };
        let parts: Vec<Part> = values.iter().enumerate().filter_map(part).collect();
        if parts.is_empty() {
            return self.out.skip("incomplete");
        }
        let believed = |part: &Part| {
            let to = Use { kind: at, slot: part.slot, convert: Conversion::SAME };
            self.range(to).is_none_or(|(low, high)| match into {
                // A part of what is believed may be less than all of it.
                Into::Sum => (low.min(Exact::ZERO)..=high).contains(&part.value),
                _ => (low..=high).contains(&part.value),
            })
        };
        if !parts.iter().all(believed) {
            return self.out.skip("out-of-range");
        }
        let Some((start, end)) = bounds(record.when.start, span, record.zone.as_deref().map(Zone::time_zone))
        else {
            return self.out.skip("no-zone");
        };
        let device = record.device.as_ref().map(|d| d.id.clone()).unwrap_or_default();
        self.charge(8 + device.len() / KEPT_BYTES);
        let extract = self.mapping.extracts.iter().position(|e| std::ptr::eq(e, self.extract)).unwrap_or(0);
        let bucket = self.gathered.buckets.entry((at, start.as_microsecond(), device)).or_insert_with(|| {
            let (zone, device) = (record.zone.clone(), record.device.clone());
            let (issued, manual, readings, parts) = (None, record.manual, 0, Vec::new());
            Bucket { extract, start, end, zone, readings, parts, issued, manual, device }
        });
        bucket.readings += 1;
        bucket.parts.extend(parts);
        if bucket.issued.as_ref().map(|i| i.0) < record.issued.as_ref().map(|i| i.0) {
            bucket.issued.clone_from(&record.issued);
        }
        self.gathered.count += 1;
    }

    /// Makes the Observations of what was gathered.
    pub(super) fn gathered_observations(&mut self) {
        let covers = self.gathered.covers;
        for ((at, ..), bucket) in std::mem::take(&mut self.gathered.buckets) {
            let whole = covers.is_some_and(|c| c.start <= bucket.start && bucket.end <= c.end);
            if !whole {
                self.skip_times("partial", bucket.readings);
                continue;
            }
            if let Some(extract) = self.mapping.extracts.get(bucket.extract) {
                self.extract = extract;
            }
            self.bucket(at, bucket);
        }
    }

    fn bucket(&mut self, at: usize, mut bucket: Bucket) {
        let Some(kind) = self.mapping.kinds.get(at) else { return };
        let (parts, conflicting) = settled(std::mem::take(&mut bucket.parts));
        self.skip_times("conflicting", conflicting);
        let mut numbers: Vec<(Instant, Exact)> = parts.iter().map(|p| (p.at, p.value)).collect();
        let values = match kind.gather.map(|(_, into)| into) {
            Some(Into::Sampled) => {
                let to = Use { kind: at, slot: 0, convert: Conversion::SAME };
                let sampled = samples::offsets(&mut numbers, bucket.start, self.scale(to));
                sampled.map(|s| vec![Some(Taken::Samples(s))])
            }
            Some(Into::Sum) => match sums(kind, &parts) {
                Ok(sums) => Some(sums),
                Err(why) => return self.out.skip(why),
            },
            _ => summary(kind, &numbers),
        };
        let zone = bucket.zone.as_deref().unwrap_or(&self.utc);
        let texts = zone.written(bucket.start).zip(zone.written(bucket.end));
        let (Some(values), Some((start_text, end_text))) = (values, texts) else { return };
        // A day keeps its identity where the patient's zone changes, and with it the instants at which it begins and ends.
        let mut id = match (kind.gather, &bucket.zone) {
            (Some((Span::Day, _)), Some(zone)) => {
                zone.time_zone().to_datetime(bucket.start).date().to_string()
            }
            _ => bucket.start.as_second().to_string(),
        };
        if let Some(device) = &bucket.device {
            id.push('-');
            id.push_str(&content_digest(&[device.id.as_bytes()]));
        }
        let when = When { start: bucket.start, start_text, end: Some((bucket.end, end_text)) };
        let id = Id::Made(id.into());
        let (number, fresh) = self.seen.number(&id);
        let record = Record {
            id,
            when,
            issued: bucket.issued,
            preliminary: false,
            manual: bucket.manual,
            origin: None,
            device: bucket.device,
            zone: None,
            number,
            fresh,
        };
        let values: Vec<Option<&Taken<'t>>> = values.iter().map(Option::as_ref).collect();
        let first = self.seen.what.len();
        self.observation(&record, at, None, &values);
        self.seen.close(&record, first);
    }
}

/// The hour of UTC or the civil day in which an instant lies. None for a day where the zone is not known.
fn bounds(at: Instant, span: Span, zone: Option<&TimeZone>) -> Option<(Instant, Instant)> {
    match span {
        Span::Hour => {
            let start = at.as_microsecond().div_euclid(HOUR) * HOUR;
            Some((Instant::from_microsecond(start).ok()?, Instant::from_microsecond(start + HOUR).ok()?))
        }
        Span::Day => {
            let zone = zone?;
            let date = zone.to_datetime(at).date();
            time::day(&date.to_string(), zone)
        }
    }
}

/// The parts in order, each once, without those that contradict each other, and how many these are: of two values at
/// one instant neither is believed.
fn settled(mut parts: Vec<Part>) -> (Vec<Part>, usize) {
    parts.sort();
    parts.dedup();
    let before = parts.len();
    let together = parts.chunk_by(|a, b| (a.slot, a.at) == (b.slot, b.at));
    let alone: Vec<Part> =
        together.filter_map(|same| if let [one] = same { Some(*one) } else { None }).collect();
    let conflicting = before - alone.len();
    (alone, conflicting)
}

/// The sum of each of the kind's values; or why there is none. A value without any part is left out where it may be.
fn sums<'t>(kind: &Kind, parts: &[Part]) -> Result<Vec<Option<Taken<'t>>>, &'static str> {
    if parts.is_empty() {
        return Err("incomplete");
    }
    let sum = |(slot, holds): (usize, &crate::plan::Slot)| {
        let numbers = || parts.iter().filter(|p| p.slot == slot).map(|p| p.value);
        let Some(finest) = numbers().map(|n| n.scale()).max() else {
            return if holds.optional { Ok(None) } else { Err("incomplete") };
        };
        let sum = exact_sum(numbers(), finest).filter(|s| units::is_written(*s)).ok_or("unreadable")?;
        match &holds.holds {
            Holds::Quantity { range: Some((low, high)), .. } if !(low..=high).contains(&&sum) => {
                Err("out-of-range")
            }
            _ => Ok(Some(Taken::Number(sum))),
        }
    };
    kind.slots.iter().enumerate().map(sum).collect()
}

/// A sum with so many digits behind the point, which none of the numbers exceeds. None where it does not fit 28 digits:
/// a decimal's own sum would be rounded then.
fn exact_sum(mut numbers: impl Iterator<Item = Exact>, digits: u32) -> Option<Exact> {
    let sum = numbers.try_fold(0_i128, |sum, number| {
        let power = 10_i128.checked_pow(digits.checked_sub(number.scale())?)?;
        sum.checked_add(number.mantissa().checked_mul(power)?)
    });
    Exact::try_from_i128_with_scale(sum?, digits).ok()
}

/// Minimum, maximum, mean and count, by the names of the kind's components.
fn summary<'t>(kind: &Kind, values: &[(Instant, Exact)]) -> Option<Vec<Option<Taken<'t>>>> {
    let numbers = || values.iter().map(|(_, value)| *value);
    let count = Exact::from(values.len());
    let finest = numbers().map(|v| v.scale()).max()?;
    let sum = numbers().try_fold(Exact::ZERO, Exact::checked_add)?;
    let slot = |slot: &crate::plan::Slot| {
        let Holds::Quantity { digits, .. } = &slot.holds else { return None };
        let number = match slot.name.as_str() {
            "minimum" => numbers().min()?,
            "maximum" => numbers().max()?,
            "count" => count,
            _ => {
                // One digit more than the values have, unless the document says another number.
                let digits = digits.unwrap_or(finest + 1);
                let mut mean = sum.checked_div(count)?.round_dp(digits);
                mean.rescale(digits);
                mean
            }
        };
        Some(Taken::Number(number))
    };
    Some(kind.slots.iter().map(slot).collect())
}
