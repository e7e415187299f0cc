//! What a correct consumer must deliver, no more and no less.

use std::collections::{BTreeMap, BTreeSet};

use ohx_domain::decimal::{Exact, scale10};
use serde::Serialize;

use super::{Group, Measure, Simulator, SimulatorError};

/// A kind of reading, by the name that the mapping documents give it.
pub type Kind = &'static str;

const BLOOD_PRESSURE: Kind = "blood-pressure";
const DIASTOLIC: i64 = 9;
const SYSTOLIC: i64 = 10;

/// The measure types that make a reading on their own.
const SINGLE: [(i64, Kind); 12] = [
    (1, "body-weight"),
    (4, "body-height"),
    (5, "fat-free-mass"),
    (6, "fat-ratio"),
    (8, "fat-mass"),
    (11, "heart-rate"),
    (54, "oxygen-saturation"),
    (71, "body-temperature"),
    (76, "muscle-mass"),
    (77, "body-water"),
    (88, "bone-mass"),
    (91, "pulse-wave-velocity"),
];

/// A reading that a correct consumer delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The group it comes from.
    pub grpid: i64,
    /// What it is.
    pub kind: Kind,
    /// When it was measured, in Unix seconds.
    pub date: i64,
    /// Its exact value in Withings' unit (height in m); for blood pressure systolic, then diastolic.
    pub values: Vec<String>,
}

/// The readings in a group.
///
/// None in an objective (category 2), in a group that may be somebody else's (attrib 1) or was typed in when the
/// account was made (attrib 4). A row counts where it is for the whole body: without a position, or with 7. Exact
/// duplicates count once; rows of one type that contradict each other do not count at all.
pub(super) fn readings(group: &Group) -> Vec<Reading> {
    let content = &group.content;
    if content.category != 1 || matches!(content.attrib, 1 | 4) {
        return Vec::new();
    }
    let reading = |kind, values| Reading { grpid: group.grpid, kind, date: content.date, values };
    let pressure = whole_body(&content.measures, SYSTOLIC)
        .zip(whole_body(&content.measures, DIASTOLIC))
        .map(|(systolic, diastolic)| reading(BLOOD_PRESSURE, vec![systolic, diastolic]));
    let single = SINGLE
        .into_iter()
        .filter_map(|(meastype, kind)| Some(reading(kind, vec![whole_body(&content.measures, meastype)?])));
    pressure.into_iter().chain(single).collect()
}

fn whole_body(measures: &[Measure], meastype: i64) -> Option<String> {
    let values: BTreeSet<Exact> = measures
        .iter()
        .filter(|measure| measure.meastype == meastype && measure.position.is_none_or(|at| at == 7))
        .filter_map(|measure| scale10(Exact::from(measure.value), measure.unit))
        .collect();
    let mut values = values.into_iter();
    values.next().filter(|_| values.next().is_none()).map(|value| value.to_string())
}

impl Simulator {
    /// A person's groups as they are now, oldest first; deleted ones are not among them.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn truth(&self, person: u64) -> Result<Vec<Group>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        let mut groups: Vec<Group> = account.groups.values().cloned().collect();
        groups.sort_by_key(|group| (group.content.date, group.grpid));
        Ok(groups)
    }

    /// The readings that a correct consumer has delivered once it has seen everything, oldest first.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn readings(&self, person: u64) -> Result<Vec<Reading>, SimulatorError> {
        Ok(self.truth(person)?.iter().flat_map(readings).collect())
    }

    /// How many readings of each kind that are.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn counts(&self, person: u64) -> Result<BTreeMap<Kind, usize>, SimulatorError> {
        let mut counts = BTreeMap::new();
        for reading in self.readings(person)? {
            *counts.entry(reading.kind).or_insert(0) += 1;
        }
        Ok(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::withings::NewGroup;

    fn group(attrib: i64, category: i64, measures: &[Measure]) -> Group {
        let measures = measures.to_vec();
        let content = NewGroup { date: 1, attrib, category, modelid: None, measures };
        Group { grpid: 1, created: 1, modified: 1, content }
    }

    fn found(group: &Group) -> Vec<(Kind, Vec<String>)> {
        readings(group).into_iter().map(|reading| (reading.kind, reading.values)).collect()
    }

    #[test]
    fn one_act_of_measuring_makes_its_readings() {
        let rows = [Measure::new(9, 79, 0), Measure::new(10, 11800, -2), Measure::new(11, 64, 0)];
        let pressure = (BLOOD_PRESSURE, vec!["118.00".to_owned(), "79".to_owned()]);
        let pulse = ("heart-rate", vec!["64".to_owned()]);
        assert_eq!(found(&group(0, 1, &rows)), [pressure.clone(), pulse.clone()]);
        assert_eq!(found(&group(17, 1, &rows)), [pressure, pulse.clone()]);
        assert_eq!(found(&group(0, 1, &rows[1..])), [pulse], "half a blood pressure is none");
        for (attrib, category) in [(1, 1), (4, 1), (0, 2)] {
            assert_eq!(found(&group(attrib, category, &rows)), []);
        }
    }

    #[test]
    fn duplicates_count_once_and_contradictions_not_at_all() {
        let weight = Measure::new(1, 7210, -2);
        let expected = [("body-weight", vec!["72.10".to_owned()])];
        assert_eq!(found(&group(0, 1, &[weight, weight])), expected);
        assert_eq!(found(&group(0, 1, &[weight, Measure::new(1, 7220, -2)])), []);
        assert_eq!(found(&group(0, 1, &[weight.at(7)])), expected);
        assert_eq!(found(&group(0, 1, &[weight, Measure::new(1, 1000, -2).at(12)])), expected);
        assert_eq!(
            found(&group(0, 1, &[weight.at(12), Measure::new(173, 1, 0), Measure::new(999, 1, 0)])),
            []
        );
    }
}
