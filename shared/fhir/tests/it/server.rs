//! A FHIR R5 server in small: batch, search by `_id` and `identifier`, conditional create, versions, paging. What is
//! stored is the text that came in.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use ohx_events::sealed::MappedResource;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::Barrier;

/// What the server is to do wrong.
#[derive(Default)]
pub(crate) struct Faults {
    /// The next requests are answered so, whatever they ask.
    pub(crate) next: VecDeque<Canned>,
    /// The next batches are answered so.
    pub(crate) next_batch: VecDeque<Canned>,
    /// Statuses that the entries of these identifier values get, in turn; 0 is the truth.
    pub(crate) entries: HashMap<String, VecDeque<u16>>,
    /// A batch with one of these identifier values is refused as a whole with this status.
    pub(crate) poison: HashMap<String, u16>,
    /// The largest batch, in entries.
    pub(crate) max_entries: Option<usize>,
    /// The largest page of search results.
    pub(crate) page: Option<usize>,
    /// Where next links point to, in place of this server.
    pub(crate) next_origin: Option<String>,
    /// Status for `POST _search`, and for `GET`.
    pub(crate) no_post_search: Option<u16>,
    pub(crate) no_get_search: Option<u16>,
    /// Tags are not kept; tags of former versions are added (as HAPI does).
    pub(crate) drop_tags: bool,
    pub(crate) keep_old_tags: bool,
    /// Resources without an identifier are expected.
    pub(crate) without_identifier: bool,
    /// POST without a condition is expected.
    pub(crate) unconditional: bool,
    /// Conditional creation that does not say where.
    pub(crate) no_location: bool,
    /// What somebody else stores just before the next batch.
    pub(crate) meanwhile: Option<MappedResource>,
    /// So many searches wait for each other before they are answered.
    pub(crate) together: Option<(usize, Arc<Barrier>)>,
}

pub(crate) type Canned = (u16, Vec<(&'static str, String)>, String);

#[derive(Default)]
pub(crate) struct Inner {
    /// All versions of each `Type/id`, as they came in.
    pub(crate) store: BTreeMap<String, Vec<Box<RawValue>>>,
    pub(crate) faults: Faults,
    /// `METHOD path` of every request.
    pub(crate) log: Vec<String>,
    /// The `Authorization` of every request.
    pub(crate) credentials: Vec<Option<String>>,
    /// `Type identifier=system|value` of each `Type/id`.
    pub(crate) tokens: HashMap<String, String>,
    serial: u64,
}

#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) base: String,
    pub(crate) inner: Arc<Mutex<Inner>>,
}

#[derive(Deserialize)]
struct Batch {
    entry: Vec<Entry>,
}
#[derive(Deserialize)]
struct Entry {
    resource: Box<RawValue>,
    request: Request,
}
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    method: String,
    url: String,
    if_none_exist: Option<String>,
    if_match: Option<String>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/fhir", listener.local_addr().unwrap());
        let server = Self { base, inner: Arc::default() };
        let app = Router::new().fallback(handle).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        server
    }

    pub(crate) fn faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.inner.lock().unwrap().faults);
    }

    /// How many resources of a type there are, and how many versions of them.
    pub(crate) fn count(&self, kind: &str) -> (usize, usize) {
        let inner = self.inner.lock().unwrap();
        let of_kind: Vec<_> =
            inner.store.iter().filter(|(key, _)| key.split('/').next() == Some(kind)).collect();
        (of_kind.len(), of_kind.iter().map(|(_, versions)| versions.len()).sum())
    }

    /// The text of the current version of what has this identifier value, and its key.
    pub(crate) fn current(&self, value: &str) -> (String, String) {
        let inner = self.inner.lock().unwrap();
        let mut found = inner.store.iter().filter(|(_, v)| identifier(v.last().unwrap()) == value);
        let (key, versions) = found.next().expect("not stored");
        assert!(found.next().is_none(), "{value} is stored twice");
        (key.clone(), versions.last().unwrap().get().to_owned())
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.inner.lock().unwrap().log)
    }
}

fn identifier(resource: &RawValue) -> String {
    let value: Value = serde_json::from_str(resource.get()).unwrap();
    value["identifier"][0]["value"].as_str().unwrap_or("none").to_owned()
}

async fn handle(
    State(server): State<Server>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().to_owned();
    let search = method == Method::GET || path.ends_with("/_search");
    let barrier = {
        let mut inner = server.inner.lock().unwrap();
        inner.log.push(format!("{method} {path}"));
        let credential = headers.get("authorization").map(|header| header.to_str().unwrap().to_owned());
        inner.credentials.push(credential);
        let canned = inner.faults.next.pop_front();
        let canned = canned.or_else(|| if search { None } else { inner.faults.next_batch.pop_front() });
        if let Some(canned) = canned {
            return answer(canned);
        }
        match &mut inner.faults.together {
            Some((left, barrier)) if search && *left > 0 => {
                *left -= 1;
                Some(barrier.clone())
            }
            _ => None,
        }
    };
    if let Some(barrier) = barrier {
        barrier.wait().await;
    }
    let body = String::from_utf8(body.to_vec()).unwrap();
    let mut inner = server.inner.lock().unwrap();
    if search {
        let refused =
            if method == Method::GET { inner.faults.no_get_search } else { inner.faults.no_post_search };
        if let Some(status) = refused {
            return answer((status, vec![], String::new()));
        }
        let kind = path.trim_start_matches("/fhir/").split('/').next().unwrap().to_owned();
        let query = if method == Method::GET { uri.query().unwrap_or("").to_owned() } else { body };
        return fhir(200, &inner.search(&server.base, &kind, &query));
    }
    match path.strip_prefix("/fhir/") {
        None | Some("") => inner.batch(&body),
        Some(url) => {
            let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
            let request = Request {
                method: method.to_string(),
                url: url.to_owned(),
                if_none_exist: header("if-none-exist"),
                if_match: header("if-match"),
            };
            inner.single(Entry { resource: RawValue::from_string(body).unwrap(), request })
        }
    }
}

fn answer((status, headers, body): Canned) -> Response {
    let mut response = (axum::http::StatusCode::from_u16(status).unwrap(), body).into_response();
    for (name, value) in headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn fhir(status: u16, body: &Value) -> Response {
    answer((status, vec![("content-type", "application/fhir+json".into())], body.to_string()))
}

/// An outcome that gives away what it should not.
fn outcome(code: &str) -> Value {
    json!({ "resourceType": "OperationOutcome", "issue": [{ "severity": "error", "code": code,
        "diagnostics": "weight 72.10 kg of Jane Doe", "expression": ["Observation.value.ofType(Quantity)"] }] })
}

impl Inner {
    fn search(&self, base: &str, kind: &str, query: &str) -> Value {
        let pairs: HashMap<String, String> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let offset: usize = pairs.get("_offset").map_or(0, |offset| offset.parse().unwrap());
        let count: usize = pairs["_count"].parse().unwrap();
        let count = self.faults.page.map_or(count, |page| count.min(page));
        let wanted: Vec<&str> =
            pairs.get("_id").or_else(|| pairs.get("identifier")).unwrap().split(',').collect();
        let matches: Vec<Value> = self
            .store
            .iter()
            .filter_map(|(key, versions)| {
                let (of, id) = key.split_once('/').unwrap();
                let resource: Value = serde_json::from_str(versions.last().unwrap().get()).unwrap();
                if of != kind {
                    return None;
                }
                let identifier = &resource["identifier"][0];
                let token = format!(
                    "{}|{}",
                    identifier["system"].as_str().unwrap(),
                    identifier["value"].as_str().unwrap()
                );
                let hit = if pairs.contains_key("_id") {
                    wanted.contains(&id)
                } else {
                    wanted.contains(&token.as_str())
                };
                hit.then(|| self.summary(id, versions, &resource))
            })
            .collect();
        let mut links = vec![json!({ "relation": "self", "url": base })];
        if matches.len() > offset + count {
            let origin = self.faults.next_origin.as_deref().unwrap_or(base);
            let query: String =
                query.split('&').filter(|p| !p.starts_with("_offset")).collect::<Vec<_>>().join("&");
            let url = format!("{origin}/{kind}?{query}&_offset={}", offset + count);
            links.push(json!({ "relation": "next", "url": url }));
        }
        let entries: Vec<_> = matches
            .into_iter()
            .skip(offset)
            .take(count)
            .map(|resource| json!({ "resource": resource }))
            .collect();
        json!({ "resourceType": "Bundle", "type": "searchset", "link": links, "entry": entries })
    }

    fn summary(&self, id: &str, versions: &[Box<RawValue>], resource: &Value) -> Value {
        let mut summary = resource.clone();
        summary["id"] = json!(id);
        summary["meta"]["versionId"] = json!(versions.len().to_string());
        if self.faults.drop_tags {
            summary["meta"].as_object_mut().unwrap().remove("tag");
        }
        if self.faults.keep_old_tags {
            let tags = versions.iter().flat_map(|version| {
                let version: Value = serde_json::from_str(version.get()).unwrap();
                version["meta"]["tag"].as_array().unwrap().clone()
            });
            let mut all: Vec<Value> = Vec::new();
            tags.for_each(|tag| {
                if !all.contains(&tag) {
                    all.push(tag)
                }
            });
            summary["meta"]["tag"] = json!(all);
        }
        summary.as_object_mut().unwrap().remove("valueQuantity");
        summary
    }

    fn batch(&mut self, body: &str) -> Response {
        let batch: Batch = serde_json::from_str(body).unwrap();
        if let Some(other) = self.faults.meanwhile.take() {
            let token =
                format!("Observation identifier={}|{}", other.identifier.system, other.identifier.value);
            let known = self.tokens.iter().find(|(_, known)| **known == token).map(|(key, _)| key.clone());
            let key = known.unwrap_or_else(|| "Observation/others".to_owned());
            self.tokens.insert(key.clone(), token);
            self.store.entry(key).or_default().push(other.resource);
        }
        if self.faults.max_entries.is_some_and(|max| batch.entry.len() > max) {
            return answer((413, vec![], "<html>too large</html>".into()));
        }
        let poison =
            batch.entry.iter().find_map(|entry| self.faults.poison.get(&identifier(&entry.resource)));
        if let Some(status) = poison {
            return fhir(*status, &outcome("structure"));
        }
        let responses: Vec<_> =
            batch.entry.into_iter().map(|entry| json!({ "response": self.entry(entry) })).collect();
        fhir(200, &json!({ "resourceType": "Bundle", "type": "batch-response", "entry": responses }))
    }

    fn single(&mut self, entry: Entry) -> Response {
        let response = self.entry(entry);
        let status = response["status"].as_str().unwrap()[..3].parse().unwrap();
        let location = response["location"].as_str().map(|at| ("location", at.to_owned()));
        let body = response.get("outcome").map(Value::to_string).unwrap_or_default();
        answer((status, location.into_iter().collect(), body))
    }

    fn entry(&mut self, Entry { resource, request }: Entry) -> Value {
        let refused =
            |status: u16, code: &str| json!({ "status": format!("{status} No"), "outcome": outcome(code) });
        let value: Value = serde_json::from_str(resource.get()).unwrap();
        let name = identifier(&resource);
        match self.faults.entries.get_mut(&name).and_then(VecDeque::pop_front) {
            None | Some(0) => {}
            Some(422) => return refused(422, "invariant"),
            Some(status) => return refused(status, "processing"),
        }
        let (kind, id) = match request.method.as_str() {
            "PUT" => {
                let (kind, id) = request.url.split_once('/').unwrap();
                assert_eq!(value["id"], json!(id), "the id is in the resource");
                (kind.to_owned(), id.to_owned())
            }
            method => {
                assert_eq!(method, "POST");
                assert!(value.get("id").is_none(), "no id on POST");
                let wanted = request.if_none_exist.map(|query| format!("{} {query}", request.url));
                assert!(wanted.is_some() || self.faults.unconditional, "only conditional creation");
                let matches: Vec<_> = self
                    .store
                    .keys()
                    .filter(|key| wanted.is_some() && self.tokens.get(*key) == wanted.as_ref())
                    .cloned()
                    .collect();
                match matches.as_slice() {
                    [] => {}
                    [key] => return json!({ "status": "200 OK", "location": key }),
                    _ => return refused(412, "multiple-matches"),
                }
                self.serial += 1;
                (request.url, self.serial.to_string())
            }
        };
        assert_eq!(value["resourceType"], json!(kind));
        let key = format!("{kind}/{id}");
        let system = value["identifier"][0]["system"].as_str();
        assert!(system.is_some() || self.faults.without_identifier);
        let token = system.unwrap_or("none").to_owned() + "|" + &name;
        self.tokens.insert(key.clone(), format!("{kind} identifier={token}"));
        let versions = self.store.entry(key.clone()).or_default();
        if request.if_match.is_some_and(|wanted| wanted != format!("W/\"{}\"", versions.len())) {
            return refused(412, "conflict");
        }
        versions.push(resource);
        let status = if versions.len() == 1 { "201 Created" } else { "200 OK" };
        let location = format!("https://elsewhere.example/fhir/{key}/_history/{}", versions.len());
        if self.faults.no_location {
            json!({ "status": status })
        } else {
            json!({ "status": status, "location": location })
        }
    }
}
