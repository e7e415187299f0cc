//! Asking for a link's devices to be looked at, and telling that a link has ended.

use std::time::Duration;

use ohx_domain::{Link, LinkId, Record, SyncId, content_digest};
use ohx_events::plain::{DevicesReason, DevicesRequested, LinkDisconnected, SeenDevice};
use ohx_events::sealed::MappedResource;
use ohx_events::{Envelope, Priority, types};
use ohx_runtime::trace::traceparent;
use serde::Deserialize;

use crate::{Links, OpenLink, Result};

/// A device that was looked at is looked at again when a reading names it after so long.
const EVERY: Duration = Duration::from_secs(24 * 3600);

/// What a Device says of itself that a look at it can use.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    display_name: Option<String>,
    model_number: Option<String>,
}

/// The lease that keeps a device from being looked at more than once a day. It holds a digest of the device's id.
fn lease(link: LinkId, device: &str) -> String {
    format!("device:{link}:{}", content_digest(&[device.as_bytes()]))
}

impl Links {
    /// Asks for a link's devices to be looked at; gives the sync that it belongs to.
    ///
    /// # Errors
    /// [`crate::LinkError::Bus`], [`crate::LinkError::Event`].
    pub async fn request_devices(
        &self,
        link: &Link,
        reason: DevicesReason,
        seen: Vec<SeenDevice>,
        sync: SyncId,
        source: &'static str,
    ) -> Result<()> {
        let now = self.parts.clock.now();
        let envelope = Envelope {
            id: format!("{sync}.{}.devices.{}", link.id, now.as_microsecond()),
            event_type: types::DEVICES_REQUESTED,
            source,
            link: link.id,
            sync: Some(sync),
            priority: match reason {
                DevicesReason::Manual => Priority::High,
                DevicesReason::Reading => Priority::Low,
            },
            time: now,
            traceparent: traceparent(),
        };
        let data = DevicesRequested { provider: link.provider.clone(), reason, seen };
        self.parts.bus.publish(vec![envelope.plain(&data)?]).await?;
        Ok(())
    }

    /// Asks for the devices of readings that are at the EHR now, unless each was looked at within a day. That costs one
    /// statement a device, and the EHR and the provider nothing. The readings are done: what fails here is told and comes up
    /// again with the next reading.
    pub async fn devices_of_readings(
        &self,
        open: &OpenLink,
        record: &Record,
        devices: &[MappedResource],
        sync: Option<SyncId>,
        source: &'static str,
    ) {
        let mut seen = Vec::new();
        for device in devices {
            // `<account pseudonym>.<id>`; the pseudonym has no dot.
            let Some((_, id)) = device.identifier.value.split_once('.') else { continue };
            if !self.first_today(open.link.id, id).await {
                continue;
            }
            let said: Option<Said> = serde_json::from_str(device.resource.get()).ok();
            let (model, model_id) =
                said.map(|said| (said.display_name, said.model_number)).unwrap_or_default();
            seen.push(SeenDevice { id: id.to_owned(), model, model_id, record: record.clone() });
        }
        if seen.is_empty() {
            return;
        }
        let sync = sync.unwrap_or_default();
        if let Err(error) = self.request_devices(&open.link, DevicesReason::Reading, seen, sync, source).await
        {
            tracing::warn!(link = %open.link.id, %error, "the devices are not looked at today");
        }
    }

    /// Notes that a device is being looked at; `false` where it was within a day.
    pub async fn first_today(&self, link: LinkId, device: &str) -> bool {
        let (name, holder) = (lease(link, device), SyncId::new().to_string());
        match self.parts.store.acquire_lease(&name, &holder, EVERY, self.parts.clock.now()).await {
            Ok(first) => first,
            Err(error) => {
                tracing::warn!(%link, %error, "whether a device was looked at today is not known");
                false
            }
        }
    }

    /// Tells that a link has ended.
    pub(crate) async fn announce_end(&self, link: &Link) -> Result<()> {
        let now = self.parts.clock.now();
        let envelope = Envelope {
            id: format!("{}.disconnected.{}", link.id, now.as_microsecond()),
            event_type: types::LINK_DISCONNECTED,
            source: "api",
            link: link.id,
            sync: None,
            priority: Priority::Normal,
            time: now,
            traceparent: traceparent(),
        };
        let event = envelope.plain(&LinkDisconnected { provider: link.provider.clone() })?;
        self.parts.bus.publish(vec![event]).await?;
        Ok(())
    }
}
