//! One-time texts: 256 random bits in an address, of which the store keeps the SHA-256 only.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ohx_domain::LinkId;
use ohx_runtime::parts::Parts;
use ohx_store::{Result, Ticket, TicketKind};
use sha2::{Digest as _, Sha256};

/// 256 random bits in 43 characters that can stand in an address or a cookie.
pub fn random() -> String {
    BASE64URL_NOPAD.encode(&rand::random::<[u8; 32]>())
}

/// What the store keeps of a ticket.
pub fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A new ticket, good for `lasts`.
///
/// # Errors
/// Where the store cannot keep it.
pub async fn issue(parts: &Parts, link: LinkId, kind: TicketKind, lasts: Duration) -> Result<String> {
    let text = random();
    let now = parts.clock.now();
    parts
        .store
        .put_ticket(&Ticket { digest: digest(&text), kind, link, expires_at: now + lasts }, now)
        .await?;
    Ok(text)
}

/// How long the address that a patient is sent stays good.
pub const CONNECT_LASTS: Duration = Duration::from_secs(7 * 24 * 3600);

/// A fresh address at which a patient begins the consent for a link.
///
/// # Errors
/// Where the store cannot keep its ticket.
pub async fn connect_address(parts: &Parts, link: LinkId) -> Result<url::Url> {
    let ticket = issue(parts, link, TicketKind::Connect, CONNECT_LASTS).await?;
    Ok(parts.public(&format!("oauth/connect/{ticket}")))
}
