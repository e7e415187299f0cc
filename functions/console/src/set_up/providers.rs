//! Provider apps: the form, and what it stands for.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::edit::{Address, EditPage, Kind};
use super::form::{Control, Field, Form, Section, Sent, Values, put, sentence};
use super::{Given, Noted, read, words};
use crate::api::ApiError;
use crate::page::{self, Frame};
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// A type of provider.
#[derive(Deserialize)]
pub(super) struct Type {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) title: String,
    pub(super) consent: bool,
    push: bool,
    requests_per_minute: u32,
    records: Vec<TypeRecord>,
    base_urls: Vec<String>,
    secrets: Vec<Named>,
    options: Vec<Named>,
}

#[derive(Deserialize)]
struct TypeRecord {
    record: String,
    by_default: bool,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    about: String,
}

/// A provider app.
#[derive(Deserialize)]
pub(super) struct App {
    pub(super) name: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) client_id: String,
    pub(super) has_secret: bool,
    redirect_uri: String,
    notification_uri: String,
    base_urls: BTreeMap<String, String>,
    scopes: Vec<String>,
    records: Vec<String>,
    requests_per_minute: Option<u32>,
    notify_from: Vec<String>,
    options: BTreeMap<String, String>,
}

impl App {
    /// What is missing before patients can connect.
    pub(super) fn lacks(&self, consent: bool) -> Option<&'static str> {
        if !consent {
            return None;
        }
        match (self.client_id.is_empty(), self.has_secret) {
            (true, _) => Some("the client id is missing"),
            (false, false) => Some("the client secret is missing"),
            (false, true) => None,
        }
    }

    fn values(&self) -> Values {
        let mut values = Values::default();
        values.set("name", &self.name);
        values.set("client_id", &self.client_id);
        for (name, url) in &self.base_urls {
            values.set(format!("base_url-{name}"), url);
        }
        for (name, option) in &self.options {
            values.set(format!("option-{name}"), option);
        }
        values.set("scopes", self.scopes.join(" "));
        values.set_all("records", self.records.iter().cloned());
        values.set("requests_per_minute", self.requests_per_minute.map_or(String::new(), |n| n.to_string()));
        values.set("notify_from", self.notify_from.join(" "));
        values
    }
}

/// The fields for an app of a type.
fn sections(kind: &Type, new: bool, has_secret: bool) -> Vec<Section> {
    let kept = |has: bool| {
        if has {
            "One is kept, and shown to nobody. Leave this empty to keep it."
        } else {
            "It is kept sealed, and shown to nobody again."
        }
    };
    let mut first = Vec::new();
    if new {
        let hint = "How links and addresses call this app: letters, digits and hyphens, such as withings. It stays as it is.";
        first.push(Field::new("name", "#/name", "Name").hint(hint).required());
    }
    let client = "The app's id at the provider. If you have none yet, leave this empty and save: the next page has the addresses \
                  that the provider asks for first.";
    let other_type = "Any word: this type of provider has none.";
    first.push(Field::new("client_id", "#/client_id", "Client id").hint(if kind.consent {
        client
    } else {
        other_type
    }));
    if kind.consent {
        first.push(Field::secret("client_secret", "#/client_secret", "Client secret").hint(kept(has_secret)));
    }
    for Named { name, about } in &kind.secrets {
        let hint = format!("{} Secrets are replaced together: who enters one enters all.", sentence(about));
        first.push(
            Field::secret(name, format!("#/secrets/{name}"), format!("Secret: {name}"))
                .hint(format!("{hint} {}", kept(has_secret))),
        );
    }
    let options = kind.options.iter().map(|Named { name, about }| {
        let field =
            Field::new(format!("option-{name}"), format!("#/options/{name}"), format!("Option: {name}"));
        let lines = name == "contract";
        field.hint(sentence(about)).control(if lines { Control::Lines } else { Control::Text })
    });
    let records = kind.records.iter().map(|record| (record.record.as_str(), record.record.as_str()));
    let usual: Vec<&str> =
        kind.records.iter().filter(|record| record.by_default).map(|record| record.record.as_str()).collect();
    let mut reading = vec![
        Field::new("records", "#/records", "Records that are read")
            .hint(format!("None chosen: {}.", usual.join(", ")))
            .boxes(records),
    ];
    reading.extend(options);
    let mut rare = vec![
        Field::new("scopes", "#/scopes", "Scopes")
            .hint("What patients are asked to allow, separated by blanks. Empty: what the records need."),
        Field::new("requests_per_minute", "#/requests_per_minute", "Requests per minute")
            .hint(format!(
                "What all patients of this app share. Empty: {}, as the provider's usual plan allows.",
                kind.requests_per_minute
            ))
            .control(Control::Number),
    ];
    if kind.push {
        let hint = "Networks, such as 192.0.2.0/24, separated by blanks. Empty: from anywhere, and proven otherwise.";
        rare.push(Field::new("notify_from", "#/notify_from", "Where notifications may come from").hint(hint));
    }
    rare.extend(kind.base_urls.iter().map(|name| {
        Field::new(format!("base_url-{name}"), format!("#/base_urls/{name}"), format!("Base URL: {name}"))
            .hint(words::base_url(name))
            .control(Control::Url)
    }));
    vec![
        Section { title: "", folded: false, fields: first },
        Section { title: "What is read", folded: true, fields: reading },
        Section { title: "Advanced: limits and addresses", folded: true, fields: rare },
    ]
}

/// What the form stands for at the API.
fn body(kind: &Type, new: bool, sent: &Sent) -> Value {
    let values = &sent.values;
    let mut body = Map::new();
    if new {
        put(&mut body, "name", values.text("name"));
    }
    body.insert("type".into(), kind.kind.as_str().into());
    body.insert("client_id".into(), values.text("client_id").into());
    let texts = |prefix: &str, names: &mut dyn Iterator<Item = &String>| {
        let mut object = Map::new();
        for name in names {
            put(&mut object, name, values.text(&format!("{prefix}-{name}")));
        }
        Value::Object(object)
    };
    body.insert("base_urls".into(), texts("base_url", &mut kind.base_urls.iter()));
    body.insert("options".into(), texts("option", &mut kind.options.iter().map(|option| &option.name)));
    body.insert("scopes".into(), values.words("scopes").into());
    body.insert("records".into(), values.all("records").into());
    body.insert("notify_from".into(), values.words("notify_from").into());
    if let Ok(number) = values.text("requests_per_minute").parse::<u64>() {
        body.insert("requests_per_minute".into(), number.into());
    }
    let mut others = Map::new();
    for (name, secret) in &sent.secrets {
        if name == "client_secret" {
            put(&mut body, name, secret.expose_secret());
        } else {
            put(&mut others, name, secret.expose_secret());
        }
    }
    body.insert("secrets".into(), others.into());
    Value::Object(body)
}

const APPS: [&str; 2] = ["base", "providers"];

async fn types(console: &Console, key: &SecretString) -> Result<Vec<Type>, ApiError> {
    console.api.all(key, &["base", "provider-types"]).await
}

async fn type_of(console: &Console, key: &SecretString, kind: &str) -> Result<Type, ConsoleError> {
    types(console, key).await?.into_iter().find(|known| known.kind == kind).ok_or(ConsoleError::NotFound)
}

#[derive(Deserialize)]
pub(crate) struct Chosen {
    #[serde(default, rename = "type")]
    kind: String,
}

#[derive(askama::Template)]
#[template(path = "set-up-types.html")]
struct TypesPage {
    frame: Frame,
    types: Vec<Type>,
}

/// `GET /console/set-up/new-provider/`: which type; with `?type=`, the form for it.
pub(crate) async fn new(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(chosen): Query<Chosen>,
) -> Result<Response, ConsoleError> {
    if chosen.kind.is_empty() {
        let frame = Frame::new(&console, Some(&signed_in.session)).below("/set-up/");
        let types = types(&console, &signed_in.key).await?;
        return page::html(StatusCode::OK, &TypesPage { frame, types });
    }
    let kind = type_of(&console, &signed_in.key, &chosen.kind).await?;
    let mut values = Values::default();
    values.set("name", &kind.kind);
    if !kind.consent {
        values.set("client_id", "none");
    }
    let form = Form::new(sections(&kind, true, false), &values, String::new());
    page::html(StatusCode::OK, &blank(&console, &signed_in, &kind, form))
}

fn blank(console: &Console, signed_in: &SignedIn, kind: &Type, form: Form) -> EditPage {
    let mut page = EditPage::new(console, signed_in, Kind::Provider, form);
    page.title = "Add a provider app".to_owned();
    page.lead = format!("{}. {}", kind.title, words::registering(&kind.kind));
    page.action = format!("{}/set-up/new-provider/?type={}", console.base, kind.kind);
    page.button = "Add";
    page
}

/// `POST /console/set-up/new-provider/`.
pub(crate) async fn create(
    State(console): State<Console>,
    signed_in: SignedIn,
    Query(chosen): Query<Chosen>,
    given: Given,
) -> Result<Response, Response> {
    let made = async {
        let sent = read(&console, &signed_in, given)?;
        let kind = type_of(&console, &signed_in.key, &chosen.kind).await?;
        let mut form = Form::new(sections(&kind, true, false), &sent.values, String::new());
        form.check_numbers();
        if sent.values.text("name").is_empty() {
            form.against("name", "Give the app a name.");
        }
        if !form.wrong() {
            match console.api.post::<App>(&signed_in.key, &APPS, &body(&kind, true, &sent)).await {
                Ok(app) => {
                    return Ok(console.to(&format!("/set-up/providers/{}/?note=added", app.name)));
                }
                Err(ApiError::Refused { status: StatusCode::CONFLICT, .. }) => {
                    form.against("name", "There is an app of this name already. Choose another name.");
                }
                Err(error) => super::place(&mut form, error)?,
            }
        }
        page::html(StatusCode::UNPROCESSABLE_ENTITY, &blank(&console, &signed_in, &kind, form))
    };
    made.await.map_err(ConsoleError::into_response)
}

fn known(console: &Console, signed_in: &SignedIn, kind: &Type, app: &App, form: Form) -> EditPage {
    let mut page = EditPage::new(console, signed_in, Kind::Provider, form);
    page.title = format!("Provider app {}", app.name);
    page.lead = format!("{}.", kind.title);
    page.action = format!("{}/set-up/providers/{}/", console.base, app.name);
    page.button = "Save";
    page.test = Some(if kind.consent {
        "Asks the provider whether it takes the client id and the secret that are saved. No patient is needed."
    } else {
        "Says whether there is anything to ask."
    });
    page.missing = app.lacks(kind.consent);
    if kind.consent {
        page.registering = words::registering(&kind.kind).to_owned();
        page.addresses.push(Address::new("redirect", "Redirect address", &app.redirect_uri));
        if kind.push {
            page.addresses.push(Address::new(
                "notification",
                "Address for notifications",
                &app.notification_uri,
            ));
        }
    }
    page
}

/// `GET /console/set-up/providers/{name}/`.
pub(crate) async fn one(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    Query(noted): Query<Noted>,
) -> Result<Response, ConsoleError> {
    let mut page = read_one(&console, &signed_in, &name).await?;
    page.note = noted.text();
    page::html(StatusCode::OK, &page)
}

pub(super) async fn read_one(
    console: &Console,
    signed_in: &SignedIn,
    name: &str,
) -> Result<EditPage, ConsoleError> {
    let key = &signed_in.key;
    let (app, seen): (App, _) = console.api.get_tagged(key, &["base", "providers", name]).await?;
    let kind = type_of(console, key, &app.kind).await?;
    let form = Form::new(sections(&kind, false, app.has_secret), &app.values(), seen);
    Ok(known(console, signed_in, &kind, &app, form))
}

/// `POST /console/set-up/providers/{name}/`.
pub(crate) async fn save(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    given: Given,
) -> Result<Response, Response> {
    let saved = async {
        let sent = read(&console, &signed_in, given)?;
        let (key, address) = (&signed_in.key, ["base", "providers", name.as_str()]);
        let (app, now): (App, _) = console.api.get_tagged(key, &address).await?;
        let kind = type_of(&console, key, &app.kind).await?;
        let sections = sections(&kind, false, app.has_secret);
        let mut form = Form::new(sections, &sent.values, sent.seen.clone());
        form.check_numbers();
        if !form.wrong() {
            match console.api.put::<App>(key, &address, &sent.seen, &body(&kind, false, &sent)).await {
                Ok(_) => return Ok(console.to(&format!("/set-up/providers/{name}/?note=saved"))),
                Err(ApiError::Refused { status: StatusCode::PRECONDITION_FAILED, .. }) => {
                    form.beside(&sent.values, &app.values(), now);
                }
                Err(error) => super::place(&mut form, error)?,
            }
        }
        let status = if form.conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        page::html(status, &known(&console, &signed_in, &kind, &app, form))
    };
    saved.await.map_err(ConsoleError::into_response)
}
