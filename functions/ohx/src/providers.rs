//! `ohx providers`.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use ohx_domain::{Clock, SystemClock};
use ohx_providers::catalogue::{self, Listed};
use ohx_runtime::outbound;

/// Lists the types of provider: their records, capabilities and limits.
#[derive(Args)]
pub(crate) struct Providers {
    /// Only this type
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
    /// As JSON, as the API gives it
    #[arg(long)]
    json: bool,
}

/// The clock of adapters that are only asked what they can do.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock)
}

impl Providers {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let adapters = ohx_providers::by_kind(&outbound::client(Duration::from_secs(10))?, &clock());
        let listed: Vec<Listed> = ohx_providers::KINDS
            .iter()
            .filter(|kind| self.kind.as_deref().is_none_or(|wanted| wanted == kind.name))
            .filter_map(|kind| catalogue::listed(kind, adapters.get(kind.name)?.as_ref()))
            .collect();
        if let (Some(wanted), true) = (&self.kind, listed.is_empty()) {
            let known: Vec<&str> = ohx_providers::KINDS.iter().map(|kind| kind.name).collect();
            anyhow::bail!("no type of provider is called {wanted:?}; there are {}", known.join(", "));
        }
        let text = match self.json {
            true => serde_json::to_string_pretty(&listed)? + "\n",
            false => listed.iter().map(shown).collect(),
        };
        Ok(crate::put(&text)?)
    }
}

fn shown(listed: &Listed) -> String {
    let mut text = format!("{}  {}\n", listed.kind, listed.title);
    let mut line = |line: String| text.push_str(&(line + "\n"));
    line(match (listed.consent, listed.push) {
        (false, _) => "  nobody is asked: files are imported, and gateways push".to_owned(),
        (true, push) => format!(
            "  the patient consents in the browser; {}; {} requests a minute unless configured",
            if push { "notifies of news" } else { "is polled" },
            listed.requests_per_minute
        ),
    });
    for record in &listed.records {
        let off = if record.by_default { "" } else { "  (only where records: names it)" };
        let scope = record.scope.rsplit('/').next().unwrap_or_default();
        line(format!("  - {:<36} {scope}{off}", record.record.as_str()).trim_end().to_owned());
    }
    for (what, named) in [("secret", &listed.secrets), ("option", &listed.options)] {
        for one in named {
            line(format!("  {what} {}: {}", one.name, one.about));
        }
    }
    line(String::new());
    text
}
