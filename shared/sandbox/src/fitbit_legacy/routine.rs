//! A life to read: the same seed and person make the same one.

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime, Time};
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::{Entry, Simulator, SimulatorError};
use crate::withings::{Figure, Figures};

fn entry<const N: usize>(at: DateTime, figures: [(&str, Figure); N]) -> Entry {
    let figures: Figures = figures.into_iter().map(|(name, figure)| (name.to_owned(), figure)).collect();
    Entry { id: 0, at, until: None, figures, samples: Vec::new() }
}

fn flag(yes: bool) -> Figure {
    serde_json::from_str(if yes { "true" } else { "false" }).unwrap_or_else(|_| Figure::null())
}

fn later(at: DateTime, minutes: i64) -> DateTime {
    at.checked_add(minutes.minutes()).unwrap_or(at)
}

struct Routine {
    rng: Xoshiro256PlusPlus,
    made: Vec<(&'static str, Entry)>,
}

impl Routine {
    fn add(&mut self, record: &'static str, entry: Entry) {
        self.made.push((record, entry));
    }

    /// One day and the night before it. Which rarities a day has follows from its index, so that a month has them all.
    fn live(&mut self, index: u32, date: Date) {
        let day = date.to_datetime(Time::midnight());
        let rng = &mut self.rng;
        let steps = rng.random_range(900..15_000);
        let active = rng.random_range(120..1_400);
        let totals = entry(
            day,
            [
                ("steps", Figure::whole(steps)),
                ("distance", Figure::decimal(steps * rng.random_range(64..82), 5)),
                ("floors", Figure::whole(rng.random_range(0..22))),
                ("activityCalories", Figure::whole(active)),
                ("calories", Figure::whole(active + rng.random_range(1_400..2_100))),
            ],
        );
        let resting = entry(
            day,
            [
                ("customHeartRateZones", serde_json::from_str("[]").unwrap_or_else(|_| Figure::null())),
                ("restingHeartRate", Figure::whole(rng.random_range(50..70))),
            ],
        );
        self.add("activities", totals);
        if index % 7 != 3 {
            self.add("heart", resting);
        }
        if index.is_multiple_of(2) {
            self.weighed(index, date);
        }
        if index % 10 != 9 {
            self.slept(index, day);
        }
        if index.is_multiple_of(3) {
            self.worked_out(index, date);
        }
        if index % 5 == 2 {
            let score = if index.is_multiple_of(2) {
                Figure::text(&self.rng.random_range(38..52).to_string())
            } else {
                Figure::text("44-48")
            };
            self.add("cardioscore", entry(day, [("vo2Max", score)]));
        }
        if index % 6 == 4 {
            let at = date.at(6, 30, 0, 0);
            let value = Figure::decimal(self.rng.random_range(361..389), 1);
            self.add("temp-core", entry(at, [("value", value)]));
        }
        if index % 8 == 1 {
            self.recorded(index, date);
        }
        self.beat(index, day);
    }

    fn weighed(&mut self, index: u32, date: Date) {
        let at = date.at(7, 10, i8::try_from(index % 60).unwrap_or(0), 0);
        let grams = self.rng.random_range(70_000..74_000);
        let source = Figure::text(if index.is_multiple_of(4) { "Aria" } else { "API" });
        let weight = entry(
            at,
            [
                ("weight", Figure::decimal(grams / 10, 2)),
                ("bmi", Figure::decimal(grams / 32, 2)),
                ("source", source.clone()),
            ],
        );
        self.add("weight", weight);
        let fat = Figure::decimal(self.rng.random_range(170..240), 1);
        self.add("fat", entry(at, [("fat", fat), ("source", source)]));
    }

    fn slept(&mut self, index: u32, day: DateTime) {
        let rng = &mut self.rng;
        let began = later(day, rng.random_range(-150..40));
        let (deep, light, rem, wake) = (
            rng.random_range(30..90),
            rng.random_range(150..260),
            rng.random_range(40..110),
            rng.random_range(10..60),
        );
        let asleep = deep + light + rem;
        let whole = Figure::whole;
        let mut sleep = if index % 9 == 5 {
            entry(
                began,
                [
                    ("type", Figure::text("classic")),
                    ("asleep.minutes", whole(asleep)),
                    ("restless.minutes", whole(20)),
                    ("awake.minutes", whole(wake)),
                    ("awake.count", whole(2)),
                ],
            )
        } else {
            entry(
                began,
                [
                    ("type", Figure::text("stages")),
                    ("deep.minutes", whole(deep)),
                    ("light.minutes", whole(light)),
                    ("rem.minutes", whole(rem)),
                    ("rem.count", whole(4)),
                    ("wake.minutes", whole(wake)),
                    ("wake.count", whole(12)),
                ],
            )
        };
        sleep.until = Some(later(began, asleep + wake));
        sleep.figures.extend(
            [
                ("minutesAsleep", whole(asleep)),
                ("minutesAwake", whole(wake)),
                ("minutesToFallAsleep", whole(0)),
                ("minutesAfterWakeup", whole(3)),
                ("timeInBed", whole(asleep + wake)),
                ("efficiency", whole(rng.random_range(80..99))),
                ("isMainSleep", flag(true)),
                ("logType", Figure::text(if index % 11 == 7 { "manual" } else { "auto_detected" })),
            ]
            .map(|(name, figure)| (name.to_owned(), figure)),
        );
        let (rmssd, rate) = (rng.random_range(200..700), rng.random_range(120..180));
        let (oxygen, skin) = (rng.random_range(940..985), rng.random_range(-9..9));
        self.add("sleep", sleep);
        self.add(
            "hrv",
            entry(
                day,
                [("dailyRmssd", Figure::decimal(rmssd, 1)), ("deepRmssd", Figure::decimal(rmssd - 34, 1))],
            ),
        );
        self.add("br", entry(day, [("breathingRate", Figure::decimal(rate, 1))]));
        self.add(
            "spo2",
            entry(
                day,
                [
                    ("avg", Figure::decimal(oxygen, 1)),
                    ("min", Figure::decimal(oxygen - 30, 1)),
                    ("max", Figure::decimal(oxygen + 10, 1)),
                ],
            ),
        );
        self.add("temp-skin", entry(day, [("nightlyRelative", Figure::decimal(skin, 1))]));
    }

    fn worked_out(&mut self, index: u32, date: Date) {
        let names = ["Walk", "Run", "Bike", "Swim", "Quidditch"];
        let name = usize::try_from(index / 3)
            .ok()
            .and_then(|n| names.get(n % names.len()))
            .copied()
            .unwrap_or("Walk");
        let minutes = self.rng.random_range(20..80);
        let at = date.at(17, i8::try_from(index % 60).unwrap_or(0), 5, 0);
        let mut done = entry(
            at,
            [
                ("activityName", Figure::text(name)),
                ("activityTypeId", Figure::whole(90_000 + i64::from(index))),
                ("logType", Figure::text(if index % 12 == 6 { "manual" } else { "tracker" })),
                ("duration", Figure::whole(minutes * 60_000)),
                ("activeDuration", Figure::whole(minutes * 60_000 - 15_500)),
                ("calories", Figure::whole(self.rng.random_range(60..900))),
                ("steps", Figure::whole(self.rng.random_range(0..9_000))),
                ("lastModified", Figure::text(&format!("{date}T23:31:15.000Z"))),
            ],
        );
        if index.is_multiple_of(2) {
            let metres = self.rng.random_range(900..9_000);
            done.figures.insert("distance".into(), Figure::decimal(metres * 10, 4));
            done.figures.insert("distanceUnit".into(), Figure::text("Kilometer"));
            done.figures.insert("averageHeartRate".into(), Figure::whole(self.rng.random_range(96..150)));
        }
        self.add("exercise", done);
    }

    fn recorded(&mut self, index: u32, date: Date) {
        let at = date.at(9, i8::try_from(index % 60).unwrap_or(0), 0, 0);
        let class = if index % 16 == 9 { "Atrial Fibrillation" } else { "Normal Sinus Rhythm" };
        let mut made = entry(
            at,
            [
                ("averageHeartRate", Figure::whole(self.rng.random_range(54..96))),
                ("resultClassification", Figure::text(class)),
                ("samplingFrequencyHz", Figure::text("250")),
                ("scalingFactor", Figure::whole(10_922)),
                ("leadNumber", Figure::whole(1)),
                ("featureVersion", Figure::text("2.3.0-2.20")),
                ("deviceName", Figure::text("Sense")),
                ("firmwareVersion", Figure::text("44.128.6.17")),
            ],
        );
        made.samples = (0..7_500)
            .map(|n: i64| {
                let peak = if n % 210 < 8 { 9_000 } else { 0 };
                peak + self.rng.random_range(-150..150)
            })
            .collect();
        self.add("ecg", made);
    }

    /// Worn for most of the day.
    fn beat(&mut self, index: u32, day: DateTime) {
        let mut beats = entry(day, []);
        let rng = &mut self.rng;
        beats.samples = (0..1_440)
            .map(|minute: u32| {
                let worn = (minute + index * 7) % 360 > 40;
                if worn { rng.random_range(50..110) } else { 0 }
            })
            .collect();
        self.add("heart-intraday", beats);
    }
}

impl Simulator {
    /// Makes up the last days of a person, today included, and tells nobody. Returns how many entries that are.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn seed(&self, person: &str, days: u32) -> Result<usize, SimulatorError> {
        let now = self.now();
        let (today, latest) = {
            let state = self.state();
            let account = state.persons.get(person).ok_or(SimulatorError::UnknownPerson)?;
            let local = account.zone().to_datetime(now);
            (local.date(), local)
        };
        let own = person.bytes().fold(0_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let seed = self.0.config.seed.wrapping_mul(0x9e37_79b9) ^ own;
        let mut routine = Routine { rng: Xoshiro256PlusPlus::seed_from_u64(seed), made: Vec::new() };
        for index in 0..days {
            if let Ok(date) = today.checked_sub(i64::from(days - 1 - index).days()) {
                routine.live(index, date);
            }
        }
        let mut count = 0;
        for (record, entry) in routine.made {
            if entry.until.unwrap_or(entry.at) <= latest {
                count += self.add_quietly(person, record, vec![entry])?.len();
            }
        }
        Ok(count)
    }

    /// The person steps onto the scale, and the cloud notifies. Returns the entry's id.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn weigh_now(&self, person: &str, grams: i64) -> Result<i64, SimulatorError> {
        let now = self.now();
        let at = {
            let state = self.state();
            let account = state.persons.get(person).ok_or(SimulatorError::UnknownPerson)?;
            account.zone().to_datetime(now)
        };
        let at = at.with().subsec_nanosecond(0).build().unwrap_or(at);
        let weight = entry(at, [("weight", Figure::decimal(grams, 3)), ("source", Figure::text("Aria"))]);
        self.add(person, "weight", vec![weight]).map(|ids| ids.first().copied().unwrap_or_default())
    }
}
