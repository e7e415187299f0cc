//! Plausible pasts.

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::{NewRow, Simulator, SimulatorError, Type};

impl Simulator {
    /// Gives a person `days` days of readings that end now, without notifying: cuffs morning and evening, a scale, a step
    /// counter, a thermometer and an oximeter. The same seed, person and clock make the same rows. Returns how many.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn seed_history(&self, person: &str, days: u32) -> Result<usize, SimulatorError> {
        let now = self.now();
        let zone = self.state().persons.get(person).ok_or(SimulatorError::UnknownPerson)?.zone();
        // An own generator: a history must not depend on how many tokens were given before.
        let salt = person.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let mut body = Body::new(self.0.config.seed.wrapping_mul(0x9e37_79b9).wrapping_add(salt), zone);
        let today = body.zone.to_datetime(now).date();
        let mut rows = Vec::new();
        for back in (0..days).rev() {
            let day = today.checked_sub(i64::from(back).days()).unwrap_or(today);
            body.day(day, back, &mut rows);
        }
        rows.retain(|row| row.at < now.as_second());
        for row in rows.iter_mut().filter(|row| row.of == Type::Activity) {
            let hour = body.zone.to_datetime(now).hour();
            if row.at >= body.at(today, 0, 0) {
                row.hours.retain(|had, _| *had < hour);
                let steps: u32 = row.hours.values().sum();
                row.values.insert("steps".to_owned(), steps.to_string());
            }
        }
        Ok(self.store(person, rows)?.len())
    }
}

/// A body, and the devices around it.
struct Body {
    rng: Xoshiro256PlusPlus,
    zone: TimeZone,
    pounds: bool,
    grams: i64,
    systolic: i64,
}

impl Body {
    fn new(seed: u64, zone: TimeZone) -> Self {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (grams, systolic) = (rng.random_range(52_000..105_000), rng.random_range(108..146));
        let pounds = zone.iana_name().is_some_and(|name| name.starts_with("America/"));
        Self { rng, zone, pounds, grams, systolic }
    }

    fn at(&self, day: Date, hour: i8, minute: i8) -> i64 {
        let zoned = day.at(hour, minute, 0, 0).to_zoned(self.zone.clone());
        zoned.map_or(0, |zoned| zoned.timestamp().as_second())
    }

    fn day(&mut self, day: Date, back: u32, rows: &mut Vec<NewRow>) {
        for hour in [7, 21] {
            let minute = self.rng.random_range(0..60);
            let at = self.at(day, hour, minute);
            rows.push(match self.rng.random_range(0..24) {
                0 => NewRow::possible_afib(at),
                1 => {
                    let row = NewRow::new(
                        Type::BloodPressure,
                        at,
                        "HEM-7361T",
                        &[("systolic", "17.1"), ("diastolic", "10.9")],
                        &[("bloodPressureUnits", "kPa")],
                    );
                    NewRow { afib: Some(false), ..row }
                }
                _ => {
                    let systolic = self.systolic + self.rng.random_range(-12..=12);
                    let diastolic = systolic * 6 / 10 + self.rng.random_range(2..9);
                    let pulse = self.rng.random_range(52..96);
                    let row = NewRow::pressure(
                        at,
                        &systolic.to_string(),
                        &diastolic.to_string(),
                        &pulse.to_string(),
                    );
                    NewRow { afib: Some(false), ..row }
                }
            });
        }
        let minute = self.rng.random_range(0..60);
        let at = self.at(day, 7, minute);
        rows.push(self.weighing(at, back));
        rows.push(self.steps(day));
        if back.is_multiple_of(3) {
            let tenths = self.rng.random_range(359..379);
            let degrees = format!("{}.{}", tenths / 10, tenths % 10);
            let (values, words) = ([("temperature", degrees.as_str())], [("temperatureUnits", "C")]);
            rows.push(NewRow::new(Type::Temperature, at + 60, "MC-280B", &values, &words));
            let percent = self.rng.random_range(93..100).to_string();
            let values = [("spo2", percent.as_str()), ("pulse", "64")];
            rows.push(NewRow::new(Type::Oxygen, at + 90, "HPO-300T", &values, &[("pulseUnits", "bpm")]));
        }
    }

    fn weighing(&mut self, at: i64, back: u32) -> NewRow {
        self.grams = (self.grams + self.rng.random_range(-450..=450)).clamp(40_000, 160_000);
        let hundredths = |grams: i64| format!("{}.{:02}", grams / 1000, grams % 1000 / 10);
        let (weight, unit) = if self.pounds {
            (hundredths(self.grams * 22 / 10), "lb")
        } else {
            (hundredths(self.grams), "kg")
        };
        if back.is_multiple_of(4) {
            // A plain scale says what it does not measure, too.
            let mut plain = NewRow::weight(at, &weight, unit);
            plain
                .values
                .extend([("bmiValue", "0"), ("bodyFatPercentage", "0.0")].map(|(n, v)| (n.into(), v.into())));
            return plain;
        }
        let fat = format!("{}.{}", self.rng.random_range(12..36), self.rng.random_range(0..10));
        let values = [
            ("weight", weight.as_str()),
            ("bmiValue", "24.9"),
            ("bodyFatPercentage", fat.as_str()),
            ("skeletalMusclePercentage", "36.0"),
            ("visceralFatLevel", "8"),
            ("restingMetabolism", "1712"),
        ];
        NewRow::new(Type::Weight, at, "VIVA", &values, &[("weightPref", unit)])
    }

    fn steps(&mut self, day: Date) -> NewRow {
        let hours: std::collections::BTreeMap<i8, u32> =
            (7..24).map(|hour| (hour, self.rng.random_range(0..1200))).collect();
        let steps: u32 = hours.values().sum();
        let kilometres = format!("{}.{}", steps / 1400, steps % 10);
        let (steps, calories) = (steps.to_string(), (steps / 20).to_string());
        let values = [
            ("steps", steps.as_str()),
            ("aerobicSteps", "2110"),
            ("calories", calories.as_str()),
            ("distance", kilometres.as_str()),
            ("aerobicWalkingTime", "21"),
        ];
        let words =
            [("caloriesUnits", "kcal"), ("distanceUnits", "km"), ("aerobicWalkingTimeUnits", "minutes")];
        NewRow { hours, ..NewRow::new(Type::Activity, self.at(day, 0, 0), "HJ-329", &values, &words) }
    }
}
