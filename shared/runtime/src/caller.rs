//! Where a call comes from.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use crate::settings::{SettingError, Settings};

/// How many proxies of the operator's own stand before this function: each appends the address that called it to
/// `X-Forwarded-For`. With 0 the header is not believed, because anybody can write one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForwardedHops(pub usize);

/// How many proxies of the operator's own stand before this function: `OHX_FORWARDED_HOPS`, 0 by default.
///
/// # Errors
/// Where it is no number.
pub fn forwarded_hops(settings: &Settings) -> Result<ForwardedHops, SettingError> {
    let expected = "the number of your proxies that append to X-Forwarded-For, such as 1";
    Ok(ForwardedHops(settings.parsed("OHX_FORWARDED_HOPS", expected)?.unwrap_or(0)))
}

/// The address that a call came from, as far as it can be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller(pub Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let ForwardedHops(hops) = parts.extensions.get().copied().unwrap_or(ForwardedHops(0));
        let address = match hops.checked_sub(1) {
            None => parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip()),
            Some(back) => {
                let lines = parts.headers.get_all("x-forwarded-for").iter();
                let texts: Vec<_> = lines.filter_map(|line| line.to_str().ok()).collect();
                let mut hops = texts.iter().flat_map(|line| line.split(',')).map(str::trim).rev();
                hops.nth(back).and_then(address)
            }
        };
        Ok(Self(address.map(|address| address.to_canonical())))
    }
}

/// An address as proxies write it: some with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    async fn caller(hops: usize, forwarded: &[&str]) -> Option<String> {
        let mut request = Request::builder().extension(ForwardedHops(hops));
        for line in forwarded {
            request = request.header("X-Forwarded-For", *line);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(ConnectInfo::<SocketAddr>("[::ffff:10.0.0.7]:4711".parse().unwrap()));
        let Ok(Caller(address)) = Caller::from_request_parts(&mut parts, &()).await;
        address.map(|address| address.to_string())
    }

    #[tokio::test]
    async fn only_what_our_own_proxies_wrote_is_believed() {
        let lines = ["203.0.113.9, 198.51.100.4", "192.0.2.1:8080, [2001:db8::1]"];
        assert_eq!(caller(0, &lines).await.as_deref(), Some("10.0.0.7"), "the peer");
        assert_eq!(caller(1, &lines).await.as_deref(), Some("2001:db8::1"));
        assert_eq!(caller(2, &lines).await.as_deref(), Some("192.0.2.1"));
        assert_eq!(caller(3, &lines).await.as_deref(), Some("198.51.100.4"));
        assert_eq!(caller(5, &lines).await, None, "more hops than there were");
        assert_eq!(caller(1, &["nonsense"]).await, None);
        assert_eq!(caller(1, &[]).await, None);
    }
}
