//! `getactivity`, `getworkouts` and `getintradayactivity`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::ser::SerializeMap as _;
use serde::{Serialize, Serializer};

use super::data::Account;
use super::figures::{Figure, Visible};
use super::life::{Day, RELAY, Sample, Workout, local_date};
use super::wire::{Answer, Call, Refusal};
use super::{Simulator, data};

/// An answer's window, which is cut there without a word.
pub(super) const LONGEST: i64 = 86_400;

/// What a basic plan does not tell of workouts.
pub(super) const WORKOUT_EXTRAS: &[&str] = &["spo2_average", "core_body_temperature_avg"];
/// What a basic plan does not tell of samples.
pub(super) const INTRADAY_EXTRAS: &[&str] = &["spo2_auto", "rr", "core_body_temperature"];

/// Days, or what changed since: the two ways to ask for records of civil days.
pub(super) enum Asked {
    Days(Date, Date),
    Since(i64),
}

impl Asked {
    pub(super) fn of(call: &Call) -> Result<Self, Refusal> {
        let day = |name| call.get(name).map(|text| text.parse::<Date>().map_err(|_| Refusal::INVALID));
        let (from, to) = (day("startdateymd").transpose()?, day("enddateymd").transpose()?);
        match (from, to, call.number("lastupdate")?) {
            (Some(from), Some(to), None) => Ok(Self::Days(from, to)),
            (None, None, Some(since)) => Ok(Self::Since(since)),
            // Documented as one or the other.
            _ => Err(Refusal::INVALID),
        }
    }

    pub(super) fn wants(&self, date: Date, modified: i64) -> bool {
        match self {
            Self::Days(from, to) => *from <= date && date <= *to,
            Self::Since(since) => modified >= *since,
        }
    }
}

/// A page of rows, whether there is more, and where it goes on.
pub(super) fn page<'r, T>(
    rows: &'r [T],
    call: &Call,
    size: usize,
) -> Result<(&'r [T], bool, usize), Refusal> {
    let offset = call.number("offset")?.map_or(Ok(0), usize::try_from).map_err(|_| Refusal::INVALID)?;
    let end = offset.saturating_add(size);
    let page = rows.get(offset.min(rows.len())..end.min(rows.len())).unwrap_or_default();
    Ok((page, rows.len() > end, end))
}

/// A list, or the row itself where a single day was asked for and has one.
#[derive(Serialize)]
#[serde(untagged)]
enum Rows<T> {
    Many(Vec<T>),
    One(T),
}

#[derive(Serialize)]
struct Activities<'a> {
    activities: Rows<DayRow<'a>>,
    more: bool,
    offset: usize,
}

#[derive(Serialize)]
struct DayRow<'a> {
    #[serde(flatten)]
    data: BTreeMap<&'a str, &'a Figure>,
    deviceid: Option<&'a str>,
    hash_deviceid: Option<&'a str>,
    timezone: &'a str,
    date: Date,
    modified: i64,
    brand: i64,
    modelid: i64,
    model: &'static str,
    is_tracker: bool,
}

/// `POST /v2/measure`.
pub(super) fn measure(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let caller = sim.authenticate(call)?;
    let size = sim.0.config.page_size;
    if !["getactivity", "getworkouts", "getintradayactivity"].contains(&action) {
        return Err(Refusal::NOT_IMPLEMENTED);
    }
    caller.needs("user.activity")?;
    let state = sim.state();
    let account = state.persons.get(&caller.person).ok_or(Refusal::UNAUTHORIZED)?;
    match action {
        "getactivity" => activity(account, call, size),
        "getworkouts" => workouts(account, call, size),
        _ => intraday(account, call),
    }
}

fn activity(account: &Account, call: &Call, size: usize) -> Result<Answer, Refusal> {
    let asked = Asked::of(call)?;
    let visible = Visible::of(call, !account.life.basic, &[])?;
    let rows: Vec<&Day> =
        account.life.days.values().filter(|day| asked.wants(day.date, day.modified)).collect();
    let (page, more, offset) = page(&rows, call, size)?;
    let mut rows: Vec<_> = page.iter().map(|day| day_row(account, day, &visible)).collect();
    let single = matches!(asked, Asked::Days(from, to) if from == to) && rows.len() == 1;
    let activities = if single { rows.pop().map(Rows::One) } else { None };
    // The last page repeats an offset that leads nowhere.
    Answer::json(&Activities { activities: activities.unwrap_or(Rows::Many(rows)), more, offset })
}

fn day_row<'a>(account: &'a Account, day: &'a Day, visible: &Visible) -> DayRow<'a> {
    let relayed = day.modelid >= RELAY;
    let deviceid = account.device(day.modelid);
    DayRow {
        data: visible.figures(&day.data),
        deviceid,
        hash_deviceid: deviceid,
        timezone: &day.timezone,
        date: day.date,
        modified: day.modified,
        brand: if relayed { 18 } else { 1 },
        modelid: day.modelid,
        model: data::model_name(day.modelid),
        is_tracker: !relayed,
    }
}

#[derive(Serialize)]
struct Series<T> {
    series: Vec<T>,
    more: bool,
    offset: usize,
}

#[derive(Serialize)]
struct WorkoutRow<'a> {
    id: i64,
    category: i64,
    timezone: &'a str,
    model: i64,
    attrib: i64,
    startdate: i64,
    enddate: i64,
    date: Date,
    deviceid: Option<&'a str>,
    data: BTreeMap<&'a str, &'a Figure>,
    modified: i64,
}

fn workouts(account: &Account, call: &Call, size: usize) -> Result<Answer, Refusal> {
    let asked = Asked::of(call)?;
    let visible = Visible::of(call, !account.life.basic, WORKOUT_EXTRAS)?;
    let day = |workout: &Workout| local_date(workout.startdate, &workout.timezone);
    let rows: Vec<&Workout> =
        account.life.workouts.values().filter(|w| asked.wants(day(w), w.modified)).collect();
    let (page, more, offset) = page(&rows, call, size)?;
    let series = page.iter().map(|workout| WorkoutRow {
        id: workout.id,
        category: workout.category,
        timezone: &workout.timezone,
        model: workout.model,
        attrib: workout.attrib,
        startdate: workout.startdate,
        enddate: workout.enddate,
        date: day(workout),
        deviceid: account.device(workout.model),
        data: visible.figures(&workout.data),
        modified: workout.modified,
    });
    Answer::json(&Series { series: series.collect(), more, offset: if more { offset } else { 0 } })
}

#[derive(Serialize)]
struct Samples<'a> {
    series: SampleMap<'a>,
}

/// A map by second in no order; nothing at all is a list.
struct SampleMap<'a>(Vec<(i64, SampleRow<'a>)>);

#[derive(Serialize)]
struct SampleRow<'a> {
    #[serde(flatten)]
    data: BTreeMap<&'a str, &'a Figure>,
    model: &'static str,
    model_id: i64,
    deviceid: Option<&'a str>,
}

impl Serialize for SampleMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_empty() {
            return [(); 0].serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (at, row) in &self.0 {
            map.serialize_entry(&at.to_string(), row)?;
        }
        map.end()
    }
}

/// The same order every time, and none that anybody could rely on.
pub(super) fn disorder(number: i64) -> u64 {
    number.unsigned_abs().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}

fn intraday(account: &Account, call: &Call) -> Result<Answer, Refusal> {
    let visible = Visible::of(call, !account.life.basic, INTRADAY_EXTRAS)?;
    let samples = &account.life.samples;
    let (from, to) = match (call.number("startdate")?, call.number("enddate")?) {
        (Some(from), Some(to)) => (from, to.min(from.saturating_add(LONGEST))),
        (None, None) => {
            let newest = samples.keys().next_back().copied().unwrap_or_default();
            (newest - LONGEST, newest)
        }
        _ => return Err(Refusal::INVALID),
    };
    if from > to {
        return Err(Refusal::INVALID);
    }
    let mut rows: Vec<(i64, SampleRow<'_>)> = samples
        .range(from..=to)
        .filter_map(|(at, sample)| Some((*at, sample_row(account, sample, &visible)?)))
        .collect();
    rows.sort_by_key(|(at, _)| disorder(*at));
    Answer::json(&Samples { series: SampleMap(rows) })
}

/// `None` where nothing of it was asked for.
fn sample_row<'a>(account: &'a Account, sample: &'a Sample, visible: &Visible) -> Option<SampleRow<'a>> {
    let data = visible.figures(&sample.data);
    let told = data.keys().any(|name| *name != "duration");
    told.then(|| SampleRow {
        data,
        model: data::model_name(sample.modelid),
        model_id: sample.modelid,
        deviceid: account.device(sample.modelid),
    })
}
