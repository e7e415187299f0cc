//! What is known of a link's devices: the provider's list, and what readings said.

use ohx_events::plain::SeenDevice;
use ohx_fhir::device::Facts;
use ohx_providers::PairedDevice;

/// A device, and how well it is known.
pub(crate) type Known<'a> = Facts<'a>;

/// Every device once. Two of the same product that readings cannot tell apart are one: the one that spoke last.
pub(crate) fn all<'a>(listed: &'a [PairedDevice], seen: &'a [SeenDevice]) -> Vec<Known<'a>> {
    let mut newest: Vec<&PairedDevice> = listed.iter().collect();
    newest.sort_by_key(|device| std::cmp::Reverse(device.last_sync));
    let from_list = newest.into_iter().map(|device| Facts {
        id: device.reading_id.as_deref().unwrap_or(&device.id),
        model: device.model.as_deref(),
        model_id: device.model_id.as_deref(),
        kind: device.kind.as_deref(),
        record: None,
        firmware: device.firmware.as_deref(),
        battery_percent: device.battery_percent,
        battery: device.battery.as_deref(),
    });
    let from_readings = seen.iter().map(|device| Facts {
        id: &device.id,
        model: device.model.as_deref(),
        model_id: device.model_id.as_deref(),
        record: Some(device.record.as_str()),
        ..Facts::default()
    });
    let mut known: Vec<Known<'a>> = Vec::new();
    for device in from_list.chain(from_readings) {
        let usable = !device.id.trim().is_empty() && !device.id.contains(char::is_control);
        if usable && known.iter().all(|other| other.id != device.id) {
            known.push(device);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_device_is_there_once_and_its_list_knows_best() {
        let at = |second| ohx_domain::Instant::from_second(second).ok();
        let band = |id: &str, last_sync| PairedDevice {
            id: id.into(),
            reading_id: Some("Charge 6".into()),
            kind: Some("TRACKER".into()),
            model: Some("Charge 6".into()),
            battery_percent: Some(84),
            last_sync,
            ..PairedDevice::default()
        };
        let listed = [band("1", at(5)), PairedDevice { battery_percent: Some(1), ..band("2", at(9)) }];
        let seen = |id: &str, record: &str| SeenDevice {
            id: id.into(),
            model: Some(id.into()),
            model_id: None,
            record: record.parse().unwrap(),
        };
        let seen = [
            seen("Charge 6", "steps"),
            seen("Aria Air", "weight"),
            seen("Aria Air", "body-fat"),
            seen(" ", "steps"),
        ];
        let known = all(&listed, &seen);
        let short: Vec<_> = known.iter().map(|d| (d.id, d.kind, d.record, d.battery_percent)).collect();
        assert_eq!(
            short,
            [("Charge 6", Some("TRACKER"), None, Some(1)), ("Aria Air", None, Some("weight"), None)]
        );
    }
}
