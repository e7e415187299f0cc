//! A browser without a screen: keeps cookies, sends forms, follows nothing by itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request, StatusCode};
use ohx_console::Console;
use ohx_domain::ManualClock;
use ohx_runtime::Settings;
use tower::ServiceExt as _;

use crate::exchange::{Exchange, LINK};

const BOUNDARY: &str = "----a-boundary";

pub(crate) struct Page {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) cookies: Vec<String>,
    pub(crate) body: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    pub(crate) fn location(&self) -> &str {
        self.header("location")
    }

    /// The Set-Cookie that begins so.
    pub(crate) fn cookie(&self, begins: &str) -> &str {
        self.cookies
            .iter()
            .find(|c| c.starts_with(begins))
            .unwrap_or_else(|| panic!("{begins}: {:?}", self.cookies))
    }

    pub(crate) fn sets(&self, begins: &str) -> bool {
        self.cookies.iter().any(|c| c.starts_with(begins))
    }

    /// The token of its last form: the first is the one to sign out with.
    pub(crate) fn token(&self) -> String {
        let (_, rest) = self.body.rsplit_once(r#"name="token" value=""#).expect("a form");
        rest.split('"').next().unwrap().to_owned()
    }

    /// Whether something is said against a field.
    pub(crate) fn says(&self, field: &str, text: &str) -> bool {
        let at = format!(r#"id="{field}-error">"#);
        let said = self.body.split_once(&at).and_then(|(_, rest)| rest.split("</p>").next());
        said.is_some_and(|said| said.contains(text))
    }
}

pub(crate) struct Browser {
    pub(crate) console: Console,
    router: Router,
    pub(crate) cookies: BTreeMap<String, String>,
    pub(crate) clock: Arc<ManualClock>,
}

impl Browser {
    /// At a console of its own.
    pub(crate) fn new(exchange: &Exchange, public: &str) -> Self {
        Self::of(&exchange.url, public)
    }

    /// At a console of its own for the API at `url`.
    pub(crate) fn of(url: &str, public: &str) -> Self {
        let settings = Settings::from_pairs([("OHX_API_URL", url), ("OHX_PUBLIC_URL", public)]);
        let clock = Arc::new(ManualClock::new("2026-11-21T10:00:00Z".parse().unwrap()));
        Self::with(&Console::at(&settings, clock.clone()).unwrap(), clock)
    }

    /// At one that is there.
    pub(crate) fn with(console: &Console, clock: Arc<ManualClock>) -> Self {
        let router = ohx_console::router(console.clone());
        Self { console: console.clone(), router, cookies: BTreeMap::new(), clock }
    }

    pub(crate) async fn ready(&self) -> Result<(), String> {
        self.console.ready()().await
    }

    async fn ask(&mut self, mut request: Request<Body>) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        request.headers_mut().insert("cookie", cookies.join("; ").parse().unwrap());
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let set = headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap().to_owned());
        let set: Vec<String> = set.collect();
        for cookie in &set {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match cookie.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
        Page { status, headers, cookies: set, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&mut self, path: &str, headers: &[(&str, &str)]) -> Page {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::empty()).unwrap()).await
    }

    /// Sends a form.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("sec-fetch-site", "same-origin");
        self.ask(request.body(body.into()).unwrap()).await
    }

    /// Sends a form with a file.
    pub(crate) async fn send(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Page {
        let mut request =
            Request::post(path).header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(body.into()).unwrap()).await
    }

    pub(crate) async fn sign_in(&mut self, key: &str) -> Page {
        let token = self.get("/console/sign-in/").await.token();
        self.post("/console/sign-in/", &[("token", &token), ("key", key)]).await
    }
}

/// A form with a file, as a browser writes it; without a file as one where none was chosen.
pub(crate) fn form(token: &str, fields: &[(&str, &str)], file: Option<&[u8]>) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in [("token", token)].iter().chain(fields) {
        let part =
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        body.extend_from_slice(part.as_bytes());
    }
    let name = if file.is_some() { "export.csv" } else { "" };
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n"
    );
    body.extend_from_slice(head.as_bytes());
    body.extend_from_slice(file.unwrap_or_default());
    body.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
    body
}

/// Fills in the page and sends it.
pub(crate) async fn import(
    browser: &mut Browser,
    button: &str,
    fields: &[(&str, &str)],
    file: Option<&[u8]>,
) -> Page {
    let token = browser.get("/console/import/").await.token();
    let mut all = vec![("date_order", "")];
    if !fields.iter().any(|(name, _)| *name == "link") {
        all.push(("link", LINK));
    }
    all.extend_from_slice(fields);
    let body = form(&token, &all, file);
    browser.send(&format!("/console/import/{button}"), &[("sec-fetch-site", "same-origin")], body).await
}
