//! Everybody we talk to, talking too much: an HTTP proxy before a simulator that learns the secrets which pass, and answers,
//! when it is told to, with errors and pages that quote the readings, the patient and the caller's own tokens.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// An error of this status, in every shape that errors have, each of its texts a quotation.
    Error(u16),
    /// An error with a code that a client knows, and a quotation beside it.
    Coded(u16, &'static str),
    /// Withings' way: HTTP 200, and a status within.
    Envelope(i64),
    /// A page of HTML with a quotation.
    Html(u16),
    /// The right page, cut off in the middle.
    CutOff,
    /// The right page, its numbers as texts with more in them.
    NumbersAsTexts,
    /// The right page, its texts quotations.
    TextsGarbled,
    /// The right page, its lists objects whose names are quotations.
    ListsAsObjects,
    /// Quotations, and no JSON at all.
    NoJson,
}

/// Which requests a lie waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Whatever is no token's and no consent's.
    Data,
    /// Tokens: codes, refreshes, revocations.
    Tokens,
    /// Writing to an EHR.
    Writes,
    /// Reading from an EHR, or what a subscription is.
    Reads,
}

/// The proxy. Clones are the same one.
#[derive(Clone)]
pub struct Gossip(Arc<Inner>);

struct Inner {
    target: String,
    /// What it quotes beside the caller's own secrets.
    quotes: String,
    /// Tokens of its own, where it stands for an authorization server: one for each call.
    issues: Option<String>,
    http: reqwest::Client,
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    lies: VecDeque<(About, Lie)>,
    /// By name: what was seen of secrets.
    learnt: BTreeMap<String, String>,
    lied: u32,
}

/// Where a token is given out, besides what is forwarded.
const ISSUER: &str = "/canary-issuer/token";

impl Gossip {
    /// Stands before `target`, an address without a path; gives its own.
    pub async fn before(target: &str, quotes: &str, issues: Option<&str>) -> (Self, String) {
        let url: url::Url = target.parse().unwrap();
        let target = url[..url::Position::BeforePath].to_owned();
        let inner = Inner {
            target,
            quotes: quotes.to_owned(),
            issues: issues.map(str::to_owned),
            http: ohx_tests::outside::http(),
            told: Mutex::default(),
        };
        let gossip = Self(Arc::new(inner));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut own = url;
        own.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
        let router = axum::Router::new().fallback(pass).with_state(gossip.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (gossip, own.to_string().trim_end_matches('/').to_owned())
    }

    /// The address of the token endpoint that it is itself.
    pub fn issuer(own: &str) -> String {
        let url: url::Url = own.parse().unwrap();
        format!("{}{ISSUER}", &url[..url::Position::BeforePath])
    }

    /// The next fitting request is answered so.
    pub fn lie(&self, about: About, lie: Lie) {
        self.0.told.lock().unwrap().lies.push_back((about, lie));
    }

    /// No lie waits any more; gives how many did.
    pub fn forget(&self) -> usize {
        std::mem::take(&mut self.0.told.lock().unwrap().lies).len()
    }

    /// How many lies wait for their request.
    pub fn waiting(&self) -> usize {
        self.0.told.lock().unwrap().lies.len()
    }

    /// How many lies were told.
    pub fn lied(&self) -> u32 {
        self.0.told.lock().unwrap().lied
    }

    /// The secrets that passed.
    pub fn learnt(&self) -> BTreeMap<String, String> {
        self.0.told.lock().unwrap().learnt.clone()
    }

    /// Learns a secret (of sixteen characters or more).
    pub fn learn(&self, what: &str, secret: &str) {
        let mut told = self.0.told.lock().unwrap();
        // What is shorter is a name or a number of no consequence.
        if secret.len() >= 16 && told.learnt.values().all(|known| known != secret) {
            let n = told.learnt.len();
            told.learnt.insert(format!("{what} {n}"), secret.to_owned());
        }
    }

    fn next(&self, about: About) -> Option<Lie> {
        let mut told = self.0.told.lock().unwrap();
        let fits = |(wanted, _): &(About, Lie)| {
            *wanted == about || (*wanted == About::Data && matches!(about, About::Reads | About::Writes))
        };
        let at = told.lies.iter().position(fits)?;
        told.lied += 1;
        told.lies.remove(at).map(|(_, lie)| lie)
    }
}

/// The members of forms and answers that are secrets.
const SECRETS: [&str; 10] = [
    "access_token",
    "refresh_token",
    "id_token",
    "code",
    "code_verifier",
    "client_secret",
    "client_assertion",
    "assertion",
    "token",
    "callbackurl",
];

async fn pass(State(gossip): State<Gossip>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 64 << 20).await.unwrap_or_default();
    let path = parts.uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or("");
    let credentials = authorization.split_once(' ').map_or("", |(_, rest)| rest).to_owned();
    if !credentials.is_empty() {
        gossip.learn("Authorization", &credentials);
    }
    let form: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    for (name, value) in form.iter().filter(|(name, _)| SECRETS.contains(&name.as_str())) {
        let secret = if name == "callbackurl" { value.rsplit('/').next().unwrap_or("") } else { value };
        gossip.learn(name, secret);
    }
    if let (ISSUER, Some(prefix)) = (parts.uri.path(), &gossip.0.issues) {
        if let Some(lie) = gossip.next(About::Tokens) {
            return gossip.tell(lie, &credentials, &body, None);
        }
        let token = format!("{prefix}-{:016x}{:016x}", rand::random::<u64>(), rand::random::<u64>());
        gossip.learn("access_token", &token);
        let scope = form.iter().find(|(name, _)| name == "scope").map_or("", |(_, scope)| scope);
        let answer =
            json!({"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": scope});
        return axum::Json(answer).into_response();
    }
    let tokens = ["grant_type", "token"].iter().any(|name| form.iter().any(|(n, _)| n == name))
        || form.iter().any(|(n, v)| n == "action" && v == "requesttoken");
    let consent =
        !tokens && (parts.uri.path().contains("auth") || form.iter().any(|(n, _)| n == "redirect_uri"));
    let writes = matches!(parts.method, http::Method::PUT)
        || parts.uri.path() == "/fhir"
        || parts.uri.path() == "/fhir/";
    let metadata = path.ends_with("/metadata") || path.contains("keyset");
    let about = match () {
        () if tokens => Some(About::Tokens),
        () if consent || metadata => None,
        () if writes => Some(About::Writes),
        () => Some(About::Reads),
    };
    let lie = about.and_then(|about| gossip.next(about));
    match lie {
        Some(lie @ (Lie::CutOff | Lie::NumbersAsTexts | Lie::TextsGarbled | Lie::ListsAsObjects)) => {
            let real = gossip.forward(parts.method, &path, parts.headers, body.clone()).await;
            gossip.tell(lie, &credentials, &body, Some(real.2))
        }
        Some(lie) => gossip.tell(lie, &credentials, &body, None),
        None => {
            let (status, headers, answer) =
                gossip.forward(parts.method, &path, parts.headers, body.clone()).await;
            let answer = gossip.embellished(answer, &credentials, &body);
            (status, headers, answer).into_response()
        }
    }
}

impl Gossip {
    async fn forward(
        &self,
        method: http::Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, HeaderMap, Bytes) {
        let sent = self
            .0
            .http
            .request(method, format!("{}{path}", self.0.target))
            .headers(headers)
            .body(body)
            .send()
            .await;
        let Ok(answer) = sent else {
            return (StatusCode::BAD_GATEWAY, HeaderMap::new(), Bytes::new());
        };
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        headers.remove(header::TRANSFER_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        let body = answer.bytes().await.unwrap_or_default();
        if let Ok(value) = serde_json::from_slice::<Value>(&body) {
            self.listen(&value);
        }
        (status, headers, body)
    }

    /// Learns the tokens of an answer.
    fn listen(&self, value: &Value) {
        let Some(members) = value.as_object() else { return };
        for (name, member) in members {
            match member.as_str() {
                Some(secret) if SECRETS.contains(&name.as_str()) && name != "code" => {
                    self.learn(name, secret)
                }
                _ => self.listen(member),
            }
        }
    }

    fn quotation(&self, credentials: &str, body: &[u8]) -> String {
        let asked: String = String::from_utf8_lossy(body).chars().take(1_500).collect();
        format!("{}; you came with {credentials} and said {asked}", self.0.quotes)
    }

    /// An EHR says more in its issues than it should.
    fn embellished(&self, answer: Bytes, credentials: &str, body: &[u8]) -> Bytes {
        if !answer.windows(13).any(|w| w == b"\"diagnostics\"") {
            return answer;
        }
        let Ok(mut value) = serde_json::from_slice::<Value>(&answer) else { return answer };
        embellish(&mut value, &self.quotation(credentials, body));
        value.to_string().into()
    }

    fn tell(&self, lie: Lie, credentials: &str, body: &[u8], real: Option<Bytes>) -> Response {
        let said = self.quotation(credentials, body);
        let page = real.as_deref().and_then(|real| serde_json::from_slice::<Value>(real).ok());
        let (status, kind, text) = match lie {
            Lie::Error(status) => (status, "application/json", errors(status, &said, &said).to_string()),
            Lie::Coded(status, code) => (status, "application/json", errors(status, code, &said).to_string()),
            Lie::Envelope(status) => (
                200,
                "application/json",
                json!({"status": status, "error": said, "body": {"error": said}}).to_string(),
            ),
            Lie::Html(status) => {
                (status, "text/html", format!("<html><title>{said}</title><p>{said}</html>"))
            }
            Lie::NoJson => (200, "application/json", said),
            Lie::CutOff => {
                let real = real.unwrap_or_default();
                (200, "application/json", String::from_utf8_lossy(&real[..real.len() * 2 / 3]).into_owned())
            }
            Lie::NumbersAsTexts | Lie::TextsGarbled | Lie::ListsAsObjects => {
                let mut page = page.unwrap_or_default();
                garble(&mut page, lie, &self.0.quotes, 0);
                (200, "application/json", page.to_string())
            }
        };
        let mut response = (StatusCode::from_u16(status).unwrap(), Body::from(text)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
        // Printable ASCII only; an authorization server says why in a header too.
        let why: String = self.0.quotes.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        let why = format!("Bearer error=\"invalid_token\", error_description=\"{why} {credentials}\"");
        if let Ok(why) = why.parse() {
            headers.insert(header::WWW_AUTHENTICATE, why);
        }
        response
    }
}

/// One body in the shapes of OAuth, Google, Fitbit, Omron and FHIR at once.
fn errors(status: u16, code: &str, said: &str) -> Value {
    json!({
        "error": code, "error_description": said, "error_uri": said, "message": said, "reason": said, "errorCode": code,
        "success": false, "status": status, "errors": [{"errorType": code, "fieldName": said, "message": said}],
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": said, "diagnostics": said, "details": {"text": said}, "expression": [said]},
                  {"severity": "error", "code": "invalid", "diagnostics": said, "details": {"text": said},
                   "expression": [said, "Observation.value"]}]
    })
}

fn embellish(value: &mut Value, said: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                match name.as_str() {
                    "diagnostics" => *member = said.into(),
                    _ => embellish(member, said),
                }
            }
            if members.contains_key("diagnostics") {
                members.insert("details".into(), json!({ "text": said }));
                members.insert("expression".into(), json!([said, "Observation.value"]));
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| embellish(one, said)),
        _ => {}
    }
}

/// The outermost members say that all is well: they stay.
fn garble(value: &mut Value, lie: Lie, said: &str, depth: u32) {
    match value {
        Value::Number(number) if lie == Lie::NumbersAsTexts && depth > 1 => {
            *value = format!("{number} {said}").into();
        }
        Value::String(text) if lie == Lie::TextsGarbled => *value = format!("{said} {text}").into(),
        Value::Array(all) if lie == Lie::ListsAsObjects && !all.is_empty() => {
            *value = json!({ said: std::mem::take(all) });
        }
        Value::Array(all) => all.iter_mut().for_each(|one| garble(one, lie, said, depth + 1)),
        Value::Object(members) => {
            members.iter_mut().for_each(|(_, one)| garble(one, lie, said, depth + 1));
            if lie == Lie::NumbersAsTexts && depth > 2 {
                members.insert(said.to_owned(), said.into());
            }
        }
        _ => {}
    }
}
