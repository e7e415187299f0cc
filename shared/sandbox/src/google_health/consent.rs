//! The consent page: who are you, to what do you agree?

use axum::extract::{RawQuery, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use url::{Url, form_urlencoded};

use super::Simulator;
use crate::page::{Look, escape};

const LOOK: Look = Look { title: "Sandbox for Google Health", colour: "#174ea6" };
const DECLINE: &str = "decline";
/// What of a request goes on to the decision.
const KEPT: [&str; 9] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "access_type",
    "prompt",
    "code_challenge",
    "code_challenge_method",
];

/// The parameters of a request, and the person's decision. `untick` may come often.
pub(super) struct Request(Vec<(String, String)>);

impl Request {
    fn read(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The scopes that the person leaves ticked.
    pub(super) fn granted(&self) -> Vec<String> {
        let unticked = |scope: &str| self.0.iter().any(|(name, value)| name == "untick" && value == scope);
        let all = self.get("scope").split(' ').filter(|scope| !scope.is_empty() && !unticked(scope));
        all.map(str::to_owned).collect()
    }

    /// What is wrong with it. Nothing of it is sent to a redirect URL that is not the client's.
    fn check(&self, sim: &Simulator) -> Result<Url, &'static str> {
        if self.get("client_id") != sim.0.config.client_id {
            return Err("client_id is not the client's");
        }
        let redirect = self.get("redirect_uri");
        if !sim.state().redirects.iter().any(|known| known == redirect) {
            return Err("redirect_uri is not registered for this client");
        }
        if self.get("response_type") != "code" {
            return Err("response_type must be code");
        }
        let known = |scope: &str| {
            matches!(scope, "openid" | "email" | "profile")
                || scope.starts_with("https://www.googleapis.com/auth/googlehealth.")
        };
        if self.get("scope").is_empty() || !self.get("scope").split(' ').all(known) {
            return Err("scope must be full URLs, separated by spaces");
        }
        if !self.get("code_challenge").is_empty() && self.get("code_challenge_method") != "S256" {
            return Err("code_challenge_method must be S256");
        }
        Url::parse(redirect).map_err(|_| "redirect_uri is not a URL")
    }
}

/// `GET /o/oauth2/v2/auth`: a box a scope, one button a person, and one to decline.
pub(super) async fn page(Shared(sim): Shared<Simulator>, RawQuery(query): RawQuery) -> Response {
    let request = Request::read(query.as_deref().unwrap_or_default());
    if let Err(why) = request.check(&sim) {
        return LOOK.refuse(why);
    }
    let hidden = KEPT.map(|name| {
        format!("<input type=\"hidden\" name=\"{name}\" value=\"{}\">\n", escape(request.get(name)))
    });
    let boxes = request.granted().into_iter().map(|scope| {
        let scope = escape(&scope);
        format!(
            "<label><input type=\"checkbox\" name=\"untick\" value=\"{scope}\"> not {scope}</label><br>\n"
        )
    });
    let buttons = sim.persons().into_iter().map(|person| {
        format!("<button name=\"user\" value=\"{}\">{}</button>\n", person.id, escape(&person.name))
    });
    let body = format!(
        "<h1>Sandbox for Google Health</h1>\n<p>Who are you? Choosing a person is your consent. None of them is real.</p>\n\
         <form method=\"post\" action=\"/o/oauth2/v2/auth\">\n{}{}{}\
         <button class=\"quiet\" name=\"user\" value=\"{DECLINE}\">Decline</button>\n</form>",
        hidden.concat(),
        boxes.collect::<String>(),
        buttons.collect::<String>()
    );
    Html(LOOK.document(&body)).into_response()
}

/// `POST /o/oauth2/v2/auth`: back to the client, with a code or without.
pub(super) async fn decide(Shared(sim): Shared<Simulator>, body: String) -> Response {
    let request = Request::read(&body);
    let mut back = match request.check(&sim) {
        Ok(back) => back,
        Err(why) => return LOOK.refuse(why),
    };
    let user = request.get("user");
    back.query_pairs_mut().append_pair("state", request.get("state"));
    if user == DECLINE {
        back.query_pairs_mut().append_pair("error", "access_denied");
    } else {
        let Some(person) = sim.persons().into_iter().find(|person| person.id.to_string() == user) else {
            return LOOK.refuse("no such person");
        };
        let code = sim.issue_code(person.id, &request);
        back.query_pairs_mut().append_pair("code", &code).append_pair("scope", &request.granted().join(" "));
    }
    (StatusCode::SEE_OTHER, [(header::LOCATION, back.to_string())]).into_response()
}
