//! Sealed event payloads: zstd, then the link's data key.

use crate::{DataKey, SealError};

/// The largest payload that is opened, in bytes. Events are cut at 200 KiB sealed; zstd makes at most about a
/// hundredfold of JSON, so anything larger is not ours.
pub const MAX_OPENED: usize = 32 * 1024 * 1024;

/// Fast, and already within a few percent of what JSON readings give at higher levels.
const LEVEL: i32 = 3;

/// Compresses and seals a payload for exactly one event.
///
/// # Errors
/// [`SealError::TooLarge`] where the payload is over [`MAX_OPENED`].
pub fn seal_payload(
    key: &DataKey,
    id: &str,
    kind: &str,
    subject: &str,
    plain: &[u8],
) -> Result<Vec<u8>, SealError> {
    if plain.len() > MAX_OPENED {
        return Err(SealError::TooLarge);
    }
    let packed = zstd::bulk::compress(plain, LEVEL).map_err(|_| SealError::Refused)?;
    key.seal(&["event", id, kind, subject], &packed)
}

/// Opens what [`seal_payload`] made for the same event id, type and subject.
///
/// # Errors
/// [`SealError::Refused`] where it belongs to another event or link or was altered, [`SealError::TooLarge`].
pub fn open_payload(
    key: &DataKey,
    id: &str,
    kind: &str,
    subject: &str,
    sealed: &[u8],
) -> Result<Vec<u8>, SealError> {
    let packed = key.open(&["event", id, kind, subject], sealed)?;
    zstd::bulk::decompress(&packed, MAX_OPENED).map_err(|_| SealError::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::{Keyring, generate_key};

    fn key() -> DataKey {
        let ring = Keyring::parse(&format!("k:{}", generate_key().expose_secret()).into()).unwrap();
        ring.new_data_key("l").unwrap().0
    }

    proptest! {
        #[test]
        fn opens_for_its_own_event_only(plain in prop::collection::vec(any::<u8>(), 0..2000)) {
            let (mine, other) = (key(), key());
            let sealed = seal_payload(&mine, "e1", "t", "s", &plain).unwrap();
            prop_assert_eq!(open_payload(&mine, "e1", "t", "s", &sealed).unwrap(), plain);
            prop_assert!(open_payload(&mine, "e2", "t", "s", &sealed).is_err());
            prop_assert!(open_payload(&mine, "e1", "u", "s", &sealed).is_err());
            prop_assert!(open_payload(&mine, "e1", "t", "x", &sealed).is_err());
            prop_assert!(open_payload(&other, "e1", "t", "s", &sealed).is_err());
        }
    }
}
