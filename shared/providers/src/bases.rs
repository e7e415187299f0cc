//! Where a provider's calls go: its public cloud, or what the app says instead (another region, staging, a simulator).

use url::Url;

use crate::{App, ProviderError};

/// The base URLs of an app in the order of `known`, which are the adapter's own names with the public addresses.
///
/// # Errors
/// [`ProviderError::Configuration`] where the app names another one, or one that is no http or https URL.
pub(crate) fn bases<const N: usize>(
    app: &App,
    known: [(&'static str, &'static str); N],
) -> Result<[Url; N], ProviderError> {
    let wrong = |problem: String| ProviderError::Configuration { app: app.config.name.to_string(), problem };
    for (name, url) in &app.config.base_urls {
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return Err(wrong(format!("base_urls.{name} should be an http or https URL")));
        }
        if !known.iter().any(|(known, _)| known == name) {
            let names = known.map(|(name, _)| name).join(" and ");
            return Err(wrong(format!("base_urls.{name} is unknown: {} has {names}", app.config.kind)));
        }
    }
    let mut urls = Vec::with_capacity(N);
    for (name, public) in known {
        urls.push(match app.config.base_urls.get(name) {
            Some(said) => said.clone(),
            // An empty public address: every deployment has its own.
            None => Url::parse(public).map_err(|_| wrong(format!("base_urls.{name} has to be set")))?,
        });
    }
    urls.try_into().map_err(|_| wrong("base_urls cannot be read".into()))
}

/// `path` under `base`, whose own path is kept.
pub(crate) fn under(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    url.set_fragment(None);
    let joined = format!("{}/{path}", base.path().trim_end_matches('/'));
    url.set_path(&joined);
    url
}
