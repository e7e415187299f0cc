//! `ohx providers`.

use std::time::Duration;

use clap::Args;
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

impl Providers {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let adapters = ohx_providers::by_kind(&outbound::client(Duration::from_secs(10))?);
        let listed: Vec<Listed> = ohx_providers::KINDS
            .iter()
            .filter(|kind| self.kind.as_deref().is_none_or(|wanted| wanted == kind.name))
            .filter_map(|kind| catalogue::listed(kind, adapters.get(kind.name)?.as_ref()))
            .collect();
        if let (Some(wanted), true) = (&self.kind, listed.is_empty()) {
            let known: Vec<&str> = ohx_providers::KINDS.iter().map(|kind| kind.name).collect();
            anyhow::bail!("no type of provider is called {wanted:?}; there are {}", known.join(", "));
        }
        if self.json {
            println!("{}", serde_json::to_string_pretty(&listed)?);
            return Ok(());
        }
        listed.iter().for_each(show);
        Ok(())
    }
}

fn show(listed: &Listed) {
    println!("{}  {}", listed.kind, listed.title);
    let way = if listed.consent { "the patient consents in the browser" } else { "imported or pushed" };
    let push = if listed.push { "notifies of news" } else { "is polled" };
    println!("  {way}; {push}; {} requests a minute unless configured", listed.requests_per_minute);
    for record in &listed.records {
        let off = if record.by_default { "" } else { "  (only where records: names it)" };
        println!("  - {:<36} {}{off}", record.record.as_str(), record.scope);
    }
    for (what, named) in [("secret", &listed.secrets), ("option", &listed.options)] {
        for one in named {
            println!("  {what} {}: {}", one.name, one.about);
        }
    }
    println!();
}
