//! `getmeas` and `getdevice`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::data::{Account, Device};
use super::wire::{Answer, Call, Refusal};
use super::{Group, Measure, Simulator, SimulatorError};
use crate::faults::take;

/// `POST /measure`.
pub(super) fn measure(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let caller = sim.authenticate(call)?;
    if action != "getmeas" {
        return Err(Refusal::NOT_IMPLEMENTED);
    }
    caller.needs("user.metrics")?;
    let wanted = Wanted::parse(call)?;
    let offset = call.number("offset")?.map_or(Ok(0), usize::try_from).map_err(|_| Refusal::INVALID)?;
    let now = sim.now().as_second();

    let mut state = sim.state();
    let account = state.persons.get(&caller.person).ok_or(Refusal::UNAUTHORIZED)?;
    let mut found: Vec<(&Group, Vec<&Measure>)> =
        account.groups.values().filter_map(|group| Some((group, wanted.rows(group)?))).collect();
    found.sort_by_key(|(group, _)| std::cmp::Reverse((group.content.date, group.grpid)));
    let end = offset.saturating_add(sim.0.config.page_size);
    let more = found.len() > end;
    let page = found.get(offset.min(found.len())..end.min(found.len())).unwrap_or_default();
    let ids: Vec<i64> = page.iter().map(|(group, _)| group.grpid).collect();
    let mut groups: Vec<Value> = page.iter().map(|(group, rows)| render(account, group, rows)).collect();
    let timezone = account.person.timezone.clone();

    if !groups.is_empty() && take(&mut state.faults.wrong_type) {
        let middle = groups.len() / 2;
        if let Some(value) = groups.get_mut(middle).and_then(|group| group.pointer_mut("/measures/0/value")) {
            *value = json!({ "unexpected": true });
            state.stats.corrupted_groups.extend(ids.get(middle));
        }
    }
    let mut body = json!({
        "updatetime": state.number_or_text(now),
        "timezone": timezone,
        "measuregrps": groups,
    });
    if more {
        body["more"] = json!(1);
        body["offset"] = json!(end);
    }
    if take(&mut state.faults.truncate) {
        let mut text = json!({ "status": 0, "body": body }).to_string();
        text.truncate(text.len() / 2);
        return Ok(Answer::Text(text));
    }
    Ok(Answer::Body(body))
}

/// What `getmeas` was asked for.
struct Wanted {
    category: Option<i64>,
    types: Option<BTreeSet<i64>>,
    from: Option<i64>,
    to: Option<i64>,
    since: Option<i64>,
}

impl Wanted {
    fn parse(call: &Call) -> Result<Self, Refusal> {
        let list = call.get("meastypes").or(call.get("meastype"));
        let types = list.map(|list| list.split(',').map(str::parse).collect::<Result<_, _>>()).transpose();
        let wanted = Self {
            category: call.number("category")?,
            types: types.map_err(|_| Refusal::INVALID)?,
            from: call.number("startdate")?,
            to: call.number("enddate")?,
            since: call.number("lastupdate")?,
        };
        // Documented as "not together"; which of them would win is not.
        let dates = wanted.from.is_some() || wanted.to.is_some();
        if wanted.since.is_some() && dates { Err(Refusal::INVALID) } else { Ok(wanted) }
    }

    /// The group's rows that are wanted; `None` where the group is not, or has no such row.
    fn rows<'a>(&self, group: &'a Group) -> Option<Vec<&'a Measure>> {
        let content = &group.content;
        let in_time = self.from.is_none_or(|from| content.date >= from)
            && self.to.is_none_or(|to| content.date <= to)
            && self.since.is_none_or(|since| group.modified >= since);
        let right_kind = self.category.is_none_or(|category| content.category == category);
        if !in_time || !right_kind {
            return None;
        }
        let wanted = |row: &&Measure| self.types.as_ref().is_none_or(|types| types.contains(&row.meastype));
        Some(content.measures.iter().filter(wanted).collect::<Vec<_>>()).filter(|rows| !rows.is_empty())
    }
}

/// A group as the wire has it. What varies does so by the group's id, so that an unchanged group always reads the same.
fn render(account: &Account, group: &Group, rows: &[&Measure]) -> Value {
    let content = &group.content;
    let device = account.devices.iter().find(|device| Some(device.modelid) == content.modelid);
    let deviceid = device.map(|device| device.deviceid.as_str());
    let measures: Vec<Value> = rows.iter().map(|row| render_row(row, group.grpid)).collect();
    let mut out = json!({
        "grpid": group.grpid,
        "attrib": content.attrib,
        "date": content.date,
        "created": group.created,
        "modified": group.modified,
        "category": content.category,
        "deviceid": deviceid,
        "hash_deviceid": deviceid,
        "measures": measures,
        "model": device.map(|device| device.model),
        "comment": null,
    });
    // The wire says `modelid`, the schema `model_id`; both number and text are seen.
    let name = if group.grpid % 5 == 0 { "model_id" } else { "modelid" };
    out[name] = match device.map(|device| device.modelid) {
        Some(id) if group.grpid % 7 == 0 => json!(id.to_string()),
        other => json!(other),
    };
    out
}

fn render_row(row: &Measure, grpid: i64) -> Value {
    let mut out = json!({ "value": row.value, "type": row.meastype, "unit": row.unit });
    if let Some(position) = row.position {
        out["position"] = json!(position);
    }
    // Deprecated, and undocumented: both are seen live.
    if grpid % 3 != 0 {
        out["algo"] = json!(218_235_904);
        out["fm"] = json!(3);
    }
    if grpid % 4 == 0 {
        out["apppfmid"] = json!(7);
        out["appliver"] = json!("7100501");
    }
    out
}

/// `POST /v2/user`.
pub(super) fn user(sim: &Simulator, action: &str, call: &Call) -> Result<Answer, Refusal> {
    let caller = sim.authenticate(call)?;
    if action != "getdevice" {
        return Err(Refusal::NOT_IMPLEMENTED);
    }
    caller.needs("user.info")?;
    let state = sim.state();
    let account = state.persons.get(&caller.person).ok_or(Refusal::UNAUTHORIZED)?;
    let devices: Vec<Value> = account.devices.iter().map(|device| render_device(account, device)).collect();
    Ok(Answer::Body(json!({ "devices": devices })))
}

fn render_device(account: &Account, device: &Device) -> Value {
    let dates = || {
        let own = account.groups.values().filter(|group| group.content.modelid == Some(device.modelid));
        own.map(|group| group.content.date)
    };
    json!({
        "type": device.kind,
        "battery": device.battery,
        "model": device.model,
        "model_id": device.modelid,
        "timezone": account.person.timezone,
        // The thermometer keeps no first session: null is as normal as a date.
        "first_session_date": dates().min().filter(|_| device.modelid != 70),
        "last_session_date": dates().max(),
        "deviceid": device.deviceid,
        "hash_deviceid": device.deviceid,
    })
}

impl Simulator {
    /// The id of a person's device of this model, as the API tells it. `None` where the person has no such device.
    ///
    /// # Errors
    /// [`SimulatorError::UnknownPerson`].
    pub fn device_id(&self, person: u64, modelid: i64) -> Result<Option<String>, SimulatorError> {
        let state = self.state();
        let account = state.persons.get(&person).ok_or(SimulatorError::UnknownPerson)?;
        Ok(account
            .devices
            .iter()
            .find(|device| device.modelid == modelid)
            .map(|device| device.deviceid.clone()))
    }
}
