//! Compiles where the values of a kind come from.

use std::collections::HashMap;

use serde_saphyr::Spanned;

use super::{Compiler, Result};
use crate::document::{Into, Reading, Samples, Take, Text};
use crate::plan::{Direct, From, Holds, ItemsPlan, Key, Kind, Slot, Timed, Use};
use crate::units::{self, Conversion, NoConversion};

/// The components that a summary may have.
pub(super) const SUMMARY: [&str; 4] = ["minimum", "maximum", "mean", "count"];

impl Compiler<'_> {
    /// The reading's values, by their slot.
    pub(super) fn takes<'r>(
        &self,
        reading: &'r Spanned<Reading>,
        kind: &Kind,
    ) -> Result<Vec<(usize, &'r Spanned<Take>)>> {
        let at = reading.referenced;
        let Reading { value, values, .. } = &reading.value;
        if kind.gather.is_some_and(|(_, into)| into != Into::Sum) {
            // One value of each record; what becomes of all of them is the kind's affair.
            return match (value, values) {
                (Some(take), None) => Ok(vec![(0, take)]),
                _ => {
                    self.error(at, format!("{} is gathered", kind.name), "write `value:`, and not `values:`")
                }
            };
        }
        let components: Vec<&str> =
            kind.slots.iter().skip(usize::from(kind.own)).map(|s| s.name.as_str()).collect();
        let mut found = Vec::new();
        match (value, kind.own) {
            (Some(take), true) => found.push((0, take)),
            (None, false) => {}
            (None, true) => {
                return self.error(at, format!("{} has a value of its own", kind.name), "write `value:`");
            }
            (Some(_), false) => {
                let hint = format!("write `values:`, and not `value:`, with {}", components.join(", "));
                return self.error(at, format!("{} has components", kind.name), hint);
            }
        }
        for (name, take) in values.iter().flat_map(|v| &v.0) {
            let Some(slot) = components.iter().position(|c| c == name) else {
                let hint = match components.is_empty() {
                    true => "it has one value: write `value:`, and not `values:`".to_owned(),
                    false => format!("components are {}", components.join(", ")),
                };
                let what = format!("{} has no component {name}", kind.name);
                return self.error(take.referenced, what, hint);
            };
            found.push((slot + usize::from(kind.own), take));
        }
        let lacking = kind.slots.iter().enumerate().find(|(n, _)| !found.iter().any(|(slot, _)| slot == n));
        if let Some((_, slot)) = lacking {
            let hint = format!("give a value to each of {}", components.join(", "));
            let what = format!("a component of {} has no value: {}", kind.name, slot.name);
            return self.error(at, what, hint);
        }
        Ok(found)
    }

    /// Enters where a value comes from.
    pub(super) fn take(
        &self,
        take: &Spanned<Take>,
        mut to: Use,
        kind: &Kind,
        items: &mut Option<ItemsPlan>,
        direct: &mut Vec<Direct>,
        timed: &mut Vec<Timed>,
    ) -> Result<()> {
        let Some(slot) = kind.slots.get(to.slot) else { return Ok(()) };
        let Take { item, number, code, samples, unit, units } = &take.value;
        // What is gathered is taken as numbers, whatever it becomes.
        let gathered = kind.gather.is_some();
        if let Some(unit) = unit {
            to.convert = self.conversion(unit, slot)?;
        }
        let from = match (item, number, code, samples) {
            (Some(key), None, None, None) => {
                if let Holds::Samples { .. } = slot.holds
                    && !gathered
                {
                    let hint = "write `samples:`, or gather the readings";
                    return self.error(take.referenced, "an item is one number, not SampledData", hint);
                }
                let Some(items) = items else {
                    let hint = "say under `extract.items` where they are";
                    return self.error(key.referenced, "an item, but no items", hint);
                };
                items.uses.entry(Key::of(&key.value)).or_default().push(to);
                return Ok(());
            }
            (None, Some(number), None, None) => match (&slot.holds, units) {
                (Holds::Code { .. }, _) => {
                    return self.error(take.referenced, "a code is not a number", "write `code:`");
                }
                (Holds::Samples { .. }, _) if !gathered => {
                    let hint = "write `samples:`, or gather the readings";
                    return self.error(take.referenced, "a number is not SampledData", hint);
                }
                (_, None) => From::Number(self.expr(number)?),
                (_, Some(units)) => {
                    let mut known = HashMap::new();
                    for (word, unit) in &units.is.0 {
                        known.insert(word.clone(), self.conversion(unit, slot)?);
                    }
                    From::Measured(self.expr(number)?, self.expr(&units.at)?, known)
                }
            },
            (None, None, Some(code), None) => match slot.holds {
                Holds::Code { .. } => From::Code(self.expr(code)?),
                _ => {
                    let hint = format!("name its table under `observe`: {} {{ codes: … }}", slot.name);
                    return self.error(take.referenced, format!("{} is not a code", slot.name), hint);
                }
            },
            (None, None, None, Some(samples)) => match slot.holds {
                Holds::Samples { .. } if !gathered => return self.samples(samples, take, to, direct, timed),
                _ => {
                    let hint = "write `sampled: ms` or `sampled: s` beside its unit under `observe`";
                    return self.error(take.referenced, format!("{} is not SampledData", slot.name), hint);
                }
            },
            _ => {
                let hint = "write one of `item:`, `number:`, `code:` and `samples:`";
                return self.error(take.referenced, "a value comes from one place", hint);
            }
        };
        direct.push(Direct { to, from });
        Ok(())
    }

    fn samples(
        &self,
        samples: &Samples,
        take: &Spanned<Take>,
        to: Use,
        direct: &mut Vec<Direct>,
        timed: &mut Vec<Timed>,
    ) -> Result<()> {
        match samples {
            Samples {
                each: Some(each),
                interval: Some(interval),
                members: None,
                time: None,
                number: None,
            } => {
                let from = From::Series(self.expr(each)?, self.expr(interval)?);
                direct.push(Direct { to, from });
            }
            Samples { each: None, interval: None, members: Some(members), time: Some(time), number } => {
                let (members, time) = (self.expr(members)?, self.expr(time)?);
                timed.push(Timed { to, members, time, number: self.optional(number.as_ref())? });
            }
            _ => {
                let hint = "write `each` and `interval` for a list, or `members` and `time` for an object";
                return self.error(take.referenced, "how the samples lie in time is unclear", hint);
            }
        }
        Ok(())
    }

    fn conversion(&self, unit: &Text, slot: &Slot) -> Result<Conversion> {
        let digits = match slot.holds {
            Holds::Quantity { digits, .. } => digits,
            _ => None,
        };
        let to = slot.holds.unit();
        units::conversion(&unit.value, to, digits).or_else(|why| match why {
            NoConversion::Unknown => {
                let what = format!("{:?} is not converted to {to:?}", unit.value);
                let hint = "conversions are m to cm, kg to g, s to ms, s to h, [degF] to Cel and the like";
                self.error(unit.referenced, what, hint)
            }
            NoConversion::NeedsDigits => {
                let what = format!("{:?} in {to:?} cannot always be written exactly", unit.value);
                let hint = "say where to round: `digits: 4` beside the unit under `observe`";
                self.error(unit.referenced, what, hint)
            }
        })
    }

    /// Whether a gathered kind holds what it becomes.
    pub(super) fn gathered(&self, reading: &Spanned<Reading>, kind: &Kind) -> Result<()> {
        let Some((_, into)) = kind.gather else { return Ok(()) };
        let at = reading.value.gather.as_ref().map_or(reading.referenced, |g| g.referenced);
        let sound = match into {
            Into::Sampled => {
                kind.slots.len() == 1 && kind.slots.iter().all(|s| matches!(s.holds, Holds::Samples { .. }))
            }
            Into::Summary => {
                let known = |s: &Slot| {
                    SUMMARY.contains(&s.name.as_str()) && matches!(s.holds, Holds::Quantity { .. })
                };
                !kind.own && kind.slots.iter().all(known)
            }
            Into::Sum => kind.slots.iter().all(|s| matches!(s.holds, Holds::Quantity { digits: None, .. })),
        };
        if sound {
            return Ok(());
        }
        match into {
            Into::Sampled => self.error(
                at,
                format!("{} does not become SampledData", kind.name),
                "give it one value with `sampled: s` under `observe`",
            ),
            Into::Summary => self.error(
                at,
                format!("{} does not become a summary", kind.name),
                format!("its components under `observe` are quantities, some of {}", SUMMARY.join(", ")),
            ),
            Into::Sum => self.error(
                at,
                format!("{} does not become a sum", kind.name),
                "its values under `observe` are quantities, without `digits`: a sum is exact",
            ),
        }
    }
}
