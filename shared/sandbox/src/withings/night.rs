//! A night that never was: stages, what was measured in them, and the summary that follows from them.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use super::figures::{Figure, Figures, whole};
use super::life::{MAT, Night, Stage};

const MINUTE: i64 = 60;
const AWAKE: i64 = 0;
const LIGHT: i64 = 1;
const DEEP: i64 = 2;
const REM: i64 = 3;

impl Night {
    /// So many minutes in bed from `startdate` on, on this device.
    pub(super) fn made_up(
        rng: &mut Xoshiro256PlusPlus,
        modelid: i64,
        timezone: &str,
        startdate: i64,
        minutes: i64,
    ) -> Self {
        let states = states(rng, minutes);
        let mut stages = Vec::new();
        let (mut at, mut run) = (0, 0);
        let pulse = rng.random_range(48..64);
        for (minute, state) in states.iter().enumerate() {
            // Stored in pieces of no particular length: a stage may be several of them.
            let last = states.get(minute + 1) != Some(state) || run >= rng.random_range(8..40);
            run += 1;
            if !last {
                continue;
            }
            let end = i64::try_from(minute).unwrap_or_default() + 1;
            if let Some(state) = state {
                let (from, to) = (startdate + at * MINUTE, startdate + end * MINUTE);
                stages.push(stage(rng, modelid, *state, from, to, pulse));
            }
            (at, run) = (end, 0);
        }
        let enddate = startdate + minutes * MINUTE;
        let data = summary(rng, modelid, &states, &stages);
        let timezone = timezone.to_owned();
        let completed = (startdate % 2 == 0).then_some(true);
        Self {
            id: 0,
            timezone,
            modelid,
            startdate,
            enddate,
            created: 0,
            modified: 0,
            completed,
            data,
            stages,
        }
    }
}

/// The state of each minute; `None` out of bed.
fn states(rng: &mut Xoshiro256PlusPlus, minutes: i64) -> Vec<Option<i64>> {
    let mut states = Vec::new();
    let mut push = |state, minutes: i64| {
        states.extend(std::iter::repeat_n(state, usize::try_from(minutes).unwrap_or_default()));
    };
    push(Some(AWAKE), rng.random_range(4..20));
    for cycle in 0..minutes / 80 + 1 {
        push(Some(LIGHT), rng.random_range(15..35));
        push(Some(DEEP), rng.random_range(8..30));
        push(Some(LIGHT), rng.random_range(10..25));
        push(Some(REM), rng.random_range(5..20));
        if cycle == 1 {
            push(Some(AWAKE), rng.random_range(2..9));
            push(None, rng.random_range(3..8));
            push(Some(AWAKE), rng.random_range(1..4));
        }
    }
    let minutes = usize::try_from(minutes).unwrap_or_default().max(2);
    states.truncate(minutes);
    states.resize(minutes, Some(LIGHT));
    // Awake for a moment before it is over.
    if let Some(last) = states.last_mut() {
        *last = Some(AWAKE);
    }
    states
}

/// One piece, with a sample about every minute.
fn stage(
    rng: &mut Xoshiro256PlusPlus,
    modelid: i64,
    state: i64,
    startdate: i64,
    enddate: i64,
    pulse: i64,
) -> Stage {
    let mut series: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    let mut at = startdate;
    while at < enddate {
        let mut tell = |name: &str, value| series.entry(name.to_owned()).or_default().push((at, value));
        let rate = rng.random_range(11..18);
        // One in twenty is missing.
        if !rng.random_ratio(1, 20) {
            tell("hr", pulse + rng.random_range(-4..=9) + if state == AWAKE { 12 } else { 0 });
            tell("rr", rate);
        }
        if modelid == MAT {
            tell(
                "snoring",
                if state == DEEP && rng.random_ratio(1, 3) { rng.random_range(5..60) } else { 0 },
            );
            tell(
                "mvt_score",
                if state == AWAKE { rng.random_range(40..255) } else { rng.random_range(0..30) },
            );
        } else {
            // The same as the respiration rate, by another name.
            tell("chest_movement_rate", rate);
            // Nothing is measured most of the time, and nothing is written as 0.
            let measured = rng.random_ratio(1, 5);
            tell("rmssd", if measured { rng.random_range(18..95) } else { 0 });
            tell("sdnn_1", if measured { rng.random_range(25..110) } else { 0 });
            tell("hrv_quality", if measured { rng.random_range(60..=100) } else { 0 });
        }
        at += MINUTE;
    }
    Stage { startdate, enddate, state, series }
}

fn summary(rng: &mut Xoshiro256PlusPlus, modelid: i64, states: &[Option<i64>], stages: &[Stage]) -> Figures {
    let seconds = |state: i64| {
        i64::try_from(states.iter().filter(|s| **s == Some(state)).count()).unwrap_or_default() * MINUTE
    };
    let awake_minutes = |run: usize| i64::try_from(run).unwrap_or_default() * MINUTE;
    let latency = awake_minutes(states.iter().take_while(|s| **s == Some(AWAKE)).count());
    let last = awake_minutes(states.iter().rev().take_while(|s| **s == Some(AWAKE)).count());
    let (light, deep, rem, awake) = (seconds(LIGHT), seconds(DEEP), seconds(REM), seconds(AWAKE));
    let (asleep, in_bed) = (light + deep + rem, light + deep + rem + awake);
    let runs = |state: Option<i64>| {
        let begins = states
            .iter()
            .enumerate()
            .filter(|(n, s)| **s == state && (*n == 0 || states.get(n - 1) != Some(s)));
        i64::try_from(begins.count()).unwrap_or_default()
    };
    let measured = |name: &str| -> Option<(i64, i64, i64)> {
        let all: Vec<i64> =
            stages.iter().filter_map(|s| s.series.get(name)).flatten().map(|(_, value)| *value).collect();
        let count = i64::try_from(all.len()).ok().filter(|count| *count > 0)?;
        Some((all.iter().sum::<i64>() / count, *all.iter().min()?, *all.iter().max()?))
    };
    let mut data = whole([
        ("total_timeinbed", in_bed),
        ("total_sleep_time", asleep),
        ("lightsleepduration", light),
        ("deepsleepduration", deep),
        ("remsleepduration", rem),
        ("wakeupduration", awake),
        ("wakeupcount", (runs(Some(AWAKE)) - 2).max(0)),
        ("waso", (awake - latency - last).max(0)),
        ("sleep_latency", latency),
        ("wakeup_latency", last),
        ("nb_rem_episodes", runs(Some(REM))),
        ("out_of_bed_count", runs(None)),
        ("sleep_score", rng.random_range(35..96)),
    ]);
    data.insert("sleep_efficiency".into(), Figure::decimal(asleep * 100 / in_bed.max(1), 2));
    for (name, of) in [("hr", "hr"), ("rr", "rr")] {
        if let Some((average, least, most)) = measured(of) {
            data.extend([
                (format!("{name}_average"), Figure::whole(average)),
                (format!("{name}_min"), Figure::whole(least)),
                (format!("{name}_max"), Figure::whole(most)),
            ]);
        }
    }
    if modelid == MAT {
        let snoring: i64 =
            stages.iter().filter_map(|s| s.series.get("snoring")).flatten().map(|(_, s)| s).sum();
        data.extend(whole([
            ("snoring", snoring),
            ("snoringepisodecount", snoring / 240),
            ("breathing_disturbances_intensity", rng.random_range(0..60)),
            ("mvt_score_avg", measured("mvt_score").map_or(0, |(average, ..)| average)),
        ]));
        // Only of devices that were bought where it is allowed.
        if rng.random_ratio(1, 2) {
            data.insert("apnea_hypopnea_index".into(), Figure::whole(rng.random_range(0..16)));
        }
        let events = format!(r#"{{"1":[0],"2":[{latency}],"3":[{}],"4":[{}]}}"#, in_bed - last, last.max(1));
        data.insert("night_events".into(), Figure::text(&events));
    } else {
        data.insert("night_events".into(), Figure::null());
        data.insert("core_body_temperature_avg".into(), Figure::decimal(rng.random_range(3_620..3_720), 2));
        data.insert("core_body_temperature_status".into(), Figure::text("usual"));
        data.extend(whole([
            ("rmssd_start_avg", rng.random_range(20..60)),
            ("rmssd_end_avg", rng.random_range(25..80)),
        ]));
    }
    data
}
