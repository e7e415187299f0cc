//! `sleep getsummary` and `sleep get`.

use std::collections::BTreeMap;

use jiff::civil::Date;
use serde::Serialize;

use super::Simulator;
use super::activity::{Asked, LONGEST, disorder, page};
use super::data::{Account, model_name};
use super::figures::{Figure, Visible};
use super::life::{MAT, Night, Stage, local_date};
use super::wire::{Answer, Call, Refusal};

/// What a basic plan does not tell of nights.
pub(super) const EXTRAS: &[&str] = &[
    "sleep_score",
    "apnea_hypopnea_index",
    "hr_average",
    "hr_min",
    "hr_max",
    "rr_average",
    "rr_min",
    "rr_max",
    "hr",
    "rr",
];

/// `POST /v2/sleep`.
pub(super) fn sleep(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let caller = sim.authenticate(call)?;
    if !["get", "getsummary"].contains(&action) {
        return Err(Refusal::NOT_IMPLEMENTED);
    }
    caller.needs("user.activity")?;
    let size = sim.0.config.page_size;
    let state = sim.state();
    let account = state.persons.get(&caller.person).ok_or(Refusal::UNAUTHORIZED)?;
    let visible = Visible::of(call, !account.life.basic, EXTRAS)?;
    if action == "get" { details(account, call, &visible) } else { summaries(account, call, &visible, size) }
}

/// The kind of source: 32 for a sleep monitor, 16 for a tracker.
fn source(modelid: i64) -> i64 {
    if modelid == MAT { 32 } else { 16 }
}

#[derive(Serialize)]
struct Summaries<'a> {
    series: Vec<SummaryRow<'a>>,
    more: bool,
    offset: usize,
}

#[derive(Serialize)]
struct SummaryRow<'a> {
    id: i64,
    timezone: &'a str,
    model: i64,
    model_id: i64,
    hash_deviceid: Option<&'a str>,
    startdate: i64,
    enddate: i64,
    date: Date,
    data: BTreeMap<&'a str, &'a Figure>,
    created: i64,
    modified: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed: Option<bool>,
}

fn summaries(account: &Account, call: &Call, visible: &Visible, size: usize) -> Result<Answer, Refusal> {
    let asked = Asked::of(call)?;
    // The day of a night is the one it ends on.
    let day = |night: &Night| local_date(night.enddate, &night.timezone);
    let mut nights: Vec<&Night> =
        account.life.nights.values().filter(|n| asked.wants(day(n), n.modified)).collect();
    nights.sort_by_key(|night| (night.enddate, night.id));
    // A page has a few rows less than the offset goes forward, as if some were there and not shown.
    let shown = if size > 100 { size - 2 } else { size.saturating_sub(1).max(1) };
    let slots: Vec<Option<&Night>> = nights
        .chunks(shown)
        .flat_map(|page| page.iter().copied().map(Some).chain(std::iter::repeat(None)).take(size))
        .collect();
    let (page, more, offset) = page(&slots, call, size)?;
    let series = page.iter().flatten().map(|night| SummaryRow {
        id: night.id,
        timezone: &night.timezone,
        model: source(night.modelid),
        model_id: night.modelid,
        hash_deviceid: account.device(night.modelid),
        startdate: night.startdate,
        enddate: night.enddate,
        date: day(night),
        data: visible.figures(&night.data),
        created: night.created,
        modified: night.modified,
        completed: night.completed,
    });
    Answer::json(&Summaries { series: series.collect(), more, offset: if more { offset } else { 0 } })
}

#[derive(Serialize)]
struct Details<'a> {
    series: Vec<StageRow<'a>>,
    model: i64,
}

#[derive(Serialize)]
struct StageRow<'a> {
    startdate: i64,
    enddate: i64,
    state: i64,
    model: &'static str,
    model_id: i64,
    hash_deviceid: Option<&'a str>,
    /// By name, then by second, which is text here.
    #[serde(flatten)]
    series: BTreeMap<&'a str, BTreeMap<String, i64>>,
}

fn details(account: &Account, call: &Call, visible: &Visible) -> Result<Answer, Refusal> {
    let (from, to) = match (call.number("startdate")?, call.number("enddate")?) {
        (Some(from), Some(to)) if from <= to => (from, to.min(from.saturating_add(LONGEST))),
        _ => return Err(Refusal::INVALID),
    };
    let mut nights =
        account.life.nights.values().filter(|night| night.startdate <= to && night.enddate >= from);
    let mut rows: Vec<StageRow<'_>> = nights
        .clone()
        .flat_map(|night| night.stages.iter().map(move |stage| (night, stage)))
        .filter_map(|(night, stage)| stage_row(account, night, stage, visible, from, to))
        .collect();
    rows.sort_by_key(|row| disorder(row.startdate + row.model_id));
    let model = nights.next_back().map_or(32, |night| source(night.modelid));
    Answer::json(&Details { series: rows, model })
}

/// A stage that reaches over a bound is cut there: that is documented nowhere, and what would hurt most.
fn stage_row<'a>(
    account: &'a Account,
    night: &Night,
    stage: &'a Stage,
    visible: &Visible,
    from: i64,
    to: i64,
) -> Option<StageRow<'a>> {
    let (startdate, enddate) = (stage.startdate.max(from), stage.enddate.min(to));
    let series = stage.series.iter().filter(|(name, _)| visible.sees(name)).map(|(name, samples)| {
        let inside = samples.iter().filter(|(at, _)| (from..=to).contains(at));
        (name.as_str(), inside.map(|(at, value)| (at.to_string(), *value)).collect())
    });
    (startdate < enddate).then(|| StageRow {
        startdate,
        enddate,
        state: stage.state,
        model: model_name(night.modelid),
        model_id: night.modelid,
        hash_deviceid: account.device(night.modelid),
        series: series.collect(),
    })
}
