//! `heart list` and `heart get`.

use serde::Serialize;

use super::Simulator;
use super::activity::page;
use super::data::Account;
use super::life::{CUFF, Ecg};
use super::wire::{Answer, Call, Refusal};

/// `POST /v2/heart`.
pub(super) fn heart(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let caller = sim.authenticate(call)?;
    if !["list", "get"].contains(&action) {
        return Err(Refusal::NOT_IMPLEMENTED);
    }
    caller.needs("user.metrics")?;
    let size = sim.0.config.page_size;
    let state = sim.state();
    let account = state.persons.get(&caller.person).ok_or(Refusal::UNAUTHORIZED)?;
    if action == "list" { list(account, call, size) } else { get(account, call) }
}

#[derive(Serialize)]
struct List<'a> {
    series: Vec<Entry<'a>>,
    more: bool,
    offset: usize,
}

#[derive(Serialize)]
struct Entry<'a> {
    deviceid: Option<&'a str>,
    model: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    ecg: Option<Class>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bloodpressure: Option<Pressure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stetho: Option<Stetho>,
    heart_rate: i64,
    modified: i64,
    timestamp: i64,
}

#[derive(Serialize)]
struct Class {
    signalid: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    afib: Option<i64>,
}

#[derive(Serialize)]
struct Pressure {
    diastole: i64,
    systole: i64,
}

#[derive(Serialize)]
struct Stetho {
    signalid: i64,
    vhd: i64,
}

fn list(account: &Account, call: &Call, size: usize) -> Result<Answer, Refusal> {
    let (from, to) = (call.number("startdate")?, call.number("enddate")?);
    let wanted =
        |ecg: &&Ecg| from.is_none_or(|from| ecg.timestamp >= from) && to.is_none_or(|to| ecg.timestamp <= to);
    let mut found: Vec<&Ecg> = account.life.ecgs.values().filter(wanted).collect();
    found.sort_by_key(|ecg| std::cmp::Reverse((ecg.timestamp, ecg.signalid)));
    let (page, more, offset) = page(&found, call, size)?;
    let series = page.iter().map(|ecg| Entry {
        deviceid: account.device(ecg.modelid),
        model: ecg.modelid,
        ecg: (!ecg.signal.is_empty())
            .then(|| Class { signalid: ecg.signalid, afib: (!account.life.basic).then_some(ecg.afib) }),
        bloodpressure: ecg.bloodpressure.map(|(systole, diastole)| Pressure { diastole, systole }),
        stetho: (ecg.modelid == CUFF).then_some(Stetho { signalid: ecg.signalid + 1_000_000, vhd: 0 }),
        heart_rate: ecg.heart_rate,
        modified: ecg.modified,
        timestamp: ecg.timestamp,
    });
    Answer::json(&List { series: series.collect(), more, offset: if more { offset } else { 0 } })
}

#[derive(Serialize)]
struct Signal<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<&'a [i32]>,
    sampling_frequency: i64,
    wearposition: i64,
    model: i64,
    heart_rate: i64,
}

fn get(account: &Account, call: &Call) -> Result<Answer, Refusal> {
    let id = call.number("signalid")?.ok_or(Refusal::INVALID)?;
    let ecg = account.life.ecgs.get(&id).filter(|ecg| !ecg.signal.is_empty()).ok_or(Refusal::INVALID)?;
    Answer::json(&Signal {
        // What the plan does not include is absent, without an error.
        signal: (!account.life.basic).then_some(ecg.signal.as_slice()),
        sampling_frequency: ecg.sampling_frequency,
        wearposition: ecg.wearposition,
        model: ecg.modelid,
        heart_rate: ecg.heart_rate,
    })
}
