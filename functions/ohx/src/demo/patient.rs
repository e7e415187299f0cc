//! A patient with a browser: the real addresses, the real redirects.

use anyhow::{Context as _, ensure};
use reqwest::header;
use serde_json::{Value, json};
use url::Url;

/// Creates a link through the API, follows its address to the provider, consents there as `person`, and comes back. Gives the
/// link's id.
pub(crate) async fn connect(
    http: &reqwest::Client,
    ohx: &str,
    api_key: &str,
    patient: &str,
    person: u64,
    days: u32,
) -> anyhow::Result<String> {
    let new = json!({"provider": "withings", "ehr": "clinic", "patient": patient, "backfill_days": days});
    let created =
        http.post(format!("{ohx}/api/base/provider-links/")).bearer_auth(api_key).json(&new).send().await?;
    let created: Value = created.error_for_status().context("the API")?.json().await?;
    let address = created["connect_url"].as_str().context("the API gave no connect_url")?;
    let id = created["id"].as_str().context("the API gave no id")?.to_owned();

    let sent = http.get(address).send().await.context("the connect address")?;
    let set = sent.headers().get_all(header::SET_COOKIE).iter().filter_map(|v| v.to_str().ok());
    let cookies: Vec<&str> = set.filter_map(|cookie| cookie.split(';').next()).collect();
    let cookie = cookies.join("; ");
    let consent: Url = text(&sent, &header::LOCATION)?.parse().context("the provider's address")?;

    let page = http.get(consent.clone()).send().await.context("the provider's page")?;
    ensure!(page.status().is_success(), "the provider's page answered {}", page.status());
    let form: Vec<_> =
        consent.query_pairs().into_owned().chain([("user".to_owned(), person.to_string())]).collect();
    let mut target = consent;
    target.set_query(None);
    let decided = http.post(target).form(&form).send().await.context("the consent")?;
    let back = text(&decided, &header::LOCATION)?;

    let end = http.get(back).header(header::COOKIE, cookie).send().await.context("the way back")?;
    ensure!(end.status().is_success(), "the callback answered {}", end.status());
    Ok(id)
}

fn text(response: &reqwest::Response, name: &header::HeaderName) -> anyhow::Result<String> {
    let value = response
        .headers()
        .get(name)
        .with_context(|| format!("no {name} in an answer of {}", response.status()))?;
    Ok(value.to_str()?.to_owned())
}
