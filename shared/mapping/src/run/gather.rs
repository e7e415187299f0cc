//! Readings of an hour or a day as one Observation.
//!
//! It is only made where the page is known to hold all of that time: half an hour's values must not take the place of
//! a whole hour's that were written before.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use jiff::tz::TimeZone;
use ohx_domain::decimal::Exact;
use ohx_domain::{Instant, Interval, content_digest};

use super::reading::Taken;
use super::record::Record;
use super::{Run, When, samples};
use crate::document::{Into, Span};
use crate::mapped::DeviceFacts;
use crate::plan::{Holds, Kind, Use};
use crate::time::{self, Zone};
use crate::units::Conversion;

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
    values: Vec<(Instant, Exact)>,
    issued: Option<(Instant, String)>,
    manual: bool,
    device: Option<Arc<DeviceFacts>>,
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
    /// Puts a reading with the others of its hour or day.
    pub(super) fn gather(&mut self, record: &Record<'t>, at: usize, span: Span, value: Exact) {
        let to = Use { kind: at, slot: 0, convert: Conversion::SAME };
        if self.range(to).is_some_and(|(low, high)| !(low..=high).contains(&value)) {
            return self.out.skip("out-of-range");
        }
        let Some((start, end)) = bounds(record.when.start, span, record.zone.as_deref().map(Zone::time_zone))
        else {
            return self.out.skip("no-zone");
        };
        let device = record.device.as_ref().map(|d| d.id.clone()).unwrap_or_default();
        let extract = self.mapping.extracts.iter().position(|e| std::ptr::eq(e, self.extract)).unwrap_or(0);
        let bucket = self.gathered.buckets.entry((at, start.as_microsecond(), device)).or_insert_with(|| {
            let (zone, device) = (record.zone.clone(), record.device.clone());
            let (issued, manual, values) = (None, record.manual, Vec::new());
            Bucket { extract, start, end, zone, values, issued, manual, device }
        });
        bucket.values.push((record.when.start, value));
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
                self.skip_times("partial", bucket.values.len());
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
        bucket.values.sort();
        bucket.values.dedup();
        // Two values at one instant contradict each other: neither is believed.
        let before = bucket.values.len();
        let times: Vec<Instant> = bucket.values.iter().map(|(at, _)| *at).collect();
        let mut n = 0;
        bucket.values.retain(|(at, _)| {
            let alone = (n == 0 || times.get(n - 1) != Some(at)) && times.get(n + 1) != Some(at);
            n += 1;
            alone
        });
        self.skip_times("conflicting", before - bucket.values.len());
        let values = match kind.gather.map(|(_, into)| into) {
            Some(Into::Sampled) => {
                let to = Use { kind: at, slot: 0, convert: Conversion::SAME };
                let sampled = samples::offsets(&mut bucket.values, bucket.start, self.scale(to));
                sampled.map(|s| vec![Some(Taken::Samples(s))])
            }
            _ => summary(kind, &bucket.values),
        };
        let zone = bucket.zone.as_deref().unwrap_or(&self.utc);
        let texts = zone.written(bucket.start).zip(zone.written(bucket.end));
        let (Some(values), Some((start_text, end_text))) = (values, texts) else { return };
        let mut id = bucket.start.as_second().to_string();
        if let Some(device) = &bucket.device {
            id.push('-');
            id.push_str(&content_digest(&[device.id.as_bytes()]));
        }
        let when = When { start: bucket.start, start_text, end: Some((bucket.end, end_text)) };
        let id = Cow::Owned(id);
        let fresh = self.seen.is_new(&id);
        let record = Record {
            id,
            when,
            issued: bucket.issued,
            preliminary: false,
            manual: bucket.manual,
            device: bucket.device,
            zone: None,
            fresh,
        };
        let values: Vec<Option<&Taken<'t>>> = values.iter().map(Option::as_ref).collect();
        let first = self.seen.what.len();
        self.observation(&record, at, None, &values);
        self.seen.close(record, first);
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
