//! The data types: their three names, their times, and what can be done with each.

/// What a point's time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Time {
    Interval,
    Sample,
    Daily,
    Session,
    Sleep,
    Ecg,
}

/// A data type.
#[derive(Debug, Clone, Copy)]
pub(super) struct Type {
    /// In paths.
    pub(super) name: &'static str,
    pub(super) time: Time,
    /// The end of its scope's name, before `.readonly`.
    pub(super) scope: &'static str,
    /// What can be done with it: `L`ist, `R`econcile, dai`D`yRollUp; whether it is `W`ebhook news and `N`amed.
    can: &'static str,
}

pub(super) const ACTIVITY: &str = "activity_and_fitness";
pub(super) const METRICS: &str = "health_metrics_and_measurements";

const fn of(name: &'static str, time: Time, scope: &'static str, can: &'static str) -> Type {
    Type { name, time, scope, can }
}

/// All that the sandbox has.
pub(super) static TYPES: [Type; 26] = [
    of("steps", Time::Interval, ACTIVITY, "LRDW"),
    of("distance", Time::Interval, ACTIVITY, "LRDW"),
    of("floors", Time::Interval, ACTIVITY, "DW"),
    of("total-calories", Time::Interval, ACTIVITY, "DW"),
    of("active-energy-burned", Time::Interval, ACTIVITY, "LRD"),
    of("active-minutes", Time::Interval, ACTIVITY, "LRDW"),
    of("active-zone-minutes", Time::Interval, ACTIVITY, "LRDW"),
    of("heart-rate", Time::Sample, METRICS, "LRDW"),
    of("daily-resting-heart-rate", Time::Daily, METRICS, "LRW"),
    of("heart-rate-variability", Time::Sample, METRICS, "LRW"),
    of("daily-heart-rate-variability", Time::Daily, METRICS, "LRW"),
    of("oxygen-saturation", Time::Sample, METRICS, "LR"),
    of("daily-oxygen-saturation", Time::Daily, METRICS, "LRW"),
    of("daily-respiratory-rate", Time::Daily, METRICS, "LRW"),
    of("daily-sleep-temperature-derivations", Time::Daily, METRICS, "LRW"),
    of("core-body-temperature", Time::Sample, METRICS, "LN"),
    of("weight", Time::Sample, METRICS, "LRDWN"),
    of("body-fat", Time::Sample, METRICS, "LRDWN"),
    of("height", Time::Sample, METRICS, "LRWN"),
    of("blood-glucose", Time::Sample, METRICS, "LRDWN"),
    of("vo2-max", Time::Sample, METRICS, "LRN"),
    of("daily-vo2-max", Time::Daily, METRICS, "LR"),
    of("run-vo2-max", Time::Sample, METRICS, "LRWN"),
    of("sleep", Time::Sleep, "sleep", "LRWN"),
    of("exercise", Time::Session, ACTIVITY, "LRWN"),
    of("electrocardiogram", Time::Ecg, "ecg", "LN"),
];

impl Type {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TYPES.iter().find(|known| known.name == name)
    }

    pub(super) fn lists(&self) -> bool {
        self.can.contains('L')
    }

    pub(super) fn reconciles(&self) -> bool {
        self.can.contains('R')
    }

    /// Only those whose totals are one number are rolled up here.
    pub(super) fn rolls_up(&self) -> bool {
        self.sum().is_some()
    }

    pub(super) fn notifies(&self) -> bool {
        self.can.contains('W')
    }

    /// Whether its points have names.
    pub(super) fn identifiable(&self) -> bool {
        self.can.contains('N')
    }

    /// What a daily total is called, and whether it is an int64.
    pub(super) fn sum(&self) -> Option<(&'static str, bool)> {
        match self.name {
            "steps" | "floors" => Some(("countSum", true)),
            "distance" => Some(("millimetersSum", true)),
            "total-calories" | "active-energy-burned" => Some(("kcalSum", false)),
            _ => None,
        }
    }

    /// The longest range of a roll-up, in days.
    pub(super) fn longest(&self) -> i32 {
        if matches!(self.name, "total-calories" | "heart-rate" | "active-minutes") { 14 } else { 90 }
    }

    /// The name in filters.
    pub(super) fn field(&self) -> String {
        self.name.replace('-', "_")
    }

    /// The name in points: words after the first with a capital.
    pub(super) fn member(&self) -> String {
        let mut member = String::new();
        let mut capital = false;
        for letter in self.name.chars() {
            match letter {
                '-' => capital = true,
                letter if capital => {
                    member.extend(letter.to_uppercase());
                    capital = false;
                }
                letter => member.push(letter),
            }
        }
        member
    }

    /// The largest page.
    pub(super) fn page(&self) -> usize {
        if matches!(self.time, Time::Sleep | Time::Session) { 25 } else { 10_000 }
    }
}
