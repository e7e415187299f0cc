//! Outbound HTTP: one constructor, so that every call out has a user agent, timeouts, our TLS, and no redirects.

mod reach;

use std::time::Duration;

pub use reach::{Reach, Unreachable};

/// A client that could not be built.
#[derive(Debug, thiserror::Error)]
#[error("the outbound HTTP client could not be built: {0}")]
pub struct OutboundError(#[source] reqwest::Error);

/// Installs the process's one TLS provider. A second call changes nothing.
pub fn install_tls() {
    let _already = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A client for calls to what the operator has set up in person: the broker, the API. `timeout` bounds a whole call, body
/// included.
///
/// Redirects are not followed: an OAuth endpoint or an EHR that redirects is misconfigured, and following would
/// carry a token or a reading to an address nobody has configured.
///
/// # Errors
/// [`OutboundError`] where the TLS roots cannot be loaded.
pub fn client(timeout: Duration) -> Result<reqwest::Client, OutboundError> {
    builder(timeout).build().map_err(OutboundError)
}

/// The same, which also believes these certificates (PEM): those of a cluster's own authority.
///
/// # Errors
/// As [`client`]; also where `authorities` is no PEM.
pub fn client_believing(timeout: Duration, authorities: &str) -> Result<reqwest::Client, OutboundError> {
    let authorities = reqwest::Certificate::from_pem_bundle(authorities.as_bytes()).map_err(OutboundError)?;
    builder(timeout).tls_certs_merge(authorities).build().map_err(OutboundError)
}

/// A client for calls to providers and EHRs, whose addresses are configuration: it goes only to what is in `reach`.
///
/// # Errors
/// As [`client`].
pub fn guarded(timeout: Duration, reach: &Reach) -> Result<reqwest::Client, OutboundError> {
    reach.clone().bind(builder(timeout)).and_then(reqwest::ClientBuilder::build).map_err(OutboundError)
}

#[expect(clippy::disallowed_methods, reason = "the one constructor of outbound clients")]
fn builder(timeout: Duration) -> reqwest::ClientBuilder {
    install_tls();
    reqwest::Client::builder()
        .user_agent(concat!("OpenHealthExchange/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .timeout(timeout)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
}
