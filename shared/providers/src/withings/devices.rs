//! The patient's devices: `getdevice`. Needs the scope `user.info`.

use ohx_domain::Instant;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Caller, malformed};
use crate::loose::{Number, Text};
use crate::wire::{object, position};
use crate::{PairedDevice, ProviderError};

const CALL: &str = "user getdevice";

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow, default)]
    devices: Option<Vec<&'a RawValue>>,
}

/// `mac_address` and `network` are there for some partners and are not read: nothing at the EHR needs them.
#[derive(Deserialize)]
struct Device {
    deviceid: Option<Text>,
    hash_deviceid: Option<Text>,
    #[serde(rename = "type")]
    kind: Option<String>,
    model: Option<String>,
    model_id: Option<Number>,
    battery: Option<String>,
    fw: Option<Text>,
    last_session_date: Option<Number>,
}

/// All of them. One that cannot be read, or has no id, is left out.
pub(super) async fn list(caller: &Caller<'_>) -> Result<Vec<PairedDevice>, ProviderError> {
    let answer = caller.post("v2/user", &[("action", "getdevice")], CALL).await?;
    // An empty body is an empty array.
    let Some(body) = answer.success(CALL)?.map(RawValue::get).filter(|body| body.starts_with('{')) else {
        return Ok(Vec::new());
    };
    let listed: Listed<'_> = object(body.as_bytes()).map_err(|problem| malformed(CALL, problem))?;
    let read = |raw: &RawValue| match serde_json::from_str::<Device>(raw.get()) {
        Ok(device) => paired(device),
        Err(error) => {
            tracing::warn!(problem = position(&error), "a device cannot be read");
            None
        }
    };
    Ok(listed.devices.unwrap_or_default().into_iter().filter_map(read).collect())
}

/// The battery is one of `high` (over 75 %), `medium` (over 30 %), `low`, `unknown`: no number.
fn paired(device: Device) -> Option<PairedDevice> {
    let some = |text: String| Some(text).filter(|text| !text.trim().is_empty());
    let id = device.deviceid.or(device.hash_deviceid).and_then(|id| some(id.0))?;
    Some(PairedDevice {
        id,
        kind: device.kind.and_then(some),
        model: device.model.and_then(some),
        model_id: device.model_id.map(|id| id.0.to_string()),
        firmware: device.fw.and_then(|version| some(version.0)),
        battery: device.battery.and_then(some).filter(|word| word != "unknown"),
        last_sync: device.last_session_date.and_then(|second| Instant::from_second(second.0).ok()),
        ..PairedDevice::default()
    })
}
