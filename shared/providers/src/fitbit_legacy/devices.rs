//! The patient's trackers and scales.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::KIND;
use super::call::Caller;
use super::cut::records;
use super::zone;
use crate::loose::{Number, Text};
use crate::wire::{malformed, position};
use crate::{PairedDevice, ProviderError};

const CALL: &str = "devices";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    id: Text,
    #[serde(rename = "type")]
    kind: Option<String>,
    device_version: Option<String>,
    battery_level: Option<Number>,
    battery: Option<String>,
    last_sync_time: Option<String>,
}

/// All of them. One that cannot be read is left out. When a device last spoke is local time: without the patient's zone
/// it is left out.
pub(super) async fn list(caller: &Caller<'_>) -> Result<Vec<PairedDevice>, ProviderError> {
    let zone = match caller.memory.of(caller.access_token, caller.now).zone {
        Some(zone) => zone,
        None => zone::ask(caller).await?,
    };
    let answer = caller.get("1/user/-/devices.json", &[], CALL).await?;
    let listed = records(&answer.body, None).map_err(|problem| malformed(KIND, CALL, problem))?;
    let read = |raw: &&RawValue| match serde_json::from_str::<Device>(raw.get()) {
        Ok(device) => Some(PairedDevice {
            id: device.id.0,
            // A reading names its device by the product only.
            reading_id: device.device_version.clone(),
            battery: device.battery.filter(|_| device.battery_level.is_none()),
            kind: device.kind,
            model: device.device_version,
            battery_percent: device
                .battery_level
                .and_then(|level| u8::try_from(level.0).ok())
                .filter(|percent| *percent <= 100),
            last_sync: device.last_sync_time.and_then(|local| zone.instant(&local)),
            ..PairedDevice::default()
        }),
        Err(error) => {
            tracing::warn!(problem = position(&error), "a device cannot be read");
            None
        }
    };
    Ok(listed.iter().filter_map(read).collect())
}
