//! A past for a person: plausible values in the shapes that the wire really has.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{Measure, NewGroup, Simulator, SimulatorError};

const DAY: i64 = 86_400;

/// A person's body while a history is made, in the smallest units that the wire has.
struct Body {
    rng: Xoshiro256PlusPlus,
    scale: i64,
    grams: i64,
    /// Thousandths of a percent.
    fat: i64,
    systolic: i64,
    diastolic: i64,
    pulse: i64,
}

impl Simulator {
    /// Gives a person `days` days of readings that end now, `groups_per_day` groups a day, without notifying.
    ///
    /// They are spread evenly with some jitter; every group lies inside the last `days` times 24 hours. The same
    /// seed, person and clock make the same groups. Returns how many were made.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn seed_history(&self, person: u64, days: u32, groups_per_day: u32) -> Result<usize, SimulatorError> {
        let now = self.now().as_second();
        let mut state = self.state();
        let scale = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?.scale();
        // An own generator: a history must not depend on how many tokens were given before.
        let mut body = Body::new(self.0.config.seed.wrapping_mul(0x9e37_79b9).wrapping_add(person), scale);
        let total = i64::from(days) * i64::from(groups_per_day);
        let groups: Vec<(i64, NewGroup)> = (0..total)
            .map(|index| {
                let slot = i64::from(days) * DAY / total.max(1);
                let jitter = body.rng.random_range(0..(slot / 2).max(1));
                let date = (now - i64::from(days) * DAY + index * slot + jitter).min(now - 1);
                let group = body.group(index, date);
                // Most arrive within minutes; a watch out of reach takes up to a day and a half.
                let late = group.modelid == Some(93) && body.rng.random_ratio(1, 10);
                let delay = body.rng.random_range(if late { 3_600..129_600 } else { 5..240 });
                ((date + delay).min(now), group)
            })
            .collect();
        Ok(state.store_groups(person, groups)?.len())
    }
}

impl Body {
    fn new(seed: u64, scale: i64) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let grams = rng.random_range(52_000..105_000);
        let fat = rng.random_range(12_000..36_000);
        let systolic = rng.random_range(108..146);
        let diastolic = systolic * 6 / 10 + rng.random_range(2..9);
        let pulse = rng.random_range(52..82);
        Self { rng, scale, grams, fat, systolic, diastolic, pulse }
    }

    /// The group with this index. The first few indices hold what is rare, so that even a short history has it.
    fn group(&mut self, index: i64, date: i64) -> NewGroup {
        let typed = |attrib, measures| NewGroup { date, attrib, category: 1, modelid: None, measures };
        match index {
            0 => return typed(4, vec![Measure::new(4, 178, -2), Measure::new(1, self.grams / 100, -1)]),
            1 => return typed(2, vec![Measure::new(4, 178, -2)]),
            // An objective looks like a weight and is none.
            _ if index % 97 == 5 => {
                let measures = vec![Measure::new(1, 68_000, -3)];
                return NewGroup { date, attrib: 0, category: 2, modelid: None, measures };
            }
            // A type that nobody has documented.
            _ if index % 89 == 7 => return typed(0, vec![Measure::new(18, 4_242, -1)]),
            _ => {}
        }
        let (modelid, measures) = match self.rng.random_range(0..10) {
            0..4 => (self.scale, self.weigh_in()),
            4..7 => (45, self.pressure()),
            7..9 => (93, self.saturation()),
            _ => (70, self.temperature()),
        };
        let (attrib, device) = match self.rng.random_range(0..100) {
            0..4 => (1, Some(modelid)),
            // Typed in: no device, whatever was measured.
            4..10 => (2, None),
            10..14 => (7, Some(modelid)),
            14..17 => (17, Some(modelid)),
            17..20 if modelid == 45 => (5, Some(modelid)),
            _ => (0, Some(modelid)),
        };
        NewGroup { date, attrib, category: 1, modelid: device, measures }
    }

    fn weigh_in(&mut self) -> Vec<Measure> {
        self.grams = (self.grams + self.rng.random_range(-450..=450)).clamp(40_000, 160_000);
        self.fat = (self.fat + self.rng.random_range(-300..=300)).clamp(6_000, 50_000);
        let weight = if self.rng.random_ratio(1, 2) {
            Measure::new(1, self.grams, -3)
        } else {
            Measure::new(1, self.grams / 10, -2)
        };
        let dekagrams = self.grams / 10;
        let fat_mass = dekagrams * self.fat / 100_000;
        let lean = dekagrams - fat_mass;
        let mut rows = vec![weight, Measure::new(6, self.fat, -3), Measure::new(8, fat_mass, -2)];
        let whole_body = self.scale == 18;
        let free = Measure::new(5, lean, -2);
        rows.push(if whole_body { free.at(7) } else { free });
        rows.push(Measure::new(76, lean * 95 / 100, -2));
        rows.push(Measure::new(77, lean * 72 / 100, -2));
        rows.push(Measure::new(88, lean * 5 / 100, -2));
        if whole_body {
            // Segments: the same types several times in a group, told apart by their position only.
            for (meastype, share) in [(173, lean), (174, fat_mass), (175, lean * 95 / 100)] {
                for (position, part) in [(2, 6), (3, 6), (10, 17), (11, 17), (12, 54)] {
                    rows.push(Measure::new(meastype, share * part / 100, -2).at(position));
                }
            }
            rows.push(Measure::new(170, self.rng.random_range(10..90), -1));
            rows.push(Measure::new(226, self.rng.random_range(1_250..2_200), 0));
        } else {
            // The room's temperature, not the person's.
            rows.push(Measure::new(12, self.rng.random_range(1_800..2_450), -2));
        }
        if self.rng.random_ratio(1, 3) {
            rows.push(Measure::new(11, self.near_pulse(), 0));
        }
        if self.rng.random_ratio(1, 6) {
            rows.push(Measure::new(91, self.rng.random_range(5_200..9_400), -3));
        }
        if self.rng.random_ratio(1, 8) {
            rows.push(weight);
        }
        rows
    }

    fn pressure(&mut self) -> Vec<Measure> {
        let systolic = self.systolic + self.rng.random_range(-12..=12);
        let diastolic = self.diastolic + self.rng.random_range(-8..=8);
        let pulse = self.near_pulse();
        let (factor, unit) = if self.rng.random_ratio(1, 2) { (1, 0) } else { (100, -2) };
        let mut rows = vec![
            Measure::new(9, diastolic * factor, unit),
            Measure::new(10, systolic * factor, unit),
            Measure::new(11, pulse * factor, unit),
        ];
        match self.rng.random_range(0..60) {
            // Two pulses that contradict each other.
            0 => rows.push(Measure::new(11, (pulse + 9) * factor, unit)),
            // The upper value is missing.
            1 => rows.retain(|row| row.meastype != 10),
            2..6 => rows.extend(rows.first().copied()),
            _ => {}
        }
        rows
    }

    fn saturation(&mut self) -> Vec<Measure> {
        let percent = self.rng.random_range(92..=100);
        let (factor, unit) = if self.rng.random_ratio(1, 3) { (10, -1) } else { (1, 0) };
        vec![Measure::new(54, percent * factor, unit)]
    }

    fn temperature(&mut self) -> Vec<Measure> {
        let body = self.rng.random_range(3_590..3_790);
        vec![Measure::new(71, body * 10, -3), Measure::new(73, (body - 250) * 10, -3)]
    }

    fn near_pulse(&mut self) -> i64 {
        self.pulse + self.rng.random_range(-9..=14)
    }
}
