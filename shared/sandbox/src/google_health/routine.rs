//! A past: days with a band, a scale and a phone, and nights that cross midnight.

use std::collections::BTreeMap;

use jiff::ToSpan as _;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::data::{NewPoint, PHONE, SCALE};
use super::{Simulator, SimulatorError};

const MINUTE: i64 = 60;

impl Simulator {
    /// Gives a person `days` days and nights up to now, of every data type, without notifying. What was there before
    /// stays. The same seed, person and clock make the same past. Gives how many points of each type were added.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn seed_daily(&self, person: u64, days: u32) -> Result<BTreeMap<String, usize>, SimulatorError> {
        let now = self.now().as_second();
        let (zone, today) = {
            let state = self.state();
            let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
            (account.zone.clone(), account.date(now))
        };
        let seed = self.0.config.seed.wrapping_mul(0x9e37_79b9).wrapping_add(person);
        let rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut routine = Routine { rng, zone, now, points: Vec::new() };
        for index in 0..i64::from(days) {
            if let Ok(date) = today.checked_sub((i64::from(days) - 1 - index).days()) {
                routine.day(index, date)?;
                routine.night(index, date)?;
                routine.now_and_then(index, date)?;
            }
        }
        let mut counts = BTreeMap::new();
        for point in &routine.points {
            *counts.entry(point.data_type.clone()).or_insert(0) += 1;
        }
        self.keep(person, routine.points)?;
        Ok(counts)
    }
}

struct Routine {
    rng: Xoshiro256PlusPlus,
    zone: TimeZone,
    now: i64,
    points: Vec<NewPoint>,
}

impl Routine {
    /// The second of a civil time, wherever the clock is put forward.
    fn at(&self, date: Date, hour: i8, minute: i8) -> i64 {
        let civil = date.at(hour, minute, 0, 0);
        self.zone.to_ambiguous_zoned(civil).compatible().map_or(0, |at| at.timestamp().as_second())
    }

    /// Adds a point that is over by now.
    fn add(&mut self, name: &str, start: i64, end: Option<i64>, value: String) -> Result<(), SimulatorError> {
        self.add_of(name, start, end, value, |_| ())
    }

    fn add_of(
        &mut self,
        name: &str,
        start: i64,
        end: Option<i64>,
        value: String,
        change: impl FnOnce(&mut NewPoint),
    ) -> Result<(), SimulatorError> {
        let mut point = NewPoint::new(name, start, end, value)?;
        change(&mut point);
        if end.unwrap_or(start) <= self.now {
            self.points.push(point);
        }
        Ok(())
    }

    fn decimal(&mut self, low: i64, high: i64) -> String {
        let tenths = self.rng.random_range(low..=high);
        format!("{}.{}", tenths / 10, tenths % 10)
    }

    /// Minutes of walking in the morning, at noon and in the evening, each with what the band makes of it.
    fn day(&mut self, index: i64, date: Date) -> Result<(), SimulatorError> {
        for (hour, longest) in [(8, 25), (12, 20), (18, 40)] {
            let minute = self.rng.random_range(0..15);
            let begin = self.at(date, hour, minute);
            for minute in 0..self.rng.random_range(10..longest) {
                let (start, end) = (begin + minute * MINUTE, begin + (minute + 1) * MINUTE);
                let count: i64 = self.rng.random_range(60..125);
                let steps = format!(r#"{{"count":"{count}"}}"#);
                if hour == 12 {
                    // The phone counts as well; the stream of all sources has the band's.
                    self.add_of("steps", start, Some(end), steps.clone(), |point| {
                        (point.device, point.merged) = (Some(PHONE.to_owned()), false);
                    })?;
                }
                self.add("steps", start, Some(end), steps)?;
                self.add("distance", start, Some(end), format!(r#"{{"millimeters":"{}"}}"#, count * 742))?;
                let kcal = self.rng.random_range(3..7);
                self.add("active-energy-burned", start, Some(end), format!(r#"{{"kcal":{kcal}}}"#))?;
                let level = if count > 110 {
                    "VIGOROUS"
                } else if count > 90 {
                    "MODERATE"
                } else {
                    "LIGHT"
                };
                let levels = format!(
                    r#"{{"activeMinutesByActivityLevel":[{{"activityLevel":"{level}","activeMinutes":"1"}}]}}"#
                );
                self.add("active-minutes", start, Some(end), levels)?;
                if count > 90 {
                    let (zone, minutes) = if count > 110 { ("CARDIO", 2) } else { ("FAT_BURN", 1) };
                    let value = format!(r#"{{"activeZoneMinutes":"{minutes}","heartRateZone":"{zone}"}}"#);
                    self.add("active-zone-minutes", start, Some(end), value)?;
                }
            }
        }
        let midnight = self.at(date, 0, 0);
        let length = self.at(date.tomorrow().unwrap_or(date), 0, 0) - midnight;
        for hour in 0..length / 3600 {
            let (start, end) = (midnight + hour * 3600, midnight + (hour + 1) * 3600);
            let kcal: i64 = self.rng.random_range(65..130);
            self.add("total-calories", start, Some(end), format!(r#"{{"kcal":{kcal}}}"#))?;
            if (8..20).contains(&hour) {
                let count: i64 = self.rng.random_range(0..3);
                self.add("floors", start, Some(end), format!(r#"{{"count":"{count}"}}"#))?;
            }
            for quarter in 0..4 {
                let beats: i64 = self.rng.random_range(52..110);
                let value = format!(
                    r#"{{"beatsPerMinute":"{beats}","metadata":{{"motionContext":"SEDENTARY","sensorLocation":"WRIST"}}}}"#
                );
                self.add("heart-rate", start + quarter * 900 + 5, None, value)?;
            }
        }
        if index % 3 == 1 {
            self.workout(date)?;
        }
        Ok(())
    }

    fn workout(&mut self, date: Date) -> Result<(), SimulatorError> {
        let start = self.at(date, 17, 5);
        let minutes: i64 = self.rng.random_range(25..50);
        let beats: i64 = self.rng.random_range(128..158);
        let value = format!(
            r#"{{"exerciseType":"RUNNING","displayName":"Run","activeDuration":"{}s","metricsSummary":{{"caloriesKcal":{},"distanceMillimeters":{},"steps":"{}","averageHeartRateBeatsPerMinute":"{beats}","elevationGainMillimeters":21000,"activeZoneMinutes":"{minutes}","heartRateZoneDurations":{{"lightTime":"120s","moderateTime":"600s","vigorousTime":"{}s","peakTime":"60s"}}}},"exerciseMetadata":{{"hasGps":true}},"splits":[],"exerciseEvents":[]}}"#,
            minutes * 60 - 30,
            minutes * 10,
            minutes * 162_000,
            minutes * 158,
            minutes * 60 - 810,
        );
        let end = start + minutes * MINUTE;
        self.add("exercise", start, Some(end), value)?;
        let vo2 = self.decimal(380, 460);
        self.add("run-vo2-max", end, None, format!(r#"{{"runVo2Max":{vo2}}}"#))
    }

    /// The night before a day, what is told of it, and now and then a nap.
    fn night(&mut self, index: i64, date: Date) -> Result<(), SimulatorError> {
        let (late, early) = (self.rng.random_range(10..50), self.rng.random_range(0..50));
        let bed = self.at(date.yesterday().unwrap_or(date), 22, late);
        let rise = self.at(date, 6, early);
        let stages = [("LIGHT", 40), ("DEEP", 30), ("LIGHT", 25), ("REM", 20), ("AWAKE", 5)];
        self.sleep(bed, rise, &stages, false)?;
        if index % 6 == 4 {
            let (start, end) = (self.at(date, 14, 0), self.at(date, 14, 35));
            self.sleep(start, end, &[("ASLEEP", 28), ("RESTLESS", 5), ("AWAKE", 2)], true)?;
        }
        let morning = rise + 40 * MINUTE;
        for hour in (bed + 3600..rise).step_by(3600) {
            let (rmssd, sdnn) = (self.decimal(180, 620), self.decimal(300, 800));
            let value = format!(
                r#"{{"rootMeanSquareOfSuccessiveDifferencesMilliseconds":{rmssd},"standardDeviationMilliseconds":{sdnn}}}"#
            );
            self.add("heart-rate-variability", hour, None, value)?;
            let percent = self.decimal(930, 990);
            self.add("oxygen-saturation", hour, None, format!(r#"{{"percentage":{percent}}}"#))?;
        }
        if morning > self.now {
            return Ok(());
        }
        let beats: i64 = self.rng.random_range(52..66);
        self.add(
            "daily-resting-heart-rate",
            morning,
            None,
            format!(r#"{{"beatsPerMinute":"{beats}","dailyRestingHeartRateMetadata":{{"calculationMethod":"WITH_SLEEP"}}}}"#),
        )?;
        let (rmssd, deep) = (self.decimal(200, 600), self.decimal(200, 600));
        let value = format!(
            r#"{{"averageHeartRateVariabilityMilliseconds":{rmssd},"deepSleepRootMeanSquareOfSuccessiveDifferencesMilliseconds":{deep},"entropy":2.7,"nonRemHeartRateBeatsPerMinute":"{}"}}"#,
            beats - 2
        );
        self.add("daily-heart-rate-variability", morning, None, value)?;
        let spo2 = self.decimal(945, 975);
        let value = format!(
            r#"{{"averagePercentage":{spo2},"lowerBoundPercentage":93.1,"upperBoundPercentage":99.2,"standardDeviationPercentage":0.8}}"#
        );
        self.add("daily-oxygen-saturation", morning, None, value)?;
        let breaths = self.decimal(125, 165);
        self.add("daily-respiratory-rate", morning, None, format!(r#"{{"breathsPerMinute":{breaths}}}"#))?;
        let skin = self.decimal(331, 349);
        let value = format!(
            r#"{{"nightlyTemperatureCelsius":{skin},"baselineTemperatureCelsius":34.0,"relativeNightlyStddev30dCelsius":0.4}}"#
        );
        self.add("daily-sleep-temperature-derivations", morning, None, value)
    }

    /// A session whose stages tile it, over and over.
    fn sleep(&mut self, start: i64, end: i64, of: &[(&str, i64)], nap: bool) -> Result<(), SimulatorError> {
        let (mut stages, mut minutes, mut counts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        let mut at = start;
        for (kind, long) in of.iter().cycle() {
            if at >= end {
                break;
            }
            let until = (at + long * MINUTE).min(end);
            let (from, to) = (super::points::instant(at), super::points::instant(until));
            stages.push(format!(r#"{{"startTime":"{from}","endTime":"{to}","type":"{kind}"}}"#));
            *minutes.entry(*kind).or_insert(0) += (until - at) / MINUTE;
            *counts.entry(*kind).or_insert(0) += 1;
            at = until;
        }
        let awake =
            minutes.get("AWAKE").copied().unwrap_or(0) + minutes.get("RESTLESS").copied().unwrap_or(0);
        let whole = (end - start) / MINUTE;
        let summary: Vec<String> = minutes
            .iter()
            .map(|(kind, minutes)| {
                let count: i64 = counts.get(kind).copied().unwrap_or(0);
                format!(r#"{{"type":"{kind}","minutes":"{minutes}","count":"{count}"}}"#)
            })
            .collect();
        let kind = if nap { "CLASSIC" } else { "STAGES" };
        let value = format!(
            r#"{{"type":"{kind}","stages":[{}],"shortAwakenings":[],"outOfBedSegments":[],"metadata":{{"stagesStatus":"SUCCEEDED","processed":true,"mainSleep":{},"nap":{nap},"manuallyEdited":false}},"summary":{{"minutesInSleepPeriod":"{whole}","minutesAsleep":"{}","minutesAwake":"{awake}","minutesToFallAsleep":"0","minutesAfterWakeUp":"0","stagesSummary":[{}]}}}}"#,
            stages.join(","),
            !nap,
            whole - awake,
            summary.join(","),
        );
        self.add("sleep", start, Some(end), value)
    }

    /// What is not of every day.
    fn now_and_then(&mut self, index: i64, date: Date) -> Result<(), SimulatorError> {
        if index == 0 {
            let noon = self.at(date, 12, 0);
            self.add_of("height", noon, None, r#"{"heightMillimeters":"1780"}"#.to_owned(), by_hand)?;
        }
        let morning = self.at(date, 7, 5);
        if index % 2 == 0 {
            let grams: i64 = self.rng.random_range(715..735);
            let scale = |point: &mut NewPoint| point.device = Some(SCALE.to_owned());
            self.add_of("weight", morning, None, format!(r#"{{"weightGrams":{}}}"#, grams * 100), scale)?;
            let fat = self.decimal(195, 215);
            self.add_of("body-fat", morning, None, format!(r#"{{"percentage":{fat}}}"#), scale)?;
        } else if index % 5 == 1 {
            let weight = r#"{"weightGrams":72500,"notes":"at the pool"}"#.to_owned();
            self.add_of("weight", morning, None, weight, by_hand)?;
        }
        if index % 7 == 2 {
            let temperature = self.decimal(362, 374);
            let value = format!(r#"{{"temperatureCelsius":{temperature},"measurementLocation":"EAR"}}"#);
            self.add_of("core-body-temperature", morning, None, value, by_hand)?;
        }
        if index % 4 == 0 {
            let glucose: i64 = self.rng.random_range(85..125);
            let value = format!(
                r#"{{"bloodGlucoseMilligramsPerDeciliter":{glucose},"measurementTiming":"FASTING","measurementSource":"SELF_MONITORING_BLOOD_GLUCOSE","specimen":"CAPILLARY_BLOOD"}}"#
            );
            self.add_of("blood-glucose", morning + 300, None, value, by_hand)?;
        }
        if index % 7 == 3 {
            let vo2 = self.decimal(400, 440);
            let value = format!(r#"{{"vo2Max":{vo2},"cardioFitnessLevel":"GOOD","estimated":true}}"#);
            self.add("daily-vo2-max", morning, None, value)?;
            self.add(
                "vo2-max",
                morning,
                None,
                format!(r#"{{"vo2Max":{vo2},"measurementMethod":"FITBIT_RUN"}}"#),
            )?;
        }
        if index % 10 == 5 {
            let start = self.at(date, 9, 0);
            let samples: Vec<String> =
                (0..7_500).map(|_| self.rng.random_range(-900_i64..1_800).to_string()).collect();
            let value = format!(
                r#"{{"beatsPerMinuteAvg":"70","resultClassification":"NORMAL_SINUS_RHYTHM","samplingFrequencyHertz":250,"millivoltsScalingFactor":10922,"leadNumber":1,"waveformSamples":[{}],"medicalDeviceInfo":{{"deviceModel":"Sense","firmwareVersion":"44.128.6.17"}}}}"#,
                samples.join(",")
            );
            self.add("electrocardiogram", start, Some(start), value)?;
        }
        Ok(())
    }
}

fn by_hand(point: &mut NewPoint) {
    (point.manual, point.device) = (true, None);
}
