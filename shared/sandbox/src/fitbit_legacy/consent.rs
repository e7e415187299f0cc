//! The consent page: who are you, and do you agree?

use axum::Form;
use axum::extract::{Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde::Deserialize;
use url::Url;

use super::Simulator;
use crate::page::{Look, escape};

const LOOK: Look = Look { title: "Sandbox for Fitbit (legacy)", colour: "#0b5d51" };
const DECLINE: &str = "decline";

/// The parameters of an authorization request (RFC 6749 section 4.1.1, RFC 7636), and the person's decision.
#[derive(Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    response_type: String,
    #[serde(default)]
    client_id: String,
    #[serde(default)]
    pub(super) redirect_uri: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    pub(super) code_challenge: String,
    #[serde(default)]
    code_challenge_method: String,
    #[serde(default)]
    user: String,
    /// Scopes that the person takes out, with blanks between them.
    #[serde(default)]
    without: String,
}

impl Request {
    /// What is wrong with it. Nothing of it is sent to a redirect URL that is not the client's.
    fn check(&self, sim: &Simulator) -> Result<Url, &'static str> {
        if self.client_id != sim.0.config.client_id {
            return Err("client_id is not the client's");
        }
        if !sim.state().redirects.contains(&self.redirect_uri) {
            return Err("redirect_uri is not registered for this client");
        }
        if self.response_type != "code" || self.scope.is_empty() {
            return Err("response_type must be code, and scope must not be empty");
        }
        if self.code_challenge.len() < 43 || self.code_challenge_method != "S256" {
            return Err("code_challenge must be one of S256");
        }
        Url::parse(&self.redirect_uri).map_err(|_| "redirect_uri is not a URL")
    }

    /// What the person agrees to.
    pub(super) fn scopes(&self) -> Vec<String> {
        let without: Vec<&str> = self.without.split_whitespace().collect();
        self.scope.split_whitespace().filter(|scope| !without.contains(scope)).map(str::to_owned).collect()
    }
}

/// `GET /oauth2/authorize`: one button a person, and one to decline.
pub(super) async fn page(Shared(sim): Shared<Simulator>, Query(request): Query<Request>) -> Response {
    if let Err(why) = request.check(&sim) {
        return LOOK.refuse(why);
    }
    let hidden: String = [
        ("response_type", &request.response_type),
        ("client_id", &request.client_id),
        ("redirect_uri", &request.redirect_uri),
        ("state", &request.state),
        ("scope", &request.scope),
        ("code_challenge", &request.code_challenge),
        ("code_challenge_method", &request.code_challenge_method),
    ]
    .map(|(name, value)| format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escape(value)))
    .concat();
    let button = |id: &str, name: &str| {
        format!("<button name=\"user\" value=\"{}\">{}</button>\n", escape(id), escape(name))
    };
    let buttons: String = sim.persons().iter().map(|person| button(&person.id, &person.name)).collect();
    let body = format!(
        "<h1>Sandbox for Fitbit (legacy)</h1>\n<p>An application asks for: <strong>{}</strong>.</p>\n\
         <p>Who are you? Choosing a person is your consent. None of them is real.</p>\n\
         <form method=\"post\" action=\"/oauth2/authorize\">\n{hidden}{buttons}\
         <button class=\"quiet\" name=\"user\" value=\"{DECLINE}\">Decline</button>\n</form>",
        escape(&request.scope)
    );
    Html(LOOK.document(&body)).into_response()
}

/// `POST /oauth2/authorize`: back to the client, with a code or without.
pub(super) async fn decide(Shared(sim): Shared<Simulator>, Form(request): Form<Request>) -> Response {
    let mut back = match request.check(&sim) {
        Ok(back) => back,
        Err(why) => return LOOK.refuse(why),
    };
    if request.user == DECLINE {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else if sim.persons().iter().any(|person| person.id == request.user) {
        let code = sim.issue_code(&request.user, &request);
        back.query_pairs_mut().append_pair("code", &code);
    } else {
        return LOOK.refuse("no such person");
    }
    back.query_pairs_mut().append_pair("state", &request.state);
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}
