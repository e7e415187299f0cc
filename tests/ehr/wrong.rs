//! What the servers do otherwise than FHIR says, or than a careful server would. Every entry is expected by a test: one that
//! a newer version of a server has put right fails there, and is taken out.

/// Something that a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// Trailing zeros of a decimal are lost, and digits beyond a binary float's.
    Digits,
    /// A PUT that creates is answered 200, so that it is taken for an update.
    PutCreatesWith200,
    /// A transaction keeps what came before the entry that failed.
    TransactionKeepsSome,
    /// A search sends as many as it is asked for.
    NoPages,
}

/// Server, what it does, why.
pub(crate) const TABLE: &[(&str, Wrong, &str)] = &[
    (
        "sandbox",
        Wrong::NoPages,
        "it has pages of up to 1,000; shared/fhir tests pages with a server of its own",
    ),
    ("medplum", Wrong::Digits, "it holds resources as JavaScript objects"),
    ("medplum", Wrong::PutCreatesWith200, "its router says 200 to every update, also to one that creates"),
    ("medplum", Wrong::TransactionKeepsSome, "its repository in memory has no transactions"),
];
