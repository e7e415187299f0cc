//! `ohx audit`: who did what, and whether anybody has touched the log since.

use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use data_encoding::HEXLOWER;
use ohx_runtime::Settings;
use ohx_store::{AuditFilter, AuditHead, verify_audit};

use crate::put;

/// The audit log, straight from the database.
#[derive(Subcommand)]
pub(crate) enum Audit {
    /// Lists entries, newest first
    List(List),
    /// Walks the chain from the first entry to the newest; exit 1 and a line that says where, if it breaks
    Verify {
        /// A head that an earlier verify printed, kept elsewhere: it has to be in the chain still
        #[arg(long, value_name = "SEQ:HASH")]
        kept: Option<Kept>,
    },
}

#[derive(Args)]
pub(crate) struct List {
    /// Only of this actor, such as key:<id>, operator, patient, cli:<user>
    #[arg(long)]
    actor: Option<String>,
    /// Only about this, such as link:<id>, provider:<name>
    #[arg(long)]
    subject: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// A head, as verify prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept(AuditHead);

impl FromStr for Kept {
    type Err = &'static str;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (seq, hash) = text.split_once(':')?;
            let hash = HEXLOWER.decode(hash.to_ascii_lowercase().as_bytes()).ok()?.try_into().ok()?;
            Some(Self(AuditHead { seq: seq.parse().ok().filter(|seq| *seq > 0)?, hash }))
        };
        read().ok_or("a head is a number, a colon and 64 hexadecimal digits, as ohx audit verify prints it")
    }
}

impl Audit {
    pub(crate) async fn run(&self, settings: &Settings) -> anyhow::Result<ExitCode> {
        let store = crate::store::open(settings).await?;
        match self {
            Self::List(List { actor, subject, limit }) => {
                let filter = AuditFilter {
                    before: None,
                    actor: actor.clone(),
                    subject: subject.clone(),
                    limit: (*limit).clamp(1, 1000),
                };
                for entry in store.audit_entries(&filter).await? {
                    let what = &entry.what;
                    put(&format!(
                        "{}  {}  {}  {}  {}  {}\n",
                        entry.seq, entry.at, what.actor, what.action, what.subject, what.detail
                    ))?;
                }
                Ok(ExitCode::SUCCESS)
            }
            Self::Verify { kept } => {
                let found = verify_audit(&*store, kept.map(|Kept(head)| head)).await;
                match found.context("the audit log cannot be read")? {
                    Ok(head) => {
                        put(&format!("The audit log holds: {} entries.\n", head.seq))?;
                        if head.seq > 0 {
                            put(&format!("Keep elsewhere: {}:{}\n", head.seq, HEXLOWER.encode(&head.hash)))?;
                        }
                        Ok(ExitCode::SUCCESS)
                    }
                    Err(broken) => {
                        eprintln!("The audit log does not hold: {broken}.");
                        Ok(ExitCode::FAILURE)
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let hash = [7; 32];
        let text = format!("12:{}", HEXLOWER.encode(&hash));
        assert_eq!(text.parse(), Ok(Kept(AuditHead { seq: 12, hash })));
        for wrong in ["", "12", "0:07", "x:07", &text[..60], &text.replace("12:", "-1:")] {
            assert!(wrong.parse::<Kept>().is_err(), "{wrong}");
        }
    }
}
