//! A patient with a browser, and a clinic that calls the API: the real addresses, the real redirects.

use anyhow::{Context as _, ensure};
use reqwest::header;
use serde_json::{Value, json};
use url::Url;

/// The exchange, as its callers see it.
pub(crate) struct Exchange<'a> {
    pub(crate) http: &'a reqwest::Client,
    pub(crate) url: &'a str,
    pub(crate) api_key: &'a str,
}

/// A link that was created.
pub(crate) struct Created {
    pub(crate) id: String,
    /// Where to send the patient; absent where no consent is needed.
    address: Option<String>,
}

impl Exchange<'_> {
    /// Creates a link through the API.
    pub(crate) async fn create(&self, provider: &str, patient: &str, days: u32) -> anyhow::Result<Created> {
        let new = json!({"provider": provider, "ehr": "clinic", "patient": patient, "backfill_days": days});
        let url = format!("{}/api/base/provider-links/", self.url);
        let created = self.http.post(url).bearer_auth(self.api_key).json(&new).send().await?;
        let created: Value = created.error_for_status().context("the API")?.json().await?;
        let id = created["id"].as_str().context("the API gave no id")?.to_owned();
        Ok(Created { id, address: created["connect_url"].as_str().map(str::to_owned) })
    }

    /// Follows a link's address to the provider, consents there as `user`, and comes back.
    pub(crate) async fn consent(&self, link: &Created, user: &str) -> anyhow::Result<()> {
        let address = link.address.as_deref().context("the API gave no connect_url")?;
        let page = self.http.get(address).send().await.context("the connect address")?;
        ensure!(page.status().is_success(), "the connect page answered {}", page.status());
        // What its button sends.
        let yes = self.http.post(address).form(&[("answer", "continue")]);
        let sent = yes.send().await.context("the connect page")?;
        let set = sent.headers().get_all(header::SET_COOKIE).iter().filter_map(|v| v.to_str().ok());
        let cookies: Vec<&str> = set.filter_map(|cookie| cookie.split(';').next()).collect();
        let cookie = cookies.join("; ");
        let consent: Url = text(&sent, &header::LOCATION)?.parse().context("the provider's address")?;

        let page = self.http.get(consent.clone()).send().await.context("the provider's page")?;
        ensure!(page.status().is_success(), "the provider's page answered {}", page.status());
        let form: Vec<_> =
            consent.query_pairs().into_owned().chain([("user".to_owned(), user.to_owned())]).collect();
        let mut target = consent;
        target.set_query(None);
        let decided = self.http.post(target).form(&form).send().await.context("the consent")?;
        let back = text(&decided, &header::LOCATION)?;

        let end = self.http.get(back).header(header::COOKIE, cookie).send().await.context("the way back")?;
        let page = end.url().join(&text(&end, &header::LOCATION)?)?;
        let page = self.http.get(page).send().await.context("the patient's own page")?;
        ensure!(page.status().is_success(), "the patient's own page answered {}", page.status());
        Ok(())
    }

    /// Sends in a file; gives how many rows were read.
    pub(crate) async fn import(&self, link: &str, zone: &str, file: String) -> anyhow::Result<u64> {
        let url = format!("{}/api/ingestors/imports/?link={link}&zone={zone}", self.url);
        let answer = self.http.post(url).bearer_auth(self.api_key).body(file).send().await?;
        let answer: Value = answer.error_for_status().context("the import")?.json().await?;
        answer["report"]["counts"]["imported"].as_u64().context("the import gave no report")
    }
}

fn text(response: &reqwest::Response, name: &header::HeaderName) -> anyhow::Result<String> {
    let value = response
        .headers()
        .get(name)
        .with_context(|| format!("no {name} in an answer of {}", response.status()))?;
    Ok(value.to_str()?.to_owned())
}
