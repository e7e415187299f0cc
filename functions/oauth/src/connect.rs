//! The page that the clinic's address opens, and its answer: yes, which begins a consent, or no.

use askama::Template;
use axum::extract::rejection::FormRejection;
use axum::extract::{Form, Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ohx_domain::{Link, LinkState};
use ohx_link::{LinkError, ticket};
use ohx_store::TicketKind;
use serde::Deserialize;

use crate::about::About;
use crate::notice::{Notice, Problem, allowed, notice, sent_to};
use crate::page::{Frame, html};
use crate::words::Language;
use crate::{Oauth, callback, cookies, guard, see_other};

/// How long a patient may take at the provider.
const CONSENT: std::time::Duration = std::time::Duration::from_secs(15 * 60);

/// The language that was chosen on a page.
#[derive(Deserialize)]
pub(crate) struct Chosen {
    pub(crate) lang: Option<String>,
}

/// What the form says.
#[derive(Deserialize)]
pub(crate) struct Answer {
    answer: String,
    lang: Option<String>,
}

#[derive(Template)]
#[template(path = "connect.html")]
struct ConnectPage {
    frame: Frame,
    about: About,
    /// The patient was connected before.
    again: bool,
    /// From when on there will be readings.
    past: String,
    action: String,
}

/// A link that waits for a consent, or its page where it has one.
enum Found {
    Waiting(Box<Link>),
    Page,
}

async fn find(oauth: &Oauth, ticket: &str) -> Result<Found, Problem> {
    let id = oauth.peek(ticket, TicketKind::Connect).await?.ok_or(Problem::Address)?;
    let link = oauth.links.get(id).await.map_err(|e| Problem::out_of_reach(&e))?;
    Ok(match link.state {
        LinkState::Pending | LinkState::ReauthorizationRequired => Found::Waiting(Box::new(link)),
        LinkState::Active | LinkState::Disconnected => Found::Page,
    })
}

/// The page of a link that is connected, or was: at the same ticket, which is as good for it as long as it lasts.
fn to_page(oauth: &Oauth, ticket: &str, chosen: Option<Language>) -> Response {
    let lang = chosen.map(|language| format!("?lang={}", language.code())).unwrap_or_default();
    see_other(&format!("{}/link/{ticket}/{lang}", oauth.base))
}

/// `GET /oauth/connect/{ticket}`: what it is about. Changes nothing.
pub(crate) async fn page(
    State(oauth): State<Oauth>,
    Path(ticket): Path<String>,
    Query(chosen): Query<Chosen>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(chosen.lang.as_deref(), &headers);
    let path = format!("/connect/{ticket}");
    let shown = async {
        let link = match find(&oauth, &ticket).await? {
            Found::Waiting(link) => link,
            Found::Page => {
                return Ok(to_page(&oauth, &ticket, chosen.lang.as_deref().and_then(Language::parse)));
            }
        };
        let about = About::of(&oauth, &link, language).await.map_err(|e| Problem::out_of_reach(&e))?;
        if about.app.is_none() {
            return Err(Problem::out_of_reach(&LinkError::NoApp(link.provider)));
        }
        let page = ConnectPage {
            frame: Frame::at(&oauth, language, &path),
            again: link.state == LinkState::ReauthorizationRequired,
            past: past(&about, &link),
            action: format!("{}{path}", oauth.base),
            about,
        };
        let mut response = html(StatusCode::OK, &page);
        let policy = HeaderValue::from_static(guard::LEADS_AWAY);
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
        Ok(response)
    };
    let shown: Result<Response, Problem> = shown.await;
    shown.unwrap_or_else(|problem| notice(&oauth, language, problem, None, Some(&path)))
}

fn past(about: &About, link: &Link) -> String {
    let words = about.words;
    let text = &words.connect;
    if let Some(start) = link.history_start {
        let day = start.to_zoned(jiff::tz::TimeZone::UTC).date();
        return about.say_with(text.past_since, &[("date", &words.day(day))]);
    }
    match link.backfill_days {
        0 => about.say(text.past_none),
        1 => about.say(text.past_day),
        days => about.say_with(text.past_days, &[("days", &words.number(days.into()))]),
    }
}

/// `POST /oauth/connect/{ticket}`: on to the provider, or no.
pub(crate) async fn answer(
    State(oauth): State<Oauth>,
    Path(ticket): Path<String>,
    headers: HeaderMap,
    form: Result<Form<Answer>, FormRejection>,
) -> Response {
    let Ok(Form(form)) = form else {
        return notice(&oauth, Language::of(None, &headers), Problem::Foreign, None, None);
    };
    let language = Language::of(form.lang.as_deref(), &headers);
    let answered = async {
        let link = match find(&oauth, &ticket).await? {
            Found::Waiting(link) => link,
            Found::Page => return Ok(to_page(&oauth, &ticket, Some(language))),
        };
        match form.answer.as_str() {
            "continue" => begin(&oauth, &link, language).await,
            "decline" => {
                tracing::info!(link = %link.id, "the patient declined");
                if let Some(target) = allowed(&oauth, link.id, link.error_url.as_deref()) {
                    return Ok(sent_to(target, link.id, Problem::Declined.word()));
                }
                let (base, code) = (&oauth.base, language.code());
                Ok(see_other(&format!("{base}/connect/{ticket}/declined/?lang={code}")))
            }
            _ => Err(Problem::Foreign),
        }
    };
    let answered: Result<Response, Problem> = answered.await;
    let path = format!("/connect/{ticket}");
    answered.unwrap_or_else(|problem| notice(&oauth, language, problem, None, Some(&path)))
}

async fn begin(oauth: &Oauth, link: &Link, language: Language) -> Result<Response, Problem> {
    let (links, parts) = (&oauth.links, oauth.links.parts());
    let (app, provider) = links.app(&link.provider).await.map_err(|e| Problem::out_of_reach(&e))?;
    let state = ticket::issue(parts, link.id, TicketKind::State, CONSENT).await;
    let state = state.map_err(|e| Problem::out_of_reach(&LinkError::Store(e)))?;
    let verifier = callback::new_verifier();
    let redirect = callback::redirect_uri(links, &link.provider);
    let target = provider
        .authorize_url(&app, &redirect, &state, &verifier)
        .map_err(|source| Problem::out_of_reach(&LinkError::provider(link.id, source)))?;
    let mut response = see_other(target.as_str());
    let secure = parts.public_url.scheme() == "https";
    cookies::set(response.headers_mut(), &state, &verifier, language, secure);
    Ok(response)
}

/// `GET /oauth/connect/{ticket}/declined/`: nothing has changed.
pub(crate) async fn declined(
    State(oauth): State<Oauth>,
    Path(ticket): Path<String>,
    Query(chosen): Query<Chosen>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(chosen.lang.as_deref(), &headers);
    let path = format!("/connect/{ticket}/declined/");
    let shown = async {
        let link = match find(&oauth, &ticket).await? {
            Found::Waiting(link) => link,
            Found::Page => return Ok(to_page(&oauth, &ticket, Some(language))),
        };
        let about = About::of(&oauth, &link, language).await.map_err(|e| Problem::out_of_reach(&e))?;
        let words = &about.words.notices;
        let back = format!("{}/connect/{ticket}?lang={}", oauth.base, language.code());
        let page = Notice {
            frame: Frame::at(&oauth, language, &path),
            title: words.declined.to_owned(),
            text: about.say(words.declined_text),
            link: Some((back, words.look_again)),
        };
        Ok(html(StatusCode::OK, &page))
    };
    let shown: Result<Response, Problem> = shown.await;
    shown.unwrap_or_else(|problem| notice(&oauth, language, problem, None, Some(&path)))
}
