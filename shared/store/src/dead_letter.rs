//! What could not be done: the envelope and the reason, never the payload.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use ohx_domain::{Instant, LetterId, LinkId, RequestId};

use crate::Result;

/// An event, or one resource of it, that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// What makes it the same letter when it comes again: an event id, or a resource's identifier.
    pub key: String,
    /// The CloudEvents type it came with.
    pub event_type: String,
    /// The function that could not do it.
    pub function: String,
    /// Whose it was, where that is known.
    pub link: Option<LinkId>,
    /// Which request it belonged to, where that is known.
    pub request: Option<RequestId>,
    /// What happened and what to do, for a person. Never a health value.
    pub reason: String,
    /// How often it has come.
    pub attempts: u32,
    /// When it last came.
    pub at: Instant,
}

/// A letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuriedLetter {
    /// Its id, which it keeps when it comes again.
    pub id: LetterId,
    /// The letter.
    pub letter: DeadLetter,
    /// The request that asks again for what it stood for, where somebody has replayed it since it last came.
    pub replay: Option<Replay>,
}

/// What was asked in a letter's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Replay {
    /// The request. When it is published, the letter goes.
    pub request: RequestId,
    /// When that was.
    pub at: Instant,
}

/// Where a page of letters ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LetterCursor {
    /// When the last letter of the page came.
    pub at: Instant,
    /// Its id.
    pub id: LetterId,
}

impl From<&BuriedLetter> for LetterCursor {
    fn from(buried: &BuriedLetter) -> Self {
        Self { at: buried.letter.at, id: buried.id }
    }
}

/// The microseconds since 1970, a dot, the id.
impl fmt::Display for LetterCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.at.as_microsecond(), self.id)
    }
}

/// A text that is no cursor.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a cursor must be what an earlier page gave as the next one")]
pub struct InvalidCursor;

impl FromStr for LetterCursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let (at, id) = text.split_once('.').ok_or(InvalidCursor)?;
        let at = at.parse().ok().and_then(|micros| Instant::from_microsecond(micros).ok());
        Ok(Self { at: at.ok_or(InvalidCursor)?, id: id.parse().map_err(|_| InvalidCursor)? })
    }
}

/// Which letters to list.
#[derive(Debug, Clone, Default)]
pub struct LetterFilter {
    /// Only of this link.
    pub link: Option<LinkId>,
    /// Only of this function.
    pub function: Option<String>,
    /// Only older ones than where that page ended.
    pub after: Option<LetterCursor>,
    /// At most so many.
    pub limit: u32,
}

/// The dead letters.
#[async_trait]
pub trait DeadLetters: Send + Sync {
    /// Keeps a letter. One with the same key and function replaces the earlier one, adds up the attempts, and is no longer
    /// replayed. A letter of a request that was made in place of an earlier event's letter takes that one's place.
    async fn bury(&self, letter: &DeadLetter) -> Result<()>;

    /// Letters, newest first.
    async fn letters(&self, filter: &LetterFilter) -> Result<Vec<BuriedLetter>>;

    /// One letter.
    async fn letter(&self, id: LetterId) -> Result<Option<BuriedLetter>>;

    /// Notes that a request asks again for what a letter stood for. From then on the letter goes when that request is
    /// published (at once where it is already), unless it comes again before. `false` where the letter is gone, or has come
    /// again since it was read.
    async fn note_replay(&self, read: &BuriedLetter, replay: Replay) -> Result<bool>;

    /// Forgets a letter without doing anything for it. `false` where there was none.
    async fn discard(&self, id: LetterId) -> Result<bool>;

    /// The latest letters, newest first, at most `limit`; only of one link where that is given.
    async fn dead_letters(&self, link: Option<LinkId>, limit: u32) -> Result<Vec<DeadLetter>> {
        let filter = LetterFilter { link, limit, ..LetterFilter::default() };
        Ok(self.letters(&filter).await?.into_iter().map(|buried| buried.letter).collect())
    }

    /// Forgets a letter, because what it stood for has been done. `false` where there was none. (The letters of events go by
    /// themselves when their request is published.)
    async fn unbury(&self, key: &str, function: &str) -> Result<bool>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_and_nothing_else_is() {
        for micros in [0, -1, 1_790_000_000_123_456] {
            let at = Instant::from_microsecond(micros).unwrap();
            let cursor = LetterCursor { at, id: LetterId::new() };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        let id = LetterId::new();
        for bad in [
            String::new(),
            "1".into(),
            id.to_string(),
            format!("x.{id}"),
            "1.x".into(),
            format!("{}.{id}", i64::MAX),
        ] {
            assert_eq!(bad.parse::<LetterCursor>(), Err(InvalidCursor), "{bad}");
        }
    }
}
