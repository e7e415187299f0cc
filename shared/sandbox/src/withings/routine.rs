//! Days and nights of a past, beside the groups that [`Simulator::seed_history`] makes.

use jiff::ToSpan as _;
use jiff::civil::Date;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::figures::{Figure, Figures, whole};
use super::life::{CUFF, Day, Ecg, GOOGLE_FIT, MAT, Night, Sample, WATCH, Workout, local_date, zone};
use super::{Simulator, SimulatorError, State};

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;

/// How much of each a past has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Seeded {
    /// Rows of days.
    pub days: usize,
    /// Workouts.
    pub workouts: usize,
    /// Nights and naps.
    pub nights: usize,
    /// Samples of the day.
    pub samples: usize,
    /// Recordings of the heart.
    pub ecgs: usize,
}

impl Simulator {
    /// Gives a person `days` days and nights up to now, with workouts, samples and ECGs, without notifying. What was
    /// there before stays. The same seed, person and clock make the same past.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn seed_daily(&self, person: u64, days: u32) -> Result<Seeded, SimulatorError> {
        let now = self.now().as_second();
        let mut state = self.state();
        let timezone =
            state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?.person.timezone.clone();
        let seed = self.0.config.seed.wrapping_mul(0x9e37_79b9).wrapping_add(person) ^ 0xda11;
        let mut routine =
            Routine { rng: Xoshiro256PlusPlus::seed_from_u64(seed), timezone, now, past: Past::default() };
        let today = local_date(now, &routine.timezone);
        for index in 0..i64::from(days) {
            if let Ok(date) = today.checked_sub((i64::from(days) - 1 - index).days()) {
                routine.live(index, date);
            }
        }
        state.keep(person, routine.past)
    }

    /// The person has slept on the mat for so many minutes until now: the night is made up, and the cloud notifies.
    /// Returns its id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn sleep_until_now(&self, person: u64, minutes: i64) -> Result<i64, SimulatorError> {
        let (now, minutes) = (self.now().as_second(), minutes.clamp(2, 24 * 60));
        let night = self.made_up(person, |rng, timezone| {
            Night::made_up(rng, MAT, timezone, now - minutes * MINUTE, minutes)
        })?;
        self.add_nights(person, vec![night]).map(|ids| ids.first().copied().unwrap_or_default())
    }

    /// The person's watch has just recorded an ECG: it is made up, and the cloud notifies. Returns the signal's id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn ecg_now(&self, person: u64) -> Result<i64, SimulatorError> {
        let now = self.now().as_second();
        let ecg = self.made_up(person, |rng, _| ecg(rng, WATCH, now, 0))?;
        self.add_ecgs(person, vec![ecg]).map(|ids| ids.first().copied().unwrap_or_default())
    }

    fn made_up<T>(
        &self,
        person: u64,
        make: impl FnOnce(&mut Xoshiro256PlusPlus, &str) -> T,
    ) -> Result<T, SimulatorError> {
        let mut guard = self.state();
        let state: &mut State = &mut guard;
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(make(&mut state.rng, &account.person.timezone))
    }
}

/// What was made, before it has ids.
#[derive(Default)]
struct Past {
    days: Vec<Day>,
    workouts: Vec<Workout>,
    nights: Vec<Night>,
    samples: Vec<Sample>,
    ecgs: Vec<Ecg>,
}

impl State {
    fn keep(&mut self, person: u64, past: Past) -> Result<Seeded, SimulatorError> {
        let Past { days, mut workouts, mut nights, samples, mut ecgs } = past;
        workouts.iter_mut().for_each(|workout| workout.id = self.new_id());
        nights.iter_mut().for_each(|night| night.id = self.new_id());
        ecgs.iter_mut().for_each(|ecg| ecg.signalid = self.new_id());
        let life = &mut self.persons.get_mut(&person).ok_or(SimulatorError::UnknownPerson)?.life;
        let seeded = Seeded {
            days: days.len(),
            workouts: workouts.len(),
            nights: nights.len(),
            samples: samples.len(),
            ecgs: ecgs.len(),
        };
        life.days.extend(days.into_iter().map(|day| ((day.date, day.modelid), day)));
        life.workouts.extend(workouts.into_iter().map(|workout| (workout.id, workout)));
        life.nights.extend(nights.into_iter().map(|night| (night.id, night)));
        life.samples.extend(samples.into_iter().map(|sample| (sample.at, sample)));
        life.ecgs.extend(ecgs.into_iter().map(|ecg| (ecg.signalid, ecg)));
        Ok(seeded)
    }
}

struct Routine {
    rng: Xoshiro256PlusPlus,
    timezone: String,
    now: i64,
    past: Past,
}

impl Routine {
    /// The Unix second so many minutes after a day's local midnight.
    fn at(&self, date: Date, minutes: i64) -> i64 {
        let midnight = date.to_zoned(zone(&self.timezone)).map_or(0, |day| day.timestamp().as_second());
        midnight + minutes * MINUTE
    }

    /// One day and the night before it. Which rarities a day has follows from its index, so that a month has them all.
    fn live(&mut self, index: i64, date: Date) {
        let worn = index % 9 != 8;
        if worn {
            self.day(index, date, WATCH);
            self.samples(index, date);
        }
        if index % 4 == 1 {
            self.day(index, date, GOOGLE_FIT);
        }
        if index % 3 == 0 {
            self.workout(index, date);
        }
        if index > 0 && index % 10 != 9 {
            self.night(index, date);
        }
        // Also a recording of the blood pressure alone.
        if let 4 | 7 | 9 = index % 10 {
            let modelid = if index % 10 == 4 { WATCH } else { CUFF };
            let timestamp = self.at(date, 8 * 60) + self.rng.random_range(0..2 * HOUR);
            let mut made = ecg(&mut self.rng, modelid, timestamp, index);
            if index % 10 == 7 {
                made.signal.clear();
            }
            if timestamp < self.now {
                self.past.ecgs.push(made);
            }
        }
    }

    fn day(&mut self, index: i64, date: Date, modelid: i64) {
        let (begin, end) = (self.at(date, 0), self.at(date.tomorrow().unwrap_or(date), 0));
        if begin >= self.now {
            return;
        }
        let rng = &mut self.rng;
        let steps = rng.random_range(900..15_000);
        let (moderate, intense) = (rng.random_range(0..4_000), rng.random_range(0..1_800));
        let mut data = whole([
            ("steps", steps),
            ("elevation", rng.random_range(0..22)),
            ("soft", rng.random_range(600..14_000)),
            ("moderate", moderate),
            ("intense", intense),
            ("active", moderate + intense),
        ]);
        let calories = steps * 43 + intense * 120;
        data.insert("distance".into(), Figure::decimal(steps * rng.random_range(640..820), 3));
        data.insert("calories".into(), Figure::decimal(calories, 3));
        data.insert(
            "totalcalories".into(),
            Figure::decimal(calories + rng.random_range(1_400_000..2_100_000), 3),
        );
        if modelid == WATCH && index % 7 != 3 {
            let average = rng.random_range(62..84);
            data.extend(whole([
                ("hr_average", average),
                ("hr_min", average - rng.random_range(8..20)),
                ("hr_max", average + rng.random_range(20..90)),
                ("hr_zone_0", rng.random_range(2_000..40_000)),
                ("hr_zone_1", rng.random_range(0..5_000)),
                ("hr_zone_2", rng.random_range(0..2_000)),
                ("hr_zone_3", rng.random_range(0..600)),
            ]));
        }
        // Rewritten all day long, and once more when the watch has told the rest.
        let modified = (end + rng.random_range(600..40_000)).min(self.now);
        // A trip: the day is another zone's.
        let abroad = if self.timezone == "America/New_York" { "Europe/Paris" } else { "America/New_York" };
        let timezone = if index % 13 == 5 { abroad } else { self.timezone.as_str() }.to_owned();
        self.past.days.push(Day { date, timezone, modelid, modified, data });
    }

    fn workout(&mut self, index: i64, date: Date) {
        const SPORTS: [i64; 8] = [1, 2, 6, 7, 16, 28, 306, 550];
        const SWIMMING: i64 = 7;
        let category =
            usize::try_from(index / 3).ok().and_then(|n| SPORTS.get(n % SPORTS.len())).copied().unwrap_or(36);
        let startdate = self.at(date, 17 * 60) + self.rng.random_range(0..2 * HOUR);
        let enddate = startdate + self.rng.random_range(20 * MINUTE..80 * MINUTE);
        if enddate >= self.now {
            return;
        }
        let relayed = index % 9 == 6;
        let rng = &mut self.rng;
        let mut data = whole([
            ("calories", rng.random_range(60..900)),
            ("intensity", rng.random_range(10..100)),
            ("manual_distance", 0),
            ("manual_calories", 0),
            ("pause_duration", rng.random_range(0..400)),
        ]);
        data.insert("algo_pause_duration".into(), Figure::null());
        match category {
            SWIMMING => data.extend(whole([
                ("pool_laps", rng.random_range(8..60)),
                ("strokes", rng.random_range(200..1_500)),
                ("pool_length", 25),
            ])),
            1 | 2 | 306 => data.extend(whole([
                ("steps", rng.random_range(1_500..9_000)),
                ("distance", rng.random_range(1_000..9_000)),
                ("elevation", rng.random_range(0..20)),
            ])),
            _ => {}
        }
        if relayed {
            // There, and not measured.
            data.extend(whole([("hr_average", 0), ("hr_min", 0), ("hr_max", 0)]));
        } else if index % 2 == 0 {
            let average = rng.random_range(96..150);
            data.extend(whole([("hr_average", average), ("hr_min", average - 30), ("hr_max", average + 28)]));
            data.extend(whole([
                ("hr_zone_0", 100),
                ("hr_zone_1", 600),
                ("hr_zone_2", 900),
                ("hr_zone_3", 40),
            ]));
            data.insert("spo2_average".into(), Figure::whole(rng.random_range(92..99)));
        } else {
            data.extend(["hr_average", "hr_min", "hr_max"].map(|name| (name.to_owned(), Figure::null())));
            data.insert(
                "core_body_temperature_avg".into(),
                Figure::decimal(rng.random_range(3_700..3_860), 2),
            );
            data.insert("core_body_temperature_status".into(), Figure::text("elevated"));
        }
        let modified = (enddate + rng.random_range(60..6 * HOUR)).min(self.now);
        let model = if relayed { GOOGLE_FIT } else { WATCH };
        let (timezone, attrib) = (self.timezone.clone(), if index % 15 == 3 { 2 } else { 0 });
        self.past.workouts.push(Workout {
            id: 0,
            category,
            timezone,
            model,
            attrib,
            startdate,
            enddate,
            modified,
            data,
        });
    }

    fn night(&mut self, index: i64, date: Date) {
        let yesterday = date.yesterday().unwrap_or(date);
        let startdate = self.at(yesterday, 22 * 60) + self.rng.random_range(0..110 * MINUTE);
        let minutes = self.rng.random_range(360..510);
        self.slept(index, if index % 3 == 2 { WATCH } else { MAT }, startdate, minutes);
        if index % 8 == 4 {
            // The other device was there as well.
            self.slept(index, if index % 3 == 2 { MAT } else { WATCH }, startdate + 240, minutes - 9);
        }
        if index % 11 == 6 {
            let nap = self.at(date, 14 * 60);
            self.slept(index, WATCH, nap, 40);
        }
    }

    fn slept(&mut self, index: i64, modelid: i64, startdate: i64, minutes: i64) {
        let mut night = Night::made_up(&mut self.rng, modelid, &self.timezone, startdate, minutes);
        if night.enddate + 2 * MINUTE > self.now {
            return;
        }
        night.created = night.enddate + 2 * MINUTE;
        // Looked at again when the day is over.
        let again = night.created + self.rng.random_range(9 * HOUR..22 * HOUR);
        night.modified = if index % 2 == 0 && again <= self.now { again } else { night.created };
        self.past.nights.push(night);
    }

    /// The pulse about every ten minutes, a few walks, oxygen now and then, variability at night.
    fn samples(&mut self, index: i64, date: Date) {
        let midnight = self.at(date, 0);
        let mut taken = std::collections::BTreeMap::<i64, Figures>::new();
        let rng = &mut self.rng;
        for ten in 0..144 {
            let at = midnight + ten * 10 * MINUTE + rng.random_range(0..540);
            let awake = (42..138).contains(&ten);
            let pulse = rng.random_range(50..64) + if awake { rng.random_range(8..40) } else { 0 };
            taken.entry(at).or_default().extend(whole([("heart_rate", pulse)]));
            if !awake && ten % 4 == 1 {
                let measured = i64::from(!rng.random_ratio(1, 4));
                let hrv = [("rmssd", 20..90), ("sdnn1", 25..110), ("hrv_quality", 60..100)];
                taken
                    .entry(at + 1)
                    .or_default()
                    .extend(whole(hrv.map(|(name, range)| (name, measured * rng.random_range(range)))));
            }
            if ten % 48 == 7 {
                let figures = taken.entry(at + 2).or_default();
                figures.extend(whole([
                    ("spo2_auto", rng.random_range(92..100)),
                    ("rr", rng.random_range(11..18)),
                ]));
                figures.insert(
                    "core_body_temperature".into(),
                    Figure::decimal(rng.random_range(3_620..3_740), 2),
                );
            }
        }
        for walk in 0..5 + index % 3 {
            let start = midnight + (8 + 2 * walk) * HOUR + rng.random_range(0..50) * MINUTE;
            for minute in 0..rng.random_range(4..14) {
                let steps = rng.random_range(20..125);
                let figures = taken.entry(start + minute * MINUTE).or_default();
                figures.extend(whole([("steps", steps), ("elevation", 0), ("duration", 60)]));
                figures.insert("distance".into(), Figure::decimal(steps * 730, 3));
                figures.insert("calories".into(), Figure::decimal(steps * 5, 2));
            }
        }
        let past = taken.into_iter().filter(|(at, _)| *at < self.now);
        self.past.samples.extend(past.map(|(at, data)| Sample { at, modelid: WATCH, data }));
    }
}

/// A recording: 30 s at 300 Hz of a watch, 20 s at 500 Hz of a cuff.
fn ecg(rng: &mut Xoshiro256PlusPlus, modelid: i64, timestamp: i64, index: i64) -> Ecg {
    let cuff = modelid == CUFF;
    let (sampling_frequency, seconds) = if cuff { (500, 20) } else { (300, 30) };
    let heart_rate = rng.random_range(54..96);
    let beat = sampling_frequency * 60 / heart_rate;
    let signal = (0..sampling_frequency * seconds).map(|at| {
        // Where in a beat, in hundredths: P, then QRS, then T.
        let (height, noise) = (wave(at % beat * 100 / beat), rng.random_range(-14..=14));
        height + noise
    });
    Ecg {
        signalid: 0,
        timestamp,
        modified: timestamp,
        modelid,
        afib: [0, 0, 0, 2, 1].get(usize::try_from(index / 10 % 5).unwrap_or_default()).copied().unwrap_or(0),
        heart_rate,
        bloodpressure: cuff.then(|| (100 + heart_rate / 3, 60 + heart_rate / 5)),
        sampling_frequency,
        wearposition: if cuff { 3 } else { 1 },
        signal: signal.collect(),
    }
}

/// Microvolts at a hundredth of a beat.
fn wave(hundredth: i64) -> i32 {
    match hundredth {
        10..16 => 90,
        24..26 => -110,
        26..30 => 930,
        30..33 => -210,
        48..62 => 240,
        _ => 0,
    }
}
