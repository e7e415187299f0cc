//! Which addresses a call out may go to: by default only what is public.
//!
//! Providers and EHR endpoints are configured by people who may be misled, and an EHR names further addresses itself (its token
//! endpoint). None of that may turn the exchange into somebody's way to the machine it runs on, to the network behind it or to a
//! cloud's metadata service. Names are judged by what they resolve to when the connection is made, and the connection goes
//! to just the addresses that were judged: a name that leads elsewhere a moment later (DNS rebinding) gains nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::settings::{SettingError, Settings};

const NAME: &str = "OHX_OUTBOUND_PRIVATE";
const EXPECTED: &str = "what calls out may also reach besides public addresses, separated by blanks: networks such as 10.1.0.0/16, addresses and host names";
/// A name that nobody has (RFC 6761), and that is never asked for: where a call is sent whose address is refused.
const REFUSED: &str = "refused.invalid";

/// What is not public, after IANA's registries of special-purpose addresses (RFC 6890 and its updates), and multicast.
static NOT_PUBLIC: LazyLock<Vec<IpNet>> = LazyLock::new(|| {
    [
        "0.0.0.0/8",       // this network
        "10.0.0.0/8",      // private
        "100.64.0.0/10",   // carrier-grade NAT; some clouds' own services
        "127.0.0.0/8",     // loopback
        "169.254.0.0/16",  // link-local: 169.254.169.254 is the metadata service of most clouds
        "172.16.0.0/12",   // private
        "192.0.0.0/24",    // protocol assignments
        "192.0.2.0/24",    // documentation
        "192.168.0.0/16",  // private
        "198.18.0.0/15",   // benchmarks
        "198.51.100.0/24", // documentation
        "203.0.113.0/24",  // documentation
        "224.0.0.0/4",     // multicast
        "240.0.0.0/4",     // reserved, and broadcast
        "::/96",           // unspecified, loopback, IPv4-compatible
        "64:ff9b:1::/48",  // local NAT64
        "100::/64",        // discard
        "2001::/23",       // protocol assignments, Teredo among them
        "2001:db8::/32",   // documentation
        "3fff::/20",       // documentation
        "5f00::/16",       // segment routing
        "fc00::/7",        // unique local: fd00:ec2::254 is Amazon's metadata service
        "fe80::/10",       // link-local
        "fec0::/10",       // site-local, formerly
        "ff00::/8",        // multicast
    ]
    .iter()
    .filter_map(|text| text.parse().ok())
    .collect()
});

/// The IPv4 address that an IPv6 one stands for: mapped, 6to4 or NAT64 (RFC 4291, 3056, 6052).
fn within(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let of = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match (a, b) {
        (0x2002, _) => Some(of(b, c)),
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => Some(of(g, h)),
        _ => v6.to_ipv4_mapped(),
    }
}

fn is_public(address: IpAddr) -> bool {
    let address = match address {
        IpAddr::V6(v6) => within(v6).map_or(address, IpAddr::V4),
        v4 @ IpAddr::V4(_) => v4,
    };
    !NOT_PUBLIC.iter().any(|network| network.contains(&address))
}

/// An address that calls out do not go to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{host} is or leads to an address that is not public, which calls out do not go to; where it is yours and meant, permit it with {NAME}"
)]
pub struct Unreachable {
    host: String,
}

/// What calls out may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    networks: Vec<IpNet>,
    /// In lower case.
    hosts: Vec<String>,
    proxies: Vec<(ProxyFor, Url)>,
    no_proxy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProxyFor {
    Http,
    Https,
    All,
}

fn plain(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

impl FromStr for Reach {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut reach = Self::default();
        for one in text.split([' ', ',', '\t', '\n']).filter(|one| !one.is_empty()) {
            match (one.parse::<IpNet>(), one.parse::<IpAddr>()) {
                (Ok(network), _) => reach.networks.push(network),
                (_, Ok(address)) => reach.networks.push(address.into()),
                _ => {
                    let name = one.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
                    // Digits and dots alone are an address that was mistyped.
                    if !name || one.chars().all(|c| c.is_ascii_digit() || c == '.') {
                        return Err(());
                    }
                    reach.hosts.push(plain(one));
                }
            }
        }
        Ok(reach)
    }
}

impl Reach {
    /// Public addresses, what `OHX_OUTBOUND_PRIVATE` names, and the proxies that the environment sets (`HTTPS_PROXY`,
    /// `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`): through those, names are the proxy's to resolve.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let mut reach: Self = settings.parsed(NAME, EXPECTED)?.unwrap_or_default();
        let first = |names: [&'static str; 2]| names.into_iter().find(|name| settings.text(name).is_some());
        for (names, of) in [
            (["HTTPS_PROXY", "https_proxy"], ProxyFor::Https),
            (["HTTP_PROXY", "http_proxy"], ProxyFor::Http),
            (["ALL_PROXY", "all_proxy"], ProxyFor::All),
        ] {
            let Some(name) = first(names) else { continue };
            let text = settings.text(name).unwrap_or_default();
            let full = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
            let url: Url = full.parse().map_err(|_| SettingError::Wrong {
                name,
                expected: "a proxy's address, such as http://proxy:3128".into(),
                shown: None,
            })?;
            reach = reach.and_host_of(&url);
            reach.proxies.push((of, url));
        }
        reach.no_proxy = first(["NO_PROXY", "no_proxy"]).and_then(|name| settings.text(name)).map(Into::into);
        Ok(reach)
    }

    /// And the host of an address that the operator has set.
    #[must_use]
    pub fn and_host_of(mut self, url: &Url) -> Self {
        match url.host() {
            Some(Host::Domain(name)) => self.hosts.push(plain(name)),
            Some(Host::Ipv4(v4)) => self.networks.push(IpAddr::V4(v4).into()),
            Some(Host::Ipv6(v6)) => self.networks.push(IpAddr::V6(v6).into()),
            None => {}
        }
        self
    }

    fn takes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.contains(&address))
    }

    fn takes_name(&self, name: &str) -> bool {
        self.hosts.contains(&plain(name))
    }

    /// Whether an address may be called, as far as it can be said without asking for what its name resolves to: for when it is
    /// configured. What a name resolves to is judged when it is called.
    ///
    /// # Errors
    /// [`Unreachable`].
    pub fn check(&self, url: &Url) -> Result<(), Unreachable> {
        let good = match url.host() {
            Some(Host::Ipv4(v4)) => self.takes(v4.into()),
            Some(Host::Ipv6(v6)) => self.takes(v6.into()),
            Some(Host::Domain(name)) => {
                let name = plain(name);
                let local = name == "localhost" || name.ends_with(".localhost");
                let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
                !local || self.takes_name(&name) || self.takes(loopback)
            }
            None => true,
        };
        if good { Ok(()) } else { Err(Unreachable { host: url.host_str().unwrap_or_default().to_owned() }) }
    }

    /// Puts a client under it.
    pub(super) fn bind(self, builder: reqwest::ClientBuilder) -> reqwest::Result<reqwest::ClientBuilder> {
        let reach = Arc::new(self);
        // An address in numbers is never resolved: such a call is sent to where nothing is.
        let numbers = reach.clone();
        let mut builder = builder.dns_resolver(Judged(reach.clone())).proxy(reqwest::Proxy::custom(
            move |url| match numbers.check(url) {
                Ok(()) => None,
                Err(refused) => {
                    tracing::warn!(%refused, "a call out is refused");
                    Some(format!("http://{REFUSED}"))
                }
            },
        ));
        let except = || reach.no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
        for (of, url) in &reach.proxies {
            let proxy = match of {
                ProxyFor::Http => reqwest::Proxy::http(url.clone())?,
                ProxyFor::Https => reqwest::Proxy::https(url.clone())?,
                ProxyFor::All => reqwest::Proxy::all(url.clone())?,
            };
            builder = builder.proxy(proxy.no_proxy(except()));
        }
        Ok(builder)
    }

    /// Of what a name resolves to, what may be called.
    fn judge(
        &self,
        name: &str,
        found: impl Iterator<Item = SocketAddr>,
    ) -> Result<Vec<SocketAddr>, Unreachable> {
        let known = self.takes_name(name);
        let good: Vec<SocketAddr> = found.filter(|address| known || self.takes(address.ip())).collect();
        if good.is_empty() { Err(Unreachable { host: name.to_owned() }) } else { Ok(good) }
    }
}

/// Resolves names as the system does, and gives only what may be called.
struct Judged(Arc<Reach>);

impl Resolve for Judged {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            if host == REFUSED {
                return Err(Unreachable { host: "what is called".to_owned() }.into());
            }
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let good = reach.judge(&host, found.into_iter()).inspect_err(|refused| {
                tracing::warn!(%refused, "a call out is refused");
            })?;
            Ok(Box::new(good.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;
