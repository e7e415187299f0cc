//! A patient with a browser: follows redirects by hand, keeps cookies, picks an account, consents.

use serde_json::json;

use crate::deployment::Deployment;
use crate::outside::{Outside, http};

/// Creates a link for `patient` and consents as `person` at the provider. Gives the link's id.
pub async fn connect(
    deployment: &Deployment,
    outside: &Outside,
    patient: &str,
    person: &str,
    days: u32,
) -> String {
    connect_to(deployment, outside, "withings", patient, person, days).await
}

/// The same at another provider.
pub async fn connect_to(
    deployment: &Deployment,
    outside: &Outside,
    provider: &str,
    patient: &str,
    person: &str,
    days: u32,
) -> String {
    let (id, address) = create_link_to(deployment, provider, patient, days).await;
    let (status, page) = consent(outside, &address, person).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Connected"), "{page}");
    id
}

/// Creates a link; gives its id and the address for the patient.
pub async fn create_link(deployment: &Deployment, patient: &str, days: u32) -> (String, String) {
    create_link_to(deployment, "withings", patient, days).await
}

/// The same at another provider.
pub async fn create_link_to(
    deployment: &Deployment,
    provider: &str,
    patient: &str,
    days: u32,
) -> (String, String) {
    let new = json!({"provider": provider, "ehr": "clinic", "patient": patient, "backfill_days": days});
    let (status, created) = deployment.post("/api/base/provider-links/", &new).await;
    assert_eq!(status, 201, "{created}");
    let text = |name: &str| created[name].as_str().expect("a text").to_owned();
    (text("id"), text("connect_url"))
}

/// Opens the address, signs in at the provider as `person`, and comes back. Gives the last page's status and text.
pub async fn consent(outside: &Outside, address: &str, person: &str) -> (u16, String) {
    let (cookie, provider) = begin(address).await;
    let back = outside.sign_in(&provider, person).await;
    finish(&back, Some(&cookie)).await
}

/// Opens the address, and says yes on the page that it shows; gives the cookies and where the browser is sent.
pub async fn begin(address: &str) -> (String, String) {
    begin_with(&http(), address).await
}

/// The same with a client of one's own.
pub async fn begin_with(client: &reqwest::Client, address: &str) -> (String, String) {
    let page = client.get(address).send().await.expect("oauth answers");
    assert_eq!(page.status(), 200, "the page of {address}");
    assert!(page.headers().get("set-cookie").is_none(), "looking at an address begins nothing");
    let response = answer(client, address, "continue").await;
    assert_eq!(response.status(), 303, "{}", response.status());
    let header = |name: &str| response.headers()[name].to_str().expect("text").to_owned();
    let set = response.headers().get_all("set-cookie").iter();
    let cookies = set.map(|v| v.to_str().expect("text").split(';').next().expect("a cookie").to_owned());
    (cookies.collect::<Vec<_>>().join("; "), header("location"))
}

/// Answers the page of an address: `continue` or `decline`.
pub async fn answer(client: &reqwest::Client, address: &str, answer: &str) -> reqwest::Response {
    let origin = address.parse::<url::Url>().expect("a URL").origin().ascii_serialization();
    let form = client.post(address).header("origin", origin).form(&[("answer", answer)]);
    form.send().await.expect("oauth answers")
}

/// Comes back from the provider; gives status and text of the page that the browser ends on.
pub async fn finish(back: &str, cookie: Option<&str>) -> (u16, String) {
    finish_with(&http(), back, cookie).await
}

/// The same with a client of one's own.
pub async fn finish_with(client: &reqwest::Client, back: &str, cookie: Option<&str>) -> (u16, String) {
    let (response, _) = come_back(client, back, cookie).await;
    (response.status().as_u16(), response.text().await.expect("a page"))
}

/// The same; gives the answer, and the address of the patient's own page where there is one.
pub async fn come_back(
    client: &reqwest::Client,
    back: &str,
    cookie: Option<&str>,
) -> (reqwest::Response, Option<url::Url>) {
    let mut request = client.get(back);
    if let Some(cookie) = cookie {
        request = request.header("cookie", cookie);
    }
    let response = request.send().await.expect("oauth answers");
    let Some(to) = response.headers().get("location") else { return (response, None) };
    let page = response.url().join(to.to_str().expect("text")).expect("a URL");
    if !page.path().contains("/oauth/link/") {
        return (response, None);
    }
    (client.get(page.clone()).send().await.expect("oauth answers"), Some(page))
}
