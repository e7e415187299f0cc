//! None kept: everything that rests or travels is sealed.
//!
//! Two layers. The [`Keyring`] comes from the environment and wraps each link's [`DataKey`]; a data key seals that
//! link's tokens and the payloads of its events. Destroying a link's wrapped data key makes its tokens, and whatever
//! of its readings is still queued, unreadable for ever.
//!
//! Everything is XChaCha20-Poly1305 (256-bit keys, random 192-bit nonces: no counter to keep across processes), with
//! associated data that says where the ciphertext belongs, so that it cannot be moved to another row or event.

mod keyring;
mod payload;

pub use keyring::{
    DataKey, Keyring, gateway_token, gateway_token_matches, generate_key, webhook_token,
    webhook_token_matches,
};
pub use payload::{MAX_OPENED, open_payload, seal_payload};

/// Why something could not be sealed or opened. Says nothing about the content.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    /// The keyring's text is malformed.
    #[error("a keyring is a comma-separated list of <id>:<32 bytes in base64>; {0}")]
    Keyring(String),
    /// The value was sealed under a key that the keyring does not hold.
    #[error("sealed under key {0:?}, which is not in the keyring: add it back, or connect the link again")]
    UnknownKey(String),
    /// Altered, truncated, or sealed for another link, event or row.
    #[error("the sealed value does not open: it was altered, or belongs to another link, event or row")]
    Refused,
    /// The opened payload is larger than any payload of ours.
    #[error("the sealed payload is larger than {MAX_OPENED} bytes")]
    TooLarge,
}

/// Associated data from several fields, each with its length before it, so that fields cannot run into each other.
fn associated(fields: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in fields {
        bytes.extend_from_slice(&(field.len() as u64).to_be_bytes());
        bytes.extend_from_slice(field.as_bytes());
    }
    bytes
}
