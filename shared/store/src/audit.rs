//! The audit log: who did what to which link or configuration, each entry chained to the one before it.
//!
//! An entry's hash is SHA-256 over the one before it and all of its own fields, so that an entry that was changed, taken
//! out, put in or moved leaves a place where the chain does not hold. The newest entry is also noted apart (the head): cutting
//! entries off the end leaves it standing. No key is in it, so that anybody can check a copy. Who can write all tables can
//! write a new chain; against that, keep a head elsewhere now and then (`ohx audit verify` prints it), and have it checked.

use async_trait::async_trait;
use ohx_domain::Instant;
use sha2::{Digest as _, Sha256};

use crate::Result;

/// What the first entry has in the place of the one before it.
pub const BEGINNING: [u8; 32] = [0; 32];

/// What is put before the fields of an entry: a later form is told by another one.
const FORM: &[u8] = b"ohx-audit-1\0";

/// What is to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAudit {
    /// Who: such as `key:<id>`, `operator`, `oidc:<subject>`, `patient`, `cli:<user>`.
    pub actor: String,
    /// What was done: such as `link.create`.
    pub action: String,
    /// To what: such as `link:<id>`.
    pub subject: String,
    /// More, as a JSON object of names and counts; never a health value, a secret, or who the patient is.
    pub detail: String,
}

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its number; the first is 1, and none is left out.
    pub seq: i64,
    /// When.
    pub at: Instant,
    /// Who did what to what.
    pub what: NewAudit,
    /// The hash of the entry before it.
    pub previous: [u8; 32],
    /// Its own.
    pub hash: [u8; 32],
}

impl AuditEntry {
    /// The entry that follows the one with the hash `previous`.
    pub fn following(previous: [u8; 32], seq: i64, what: NewAudit, at: Instant) -> Self {
        let mut entry = Self { seq, at, what, previous, hash: BEGINNING };
        entry.hash = entry.digest();
        entry
    }

    /// The hash that its fields have.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(FORM);
        hash.update(self.previous);
        hash.update(self.seq.to_be_bytes());
        hash.update(self.at.as_microsecond().to_be_bytes());
        // With its length before each text, so that nothing can be moved from one into the next.
        for text in [&self.what.actor, &self.what.action, &self.what.subject, &self.what.detail] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        hash.finalize().into()
    }
}

/// The newest entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditHead {
    /// Its number; 0 where there is none.
    pub seq: i64,
    /// Its hash.
    pub hash: [u8; 32],
}

impl AuditHead {
    /// Before the first entry.
    pub const NONE: Self = Self { seq: 0, hash: BEGINNING };
}

/// Which entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only before this number.
    pub before: Option<i64>,
    /// Only of this actor.
    pub actor: Option<String>,
    /// Only about this subject.
    pub subject: Option<String>,
    /// At most so many, 1 to 1000.
    pub limit: u32,
}

/// The audit log.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Notes something. Whoever else does so at the same moment comes before or after: there is one chain.
    async fn append_audit(&self, new: &NewAudit, at: Instant) -> Result<AuditEntry>;

    /// Entries, newest first.
    async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>>;

    /// The entries after a number, oldest first, at most `limit` (1 to 1000).
    async fn audit_after(&self, seq: i64, limit: u32) -> Result<Vec<AuditEntry>>;

    /// The newest entry, as it was noted apart.
    async fn audit_head(&self) -> Result<AuditHead>;
}

/// Where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditBreak {
    /// Entries are not there.
    #[error("entry {seq} is missing: the next one there is {found}")]
    Missing {
        /// The first that is missing.
        seq: i64,
        /// What is there in its place.
        found: i64,
    },
    /// An entry's fields do not have the hash that it bears.
    #[error("entry {0} was altered: its fields do not have its hash")]
    Altered(i64),
    /// An entry does not continue the one before it.
    #[error("entry {0} does not continue the one before it")]
    Unlinked(i64),
    /// The log ends before the entry that was the newest.
    #[error("the log ends with entry {last}, but entry {head} was written")]
    CutOff {
        /// The last that is there.
        last: i64,
        /// The newest that was written.
        head: i64,
    },
    /// The last entry is not the one that was noted as the newest.
    #[error("entry {0} is not the one that was noted as the newest")]
    NotTheHead(i64),
    /// An entry is not the one that was kept elsewhere.
    #[error("entry {0} is not the one that was kept elsewhere: the log was written anew")]
    NotTheKept(i64),
}

/// Walks the chain from the first entry to the newest, and past `kept`, a head from earlier that was kept elsewhere. The inner
/// result says where it breaks.
///
/// # Errors
/// [`crate::StoreError`], where the log cannot be read.
pub async fn verify_audit<A: Audit + ?Sized>(
    store: &A,
    kept: Option<AuditHead>,
) -> Result<std::result::Result<AuditHead, AuditBreak>> {
    let mut last = AuditHead::NONE;
    loop {
        let page = store.audit_after(last.seq, 1000).await?;
        let Some(newest) = page.last().map(|entry| entry.seq) else { break };
        for entry in page {
            if entry.seq != last.seq + 1 {
                return Ok(Err(AuditBreak::Missing { seq: last.seq + 1, found: entry.seq }));
            }
            if entry.digest() != entry.hash {
                return Ok(Err(AuditBreak::Altered(entry.seq)));
            }
            if entry.previous != last.hash {
                return Ok(Err(AuditBreak::Unlinked(entry.seq)));
            }
            last = AuditHead { seq: entry.seq, hash: entry.hash };
            if kept.is_some_and(|kept| kept.seq == last.seq && kept.hash != last.hash) {
                return Ok(Err(AuditBreak::NotTheKept(last.seq)));
            }
        }
        // What is written meanwhile moves the head: it is looked at once nothing more is there.
        if newest == store.audit_head().await?.seq {
            break;
        }
    }
    let head = store.audit_head().await?;
    let written = head.seq.max(kept.map_or(0, |kept| kept.seq));
    Ok(match () {
        () if written > last.seq => Err(AuditBreak::CutOff { last: last.seq, head: written }),
        () if head != last => Err(AuditBreak::NotTheHead(last.seq)),
        () => Ok(last),
    })
}
