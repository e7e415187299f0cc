//! SampledData: R5 says the time between two samples with its unit, or the time of each sample; R4 has milliseconds
//! between two samples, and nothing else.

use ohx_domain::decimal::{Exact, parse_json_number, scale10};
use serde_json::value::RawValue;

use super::VersionError;
use super::edit::Loss;
use crate::splice::{Object, quote};

/// Numbers and gaps in one SampledData at most, where samples had times of their own: over two days of seconds.
const MOST: usize = 200_000;

/// Rewrites `valueSampledData` of the object at the path `at`. Whether there was one.
pub(super) fn rewrite(object: &mut Object<'_>, at: &str, loss: &Loss) -> Result<bool, VersionError> {
    let Some(value) = object.get("valueSampledData") else { return Ok(false) };
    let at = format!("{at}.valueSampledData");
    let text = sampled(value, &at, loss)?;
    object.set("valueSampledData", text).map_err(|_| loss.malformed(at))?;
    Ok(true)
}

fn sampled(value: &RawValue, at: &str, loss: &Loss) -> Result<String, VersionError> {
    let malformed = |member: &str| loss.malformed(format!("{at}.{member}"));
    let mut samples = Object::parse(value).map_err(|_| loss.malformed(at))?;
    if samples.get("codeMap").is_some() {
        // The samples are codes that only this map explains.
        return Err(loss.no_home(format!("{at}.codeMap")));
    }
    let unit = samples.get_str("intervalUnit").ok_or_else(|| malformed("intervalUnit"))?;
    let power = match unit.as_str() {
        "ms" => 0,
        "s" => 3,
        "us" => -3,
        _ => return Err(loss.no_home(format!("{at}.intervalUnit"))),
    };
    let period = match (samples.get("interval"), samples.get("offsets")) {
        (Some(interval), None) => period(interval.get(), power).ok_or_else(|| malformed("interval"))?,
        (None, Some(offsets)) => {
            let offsets: String = serde_json::from_str(offsets.get()).map_err(|_| malformed("offsets"))?;
            let data = samples.get_str("data").ok_or_else(|| malformed("data"))?;
            let dimensions = samples.get("dimensions").and_then(|d| d.get().parse::<usize>().ok());
            let dimensions = dimensions.filter(|d| *d > 0).ok_or_else(|| malformed("dimensions"))?;
            let times = Times::parse(&offsets).ok_or_else(|| loss.no_home(format!("{at}.offsets")))?;
            let values: Vec<&str> = data.split(' ').collect();
            if values.len() != times.at.len().saturating_mul(dimensions) {
                return Err(malformed("data"));
            }
            let period = times.step(power).ok_or_else(|| loss.no_home(format!("{at}.offsets")))?;
            let even =
                times.even(&values, dimensions).ok_or_else(|| loss.no_home(format!("{at}.offsets")))?;
            samples.set("data", quote(&even)).map_err(|_| malformed("data"))?;
            period
        }
        _ => return Err(malformed("interval")),
    };
    samples.retain(|name| !["intervalUnit", "_intervalUnit", "_offsets"].contains(&name));
    for (name, new) in [("interval", "period"), ("_interval", "_period"), ("offsets", "period")] {
        samples.rename(name, new);
    }
    samples.set("period", period).map_err(|_| malformed("interval"))?;
    Ok(samples.to_json())
}

/// An interval in milliseconds. In milliseconds already it stays the text that it is.
fn period(interval: &str, power: i32) -> Option<String> {
    if power == 0 {
        let number = interval.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        return number.then(|| interval.to_owned());
    }
    Some(scale10(parse_json_number(interval)?, power)?.to_string())
}

/// When each sample was taken, in whole numbers of ten to the power of minus `scale`.
struct Times {
    at: Vec<i128>,
    scale: u32,
    /// The longest time of which every one of them is a multiple. Zero where the only one is zero.
    step: i128,
}

impl Times {
    /// Reads offsets. None where they do not lie in time one behind the other: R4 has one sample for one time.
    fn parse(offsets: &str) -> Option<Self> {
        let exact: Vec<Exact> =
            offsets.split(' ').map(|o| parse_json_number(o).map(|o| o.normalize())).collect::<Option<_>>()?;
        let scale = exact.iter().map(Exact::scale).max()?;
        let whole = |offset: &Exact| {
            let power = 10_i128.checked_pow(scale.checked_sub(offset.scale())?)?;
            offset.mantissa().checked_mul(power)
        };
        let at: Vec<i128> = exact.iter().map(whole).collect::<Option<_>>()?;
        let ordered = at.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
        if !ordered || at.first().is_none_or(|first| *first < 0) {
            return None;
        }
        let step = at.iter().fold(0, |step, offset| gcd(*offset, step));
        Some(Self { at, scale, step })
    }

    /// The time between two samples in milliseconds; `power` makes milliseconds of the offsets' unit.
    fn step(&self, power: i32) -> Option<String> {
        let step = match self.step {
            0 => Exact::ONE,
            step => Exact::try_from_i128_with_scale(step, self.scale).ok()?,
        };
        Some(scale10(step, power)?.normalize().to_string())
    }

    /// The samples at even times, beginning at offset zero; E, for no valid value, at a time that has none.
    fn even(&self, values: &[&str], dimensions: usize) -> Option<String> {
        let step = self.step.max(1);
        let slots = usize::try_from(self.at.last()? / step).ok()?.checked_add(1)?;
        if slots.checked_mul(dimensions)? > MOST {
            return None;
        }
        let mut text = String::new();
        let mut next = 0;
        for (at, values) in self.at.iter().zip(values.chunks(dimensions)) {
            let slot = usize::try_from(at / step).ok()?;
            let gaps = slot.checked_sub(next)?.checked_mul(dimensions)?;
            for sample in std::iter::repeat_n(&"E", gaps).chain(values) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(sample);
            }
            next = slot.checked_add(1)?;
        }
        Some(text)
    }
}

fn gcd(a: i128, b: i128) -> i128 {
    if a == 0 { b } else { gcd(b % a, a) }
}
