//! The patient's trackers, watches and scales.

use ohx_domain::Instant;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::call::{Caller, malformed};
use crate::loose::Number;
use crate::wire::{object, position};
use crate::{PairedDevice, ProviderError};

const CALL: &str = "pairedDevices";
/// Nobody has more pages of a hundred devices.
const MAX_PAGES: usize = 20;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed<'a> {
    #[serde(borrow, default)]
    paired_devices: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    next_page_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    name: String,
    device_type: Option<String>,
    device_version: Option<String>,
    battery_level: Option<Number>,
    battery_status: Option<String>,
    last_sync_time: Option<String>,
}

/// All of them. One that cannot be read is left out.
pub(super) async fn list(caller: &Caller<'_>) -> Result<Vec<PairedDevice>, ProviderError> {
    let (mut devices, mut token) = (Vec::new(), None::<String>);
    for _ in 0..MAX_PAGES {
        let mut query = vec![("pageSize", "100".to_owned())];
        query.extend(token.iter().map(|token| ("pageToken", token.clone())));
        let answer = caller.get("pairedDevices", &query, CALL).await?;
        let listed: Listed<'_> = object(&answer.body).map_err(|problem| malformed(CALL, problem))?;
        for raw in listed.paired_devices.unwrap_or_default() {
            match serde_json::from_str::<Device>(raw.get()) {
                Ok(device) => devices.push(device.into()),
                Err(error) => tracing::warn!(problem = position(&error), "a paired device cannot be read"),
            }
        }
        let next = listed.next_page_token.filter(|next| !next.is_empty());
        if next.is_none() {
            return Ok(devices);
        }
        if next == token {
            break;
        }
        token = next;
    }
    Err(malformed(CALL, "its pages do not end"))
}

impl From<Device> for PairedDevice {
    fn from(device: Device) -> Self {
        let id = device.name.rsplit('/').next().unwrap_or_default().to_owned();
        Self {
            id,
            // A reading names its source by the product only.
            reading_id: device.device_version.clone(),
            kind: device.device_type,
            battery: device.battery_status.filter(|_| device.battery_level.is_none()),
            model: device.device_version,
            battery_percent: device
                .battery_level
                .and_then(|level| u8::try_from(level.0).ok())
                .filter(|percent| *percent <= 100),
            last_sync: device.last_sync_time.and_then(|time| time.parse::<Instant>().ok()),
            ..Self::default()
        }
    }
}
