//! EHR endpoints: the form, and what it stands for.

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::edit::{Address, EditPage, Kind};
use super::form::{Control, Field, Form, Section, Sent, Values, put};
use super::{Given, Noted, read};
use crate::api::ApiError;
use crate::page;
use crate::session::SignedIn;
use crate::{Console, ConsoleError};

/// An EHR endpoint.
#[derive(Deserialize)]
pub(super) struct Ehr {
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) fhir_version: String,
    auth: String,
    oauth: Option<OAuth>,
    has_secret: bool,
    jwks_uri: Option<String>,
    strategy: String,
    bundle: String,
    batch_size: u64,
    concurrency: u64,
    provenance: bool,
}

#[derive(Deserialize)]
struct OAuth {
    client_id: String,
    token_url: Option<String>,
    scope: Option<String>,
    secret_in: Option<String>,
    algorithm: Option<String>,
    audience: Option<String>,
    issuer: Option<String>,
    subject: Option<String>,
}

/// The ways of authorization with an authorization server, those that sign, and each by itself.
const OAUTH: &str = "smart-backend client-credentials jwt-bearer";
const SIGNS: &str = "smart-backend jwt-bearer";
const CREDENTIALS: &str = "client-credentials";
const JWT: &str = "jwt-bearer";
const BEARER: &str = "bearer";

/// What a scope field says where no scope is to be asked for.
const NO_SCOPE: &str = "none";

impl Ehr {
    /// What somebody should look at.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        (self.auth == "none").then_some("no authorization: for test servers only")
    }

    fn values(&self) -> Values {
        let mut values = Values::default();
        for (id, value) in [
            ("name", &self.name),
            ("base_url", &self.base_url),
            ("fhir_version", &self.fhir_version),
            ("auth", &self.auth),
            ("strategy", &self.strategy),
            ("bundle", &self.bundle),
        ] {
            values.set(id, value);
        }
        values.set("batch_size", self.batch_size.to_string());
        values.set("concurrency", self.concurrency.to_string());
        values.set("provenance", if self.provenance { "yes" } else { "no" });
        if let Some(oauth) = &self.oauth {
            values.set("client_id", &oauth.client_id);
            let scope = oauth.scope.as_deref().map(|scope| if scope.is_empty() { NO_SCOPE } else { scope });
            for (id, value) in [
                ("token_url", oauth.token_url.as_deref()),
                ("scope", scope),
                ("secret_in", oauth.secret_in.as_deref().filter(|_| self.auth == CREDENTIALS)),
                ("algorithm", oauth.algorithm.as_deref()),
                ("audience", oauth.audience.as_deref()),
                ("issuer", oauth.issuer.as_deref()),
                ("subject", oauth.subject.as_deref()),
            ] {
                values.set(id, value.unwrap_or_default());
            }
        }
        values
    }
}

/// What is chosen where nothing is known yet.
fn usual() -> Values {
    let mut values = Values::default();
    for (id, value) in [
        ("fhir_version", "R5"),
        ("auth", "smart-backend"),
        ("strategy", "auto"),
        ("bundle", "batch"),
        ("batch_size", "250"),
        ("concurrency", "8"),
        ("provenance", "yes"),
    ] {
        values.set(id, value);
    }
    values
}

/// The fields.
fn sections(new: bool, has_secret: bool) -> Vec<Section> {
    let secret = if has_secret {
        "One is kept, and shown to nobody. Leave this empty to keep it."
    } else {
        "It is kept sealed, and shown to nobody again."
    };
    let mut first = Vec::new();
    if new {
        let hint =
            "How links call this endpoint: letters, digits and hyphens, such as clinic. It stays as it is.";
        first.push(Field::new("name", "#/name", "Name").hint(hint).required());
    }
    first.extend([
        Field::new("base_url", "#/base_url", "Base URL")
            .hint("Of the FHIR server, without /metadata, such as https://fhir.clinic.example/r5.")
            .control(Control::Url)
            .required(),
        Field::new("fhir_version", "#/fhir_version", "FHIR version").select([
            ("R5", "R5 (5.0.0)"),
            ("R4B", "R4B (4.3.0)"),
            ("R4", "R4 (4.0.1)"),
        ]),
        Field::new("auth", "#/auth", "How Open Health Exchange proves itself")
            .hint("What the EHR's administrator offers; the first is the safest.")
            .select([
                ("smart-backend", "SMART Backend Services: signed with our keys"),
                ("client-credentials", "OAuth 2.0 client with a secret"),
                ("jwt-bearer", "JSON Web Tokens that we sign"),
                ("bearer", "A token that does not end"),
                ("none", "Not at all: for test servers only"),
            ]),
        Field::new("client_id", "#/oauth/client_id", "Client id")
            .hint("As the EHR's administrator has registered Open Health Exchange.")
            .only_for(OAUTH),
        Field::secret("client_secret", "#/client_secret", "Client secret").hint(secret).only_for(CREDENTIALS),
        Field::secret("token", "#/token", "Token").hint(secret).only_for(BEARER),
    ]);
    let tokens = vec![
        Field::new("token_url", "#/oauth/token_url", "Token endpoint")
            .hint("Empty: as the server's smart-configuration says.")
            .control(Control::Url)
            .only_for(OAUTH),
        Field::new("scope", "#/oauth/scope", "Scopes")
            .hint("Separated by blanks. Empty: what Open Health Exchange needs. The word none: no scope is asked for.")
            .only_for(OAUTH),
        Field::new("secret_in", "#/oauth/secret_in", "Where the client secret is sent")
            .select([
                ("", "As usual: in the Authorization header"),
                ("basic", "In the Authorization header"),
                ("body", "In the form"),
            ])
            .only_for(CREDENTIALS),
        Field::new("algorithm", "#/oauth/algorithm", "Signature")
            .select([("", "As the server offers"), ("ES384", "ES384"), ("RS384", "RS384")])
            .only_for(SIGNS),
        Field::new("audience", "#/oauth/audience", "Audience")
            .hint("Empty: the token endpoint's address.")
            .only_for(SIGNS),
        Field::new("issuer", "#/oauth/issuer", "Issuer").hint("Empty: the client id.").only_for(JWT),
        Field::new("subject", "#/oauth/subject", "Subject").hint("Empty: the client id.").only_for(JWT),
    ];
    let writing = vec![
        Field::new("strategy", "#/strategy", "Strategy").hint("How a reading is written only once.").select(
            [
                ("auto", "As the server is able to"),
                ("update", "PUT to ids that we assign"),
                ("conditional-create", "Conditional create"),
                ("search-then-create", "Search, then create"),
            ],
        ),
        Field::new("bundle", "#/bundle", "Sent as")
            .select([("batch", "Batches"), ("transaction", "Transactions")]),
        Field::new("batch_size", "#/batch_size", "Readings in one Bundle")
            .hint("1 to 500.")
            .control(Control::Number),
        Field::new("concurrency", "#/concurrency", "Bundles at the same time")
            .hint("1 to 64.")
            .control(Control::Number),
        Field::new("provenance", "#/provenance", "Provenance")
            .hint("Where readings come from, written with them.")
            .select([("yes", "Written"), ("no", "Not written")]),
    ];
    vec![
        Section { title: "", folded: false, fields: first },
        Section { title: "Advanced: tokens", folded: true, fields: tokens },
        Section { title: "Advanced: how readings are written", folded: true, fields: writing },
    ]
}

/// What the form stands for at the API.
fn body(new: bool, sent: &Sent) -> Value {
    let values = &sent.values;
    let mut body = Map::new();
    if new {
        put(&mut body, "name", values.text("name"));
    }
    for id in ["base_url", "fhir_version", "auth", "strategy", "bundle"] {
        put(&mut body, id, values.text(id));
    }
    for id in ["batch_size", "concurrency"] {
        if let Ok(number) = values.text(id).parse::<u64>() {
            body.insert(id.into(), number.into());
        }
    }
    body.insert("provenance".into(), (values.text("provenance") != "no").into());
    let mut oauth = Map::new();
    for id in ["client_id", "token_url", "scope", "secret_in", "algorithm", "audience", "issuer", "subject"] {
        put(&mut oauth, id, values.text(id));
    }
    if values.text("scope") == NO_SCOPE {
        oauth.insert("scope".into(), "".into());
    }
    let uses = OAUTH.split(' ').any(|auth| auth == values.text("auth"));
    if uses || !oauth.is_empty() {
        // It has to be there, so that what is said is said at its field.
        oauth.entry("client_id").or_insert_with(|| "".into());
        body.insert("oauth".into(), oauth.into());
    }
    for (name, secret) in &sent.secrets {
        put(&mut body, name, secret.expose_secret());
    }
    Value::Object(body)
}

const EHRS: [&str; 2] = ["publishers", "ehr-endpoints"];

fn blank(console: &Console, signed_in: &SignedIn, form: Form) -> EditPage {
    let mut page = EditPage::new(console, signed_in, Kind::Ehr, form);
    page.title = "Add an EHR endpoint".to_owned();
    page.lead = "The FHIR server that readings are written to. Ask the EHR's administrator for the base URL and the authorization. \
                 Where our keys sign, the next page has the address that the administrator registers."
        .to_owned();
    page.action = format!("{}/set-up/new-ehr/", console.base);
    page.button = "Add";
    page
}

/// `GET /console/set-up/new-ehr/`.
pub(crate) async fn new(
    State(console): State<Console>,
    signed_in: SignedIn,
) -> Result<Response, ConsoleError> {
    let form = Form::new(sections(true, false), &usual(), String::new());
    page::html(StatusCode::OK, &blank(&console, &signed_in, form))
}

/// What can be said before the API is asked.
fn check_first(form: &mut Form, sent: &Sent, new: bool) {
    form.check_numbers();
    if new && sent.values.text("name").is_empty() {
        form.against("name", "Give the endpoint a name.");
    }
    if sent.values.text("base_url").is_empty() {
        form.against("base_url", "Enter the base URL of the FHIR server.");
    }
    let uses = OAUTH.split(' ').any(|auth| auth == sent.values.text("auth"));
    if uses && sent.values.text("client_id").is_empty() {
        form.against("client_id", "Enter the client id that the EHR's administrator has registered.");
    }
}

/// `POST /console/set-up/new-ehr/`.
pub(crate) async fn create(
    State(console): State<Console>,
    signed_in: SignedIn,
    given: Given,
) -> Result<Response, Response> {
    let made = async {
        let sent = read(&console, &signed_in, given)?;
        let mut form = Form::new(sections(true, false), &sent.values, String::new());
        check_first(&mut form, &sent, true);
        if !form.wrong() {
            match console.api.post::<Ehr>(&signed_in.key, &EHRS, &body(true, &sent)).await {
                Ok(ehr) => return Ok(console.to(&format!("/set-up/ehrs/{}/?note=added", ehr.name))),
                Err(ApiError::Refused { status: StatusCode::CONFLICT, .. }) => {
                    form.against("name", "There is an endpoint of this name already. Choose another name.");
                }
                Err(error) => super::place(&mut form, error)?,
            }
        }
        page::html(StatusCode::UNPROCESSABLE_ENTITY, &blank(&console, &signed_in, form))
    };
    made.await.map_err(ConsoleError::into_response)
}

fn known(console: &Console, signed_in: &SignedIn, ehr: &Ehr, form: Form) -> EditPage {
    let mut page = EditPage::new(console, signed_in, Kind::Ehr, form);
    page.title = format!("EHR endpoint {}", ehr.name);
    page.lead = "The FHIR server that readings are written to.".to_owned();
    page.action = format!("{}/set-up/ehrs/{}/", console.base, ehr.name);
    page.test = Some(
        "Asks the server, as it is saved, what it is and whether it lets us in. Nothing is written to it.",
    );
    page.missing = ehr.lacks();
    if let Some(jwks) = &ehr.jwks_uri {
        page.registering = "The EHR's administrator registers a client for SMART Backend Services with this address of our public \
                            keys, and the scopes system/Observation.cus, system/Device.cus, system/DeviceAssociation.cus (R5), \
                            system/DeviceDefinition.cus, system/Provenance.cus and system/Patient.rs."
            .to_owned();
        page.addresses.push(Address::new("jwks", "JWKS address", jwks));
    }
    page
}

pub(super) async fn read_one(
    console: &Console,
    signed_in: &SignedIn,
    name: &str,
) -> Result<EditPage, ConsoleError> {
    let address = ["publishers", "ehr-endpoints", name];
    let (ehr, seen): (Ehr, _) = console.api.get_tagged(&signed_in.key, &address).await?;
    let form = Form::new(sections(false, ehr.has_secret), &ehr.values(), seen);
    Ok(known(console, signed_in, &ehr, form))
}

/// `GET /console/set-up/ehrs/{name}/`.
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

/// `POST /console/set-up/ehrs/{name}/`.
pub(crate) async fn save(
    State(console): State<Console>,
    signed_in: SignedIn,
    Path(name): Path<String>,
    given: Given,
) -> Result<Response, Response> {
    let saved = async {
        let sent = read(&console, &signed_in, given)?;
        let (key, address) = (&signed_in.key, ["publishers", "ehr-endpoints", name.as_str()]);
        let (ehr, now): (Ehr, _) = console.api.get_tagged(key, &address).await?;
        let mut form = Form::new(sections(false, ehr.has_secret), &sent.values, sent.seen.clone());
        check_first(&mut form, &sent, false);
        if !form.wrong() {
            match console.api.put::<Ehr>(key, &address, &sent.seen, &body(false, &sent)).await {
                Ok(_) => return Ok(console.to(&format!("/set-up/ehrs/{name}/?note=saved"))),
                Err(ApiError::Refused { status: StatusCode::PRECONDITION_FAILED, .. }) => {
                    form.beside(&sent.values, &ehr.values(), now);
                }
                Err(error) => super::place(&mut form, error)?,
            }
        }
        let status = if form.conflict { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        page::html(status, &known(&console, &signed_in, &ehr, form))
    };
    saved.await.map_err(ConsoleError::into_response)
}
