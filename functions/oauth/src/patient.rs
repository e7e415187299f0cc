//! The patient's own page: how far the first readings are, what is shared, and how to end it. It shows no reading, and
//! not who the patient is; whoever has its address can see it and disconnect, as docs/privacy.md says.

use askama::Template;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use ohx_domain::{Link, LinkState};
use ohx_link::audit;
use ohx_store::TicketKind;
use serde_json::json;

use crate::about::About;
use crate::connect::Chosen;
use crate::notice::{Problem, notice};
use crate::page::{Frame, html};
use crate::progress::{Region, arriving, ended};
use crate::words::Language;
use crate::{Oauth, see_other};

#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    frame: Frame,
    about: About,
    title: &'static str,
    text: String,
    state: LinkState,
    /// What moves while one looks.
    region: Option<Region>,
    /// The address is the clinic's, and ends soon.
    short: bool,
    disconnect: String,
}

impl LinkPage {
    /// The same page in the same language.
    fn here(&self) -> String {
        let path = self.frame.here.as_deref().unwrap_or_default();
        format!("{path}?lang={}", self.frame.language.code())
    }
}

#[derive(Template)]
#[template(path = "sure.html")]
struct SurePage {
    frame: Frame,
    about: About,
    action: String,
    back: String,
}

/// A link by an address of its page: its own, or the clinic's while that is good.
struct Found {
    link: Link,
    kind: TicketKind,
}

async fn find(oauth: &Oauth, ticket: &str) -> Result<Found, Problem> {
    for kind in [TicketKind::Page, TicketKind::Connect] {
        if let Some(id) = oauth.peek(ticket, kind).await? {
            let link = oauth.links.get(id).await.map_err(|e| Problem::out_of_reach(&e))?;
            return Ok(Found { link, kind });
        }
    }
    Err(Problem::Address)
}

/// Whether a consent is what the clinic's address is for, yet.
fn waits(found: &Found) -> bool {
    let waiting = matches!(found.link.state, LinkState::Pending | LinkState::ReauthorizationRequired);
    waiting && found.kind == TicketKind::Connect
}

async fn about(oauth: &Oauth, link: &Link, language: Language) -> Result<About, Problem> {
    About::of(oauth, link, language).await.map_err(|e| Problem::out_of_reach(&e))
}

/// `GET /oauth/link/{ticket}`: somebody has lost the slash.
pub(crate) async fn with_slash(State(oauth): State<Oauth>, Path(ticket): Path<String>) -> Response {
    see_other(&format!("{}/link/{ticket}/", oauth.base))
}

/// `GET /oauth/link/{ticket}/`: how it stands.
pub(crate) async fn page(
    State(oauth): State<Oauth>,
    Path(ticket): Path<String>,
    Query(chosen): Query<Chosen>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(chosen.lang.as_deref(), &headers);
    let path = format!("/link/{ticket}/");
    let shown = async {
        let found = find(&oauth, &ticket).await?;
        if waits(&found) {
            return Ok(see_other(&format!("{}/connect/{ticket}?lang={}", oauth.base, language.code())));
        }
        let Found { link, kind } = found;
        let about = about(&oauth, &link, language).await?;
        let words = &about.words.page;
        let (title, text, region) = match link.state {
            LinkState::Active => {
                let region = arriving(&oauth, &link, &about).await?;
                (words.connected, about.say(words.connected_text), Some(region))
            }
            LinkState::Pending | LinkState::ReauthorizationRequired => {
                (words.broken, about.say(words.broken_text), None)
            }
            LinkState::Disconnected => {
                let (text, region) = ended(&oauth, &link, &about).await?;
                (about.words.end.ended, text, region)
            }
        };
        let page = LinkPage {
            frame: Frame::at(&oauth, language, &path),
            title,
            text,
            state: link.state,
            region,
            short: kind == TicketKind::Connect,
            disconnect: format!("{}{path}disconnect/?lang={}", oauth.base, language.code()),
            about,
        };
        Ok(html(StatusCode::OK, &page))
    };
    let shown: Result<Response, Problem> = shown.await;
    shown.unwrap_or_else(|problem| notice(&oauth, language, problem, None, Some(&path)))
}

/// `GET /oauth/link/{ticket}/disconnect/`: what it would do. Changes nothing.
pub(crate) async fn sure(
    State(oauth): State<Oauth>,
    Path(ticket): Path<String>,
    Query(chosen): Query<Chosen>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(chosen.lang.as_deref(), &headers);
    let path = format!("/link/{ticket}/disconnect/");
    let back = format!("{}/link/{ticket}/?lang={}", oauth.base, language.code());
    let shown = async {
        let found = find(&oauth, &ticket).await?;
        if waits(&found) || found.link.state == LinkState::Disconnected {
            return Ok(see_other(&back));
        }
        let page = SurePage {
            frame: Frame::at(&oauth, language, &path),
            about: about(&oauth, &found.link, language).await?,
            action: format!("{}{path}?lang={}", oauth.base, language.code()),
            back: back.clone(),
        };
        Ok(html(StatusCode::OK, &page))
    };
    let shown: Result<Response, Problem> = shown.await;
    shown.unwrap_or_else(|problem| notice(&oauth, language, problem, None, Some(&path)))
}

/// `POST /oauth/link/{ticket}/disconnect/`: ends the link, and leads back to the page, which shows the receipt.
pub(crate) async fn disconnect(
    State(oauth): State<Oauth>,
    Path(ticket): Path<String>,
    Query(chosen): Query<Chosen>,
    headers: HeaderMap,
) -> Response {
    let language = Language::of(chosen.lang.as_deref(), &headers);
    let back = format!("{}/link/{ticket}/?lang={}", oauth.base, language.code());
    let done = async {
        let found = find(&oauth, &ticket).await?;
        let (link, links) = (&found.link, &oauth.links);
        // An address that was made for a consent ends no link that never had one.
        if waits(&found) || link.state == LinkState::Disconnected {
            return Ok(see_other(&back));
        }
        let ending = links.disconnect(link.id, "disconnected by the patient", false).await;
        ending.map_err(|e| Problem::out_of_reach(&e))?;
        let detail = json!({"provider": link.provider});
        let subject = format!("link:{}", link.id);
        if let Err(error) = audit::note(links.parts(), "patient", "link.disconnect", &subject, &detail).await
        {
            // The link has ended; its receipt says so as well.
            tracing::error!(link = %link.id, %error, "a disconnection is not in the audit log");
        }
        Ok(see_other(&back))
    };
    let done: Result<Response, Problem> = done.await;
    done.unwrap_or_else(|problem| notice(&oauth, language, problem, None, Some(&format!("/link/{ticket}/"))))
}
