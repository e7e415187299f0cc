//! `ohx serve`: the whole exchange in one process, for real.

use std::time::Duration;

use clap::Args;
use jiff::civil::Time;
use ohx_domain::{Clock as _, Instant, LinkId, SystemClock};
use ohx_events::{Envelope, Priority, types};
use ohx_link::Links;
use ohx_runtime::settings::SettingError;
use ohx_runtime::{Settings, shutdown_signal};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::host::{Host, stopped};

/// Runs every function in one process. Settings are environment variables; .env.example lists them.
#[derive(Args)]
pub(crate) struct Serve {
    /// Listens on every interface instead of this machine only
    #[arg(long)]
    public: bool,
}

impl Serve {
    pub(crate) async fn run(&self, settings: Settings) -> anyhow::Result<()> {
        let settings = settings.or("DATABASE_URL", "sqlite://ohx.db?mode=rwc");
        let port = settings.parsed::<u16>("PORT", "a port number, such as 8080")?.unwrap_or(8080);
        let nightly_at = nightly_at(&settings)?;
        let settings = settings.or("OHX_API_URL", format!("http://127.0.0.1:{port}"));
        let host = Host::build(&settings).await?;
        let address = if self.public { "0.0.0.0" } else { "127.0.0.1" };
        let listener = TcpListener::bind((address, port))
            .await
            .map_err(|e| anyhow::anyhow!("PORT {port} cannot be listened on: {e}"))?;
        tracing::info!(address, port, "ready");
        let (stop, stopping) = watch::channel(false);
        let links = host.links.clone();
        let store = links.parts().store.clone();
        let running = tokio::spawn(host.run(listener, stopping.clone()));
        let timer = tokio::spawn(keep_time(links, nightly_at, stopping));
        shutdown_signal().await;
        tracing::info!("stopping: finishing what is in hand");
        stop.send_replace(true);
        running.await??;
        timer.await?;
        store.close().await;
        tracing::info!("stopped");
        Ok(())
    }
}

fn nightly_at(settings: &Settings) -> Result<Time, SettingError> {
    let text = settings.text("OHX_NIGHTLY_AT").unwrap_or("02:30");
    let expected = "the UTC time of the nightly run, such as 02:30".to_owned();
    let wrong = |_| SettingError::Wrong { name: "OHX_NIGHTLY_AT", expected, shown: Some(text.into()) };
    Time::strptime("%H:%M", text).map_err(wrong)
}

/// First what a former process left unfinished, then the nightly run once a day.
async fn keep_time(links: Links, at: Time, stopping: watch::Receiver<bool>) {
    // The database may be a moment behind us at start.
    while let Err(error) =
        ohx_nightly::resume(&links).await.map(|resumed| tracing::info!(resumed, "unfinished requests"))
    {
        tracing::warn!(error = %error, "unfinished requests cannot be resumed yet");
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            () = stopped(stopping.clone()) => return,
        }
    }
    loop {
        let wait = until_next(at, SystemClock.now());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = stopped(stopping.clone()) => return,
        }
        if let Err(error) = ping(&links).await {
            tracing::error!(error = %error, "the nightly run could not be started");
        }
    }
}

/// The event that Knative's PingSource would send.
async fn ping(links: &Links) -> anyhow::Result<()> {
    let now = links.parts().clock.now();
    let envelope = Envelope {
        id: format!("nightly.{}", now.as_second()),
        event_type: types::PING,
        source: "ohx",
        // A nightly run is about no link; the field only orders events of one link.
        link: LinkId::new(),
        sync: None,
        priority: Priority::Low,
        time: now,
        traceparent: None,
    };
    let event = envelope.plain(&serde_json::json!({}))?;
    Ok(links.parts().bus.publish(vec![event]).await?)
}

fn until_next(at: Time, now: Instant) -> Duration {
    let zoned = now.to_zoned(jiff::tz::TimeZone::UTC);
    let today = zoned.date().to_datetime(at);
    let next = if today > zoned.datetime() { today } else { today.saturating_add(jiff::Span::new().days(1)) };
    let seconds = next
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_or(86_400, |z| z.timestamp().as_second() - now.as_second());
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_night_is_later_today_or_tomorrow() {
        let at = jiff::civil::time(2, 30, 0, 0);
        let wait = |now: &str| until_next(at, now.parse().unwrap()).as_secs();
        assert_eq!(wait("2026-11-21T02:00:00Z"), 30 * 60);
        assert_eq!(wait("2026-11-21T02:30:00Z"), 24 * 3600);
        assert_eq!(wait("2026-12-31T03:30:00Z"), 23 * 3600);
    }
}
