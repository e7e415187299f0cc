//! Who is signed in: an API key, sealed in a cookie. The console itself remembers nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use data_encoding::BASE64URL_NOPAD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use ohx_domain::{Clock, Instant};
use ohx_runtime::{SettingError, Settings};
use ohx_seal::{Keyring, generate_key};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{Console, ConsoleError, StartError};

/// How long a sign-in lasts.
const LASTS: Duration = Duration::from_secs(12 * 3600);

/// The longest key that is taken, in characters: browsers keep cookies of 4096 bytes.
pub(crate) const LONGEST_KEY: usize = 2000;

const SECRET: &str = "the console's own key, as <id>:<32 bytes in base64>, and former ones behind it after commas; \
                      make one with: ohx keys new";

/// A sign-in, or what stands in for one while somebody fills in its form.
pub(crate) struct Session {
    id: [u8; 16],
    until: Instant,
    key: Option<SecretString>,
}

/// Which of the two cookies.
#[derive(Clone, Copy)]
enum Cookie {
    /// Of a sign-in.
    SignIn,
    /// Of the form to sign in with. It has a name of its own: who follows a link from another site seems signed out, and
    /// must not lose the sign-in by that.
    Form,
}

/// Opens and seals them.
pub(crate) struct Sessions {
    keyring: Keyring,
    secure: bool,
    path: String,
    clock: Arc<dyn Clock>,
}

impl Sessions {
    pub(crate) fn new(
        settings: &Settings,
        secure: bool,
        path: &str,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StartError> {
        let keyring = match settings.text("OHX_CONSOLE_SECRET") {
            Some(text) => Keyring::parse(&text.into()).map_err(|_| SettingError::Wrong {
                name: "OHX_CONSOLE_SECRET",
                expected: SECRET.into(),
                shown: None,
            })?,
            None => {
                tracing::info!(
                    "OHX_CONSOLE_SECRET is not set: sign-ins at the console end with this process"
                );
                Keyring::parse(&format!("start:{}", generate_key().expose_secret()).into())?
            }
        };
        Ok(Self { keyring, secure, path: format!("{path}/"), clock })
    }

    /// The time.
    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    /// A new sign-in with a key.
    pub(crate) fn begin(&self, key: SecretString) -> Session {
        Session { id: rand::random(), until: self.clock.now() + LASTS, key: Some(key) }
    }

    /// Whoever is signed in.
    ///
    /// # Errors
    /// [`ConsoleError::Ended`] where somebody was.
    pub(crate) fn find(&self, headers: &HeaderMap) -> Result<Option<Session>, ConsoleError> {
        match self.sent(headers, Cookie::SignIn) {
            None => Ok(None),
            Some(text) => self.open(text).filter(|s| s.key.is_some()).map(Some).ok_or(ConsoleError::Ended),
        }
    }

    /// What stands for the form to sign in with: as the browser has it, or new.
    pub(crate) fn form(&self, headers: &HeaderMap) -> Session {
        let known = self.sent(headers, Cookie::Form).and_then(|text| self.open(text));
        known.unwrap_or_else(|| Session { id: rand::random(), until: self.clock.now() + LASTS, key: None })
    }

    /// Gives the sign-in to the browser.
    pub(crate) fn keep(&self, session: &Session, headers: &mut HeaderMap) {
        let which = if session.key.is_some() { Cookie::SignIn } else { Cookie::Form };
        self.set(which, &self.seal(session), LASTS.as_secs(), headers);
    }

    /// Takes it away from the browser.
    pub(crate) fn clear(&self, headers: &mut HeaderMap) {
        self.set(Cookie::SignIn, "", 0, headers);
    }

    /// A token for the forms of a page, good for this sign-in only. Another one on every page.
    pub(crate) fn token(&self, session: &Session) -> String {
        let id = BASE64URL_NOPAD.encode(&session.id);
        // A cipher refuses only what is larger than any memory; such a token would fit nothing.
        let sealed = self.keyring.seal(&["console", "form", &id], &[]).unwrap_or_default();
        BASE64URL_NOPAD.encode(&sealed)
    }

    /// Whether a token was made for this sign-in.
    ///
    /// # Errors
    /// [`ConsoleError::Stale`].
    pub(crate) fn check(&self, session: &Session, token: &str) -> Result<(), ConsoleError> {
        let id = BASE64URL_NOPAD.encode(&session.id);
        let sealed = BASE64URL_NOPAD.decode(token.as_bytes()).map_err(|_| ConsoleError::Stale)?;
        match self.keyring.open(&["console", "form", &id], &sealed) {
            Ok(_) => Ok(()),
            Err(_) => Err(ConsoleError::Stale),
        }
    }

    fn seal(&self, session: &Session) -> String {
        let mut plain = session.until.as_second().to_be_bytes().to_vec();
        plain.extend_from_slice(&session.id);
        if let Some(key) = &session.key {
            plain.extend_from_slice(key.expose_secret().as_bytes());
        }
        BASE64URL_NOPAD.encode(&self.keyring.seal(&["console", "session"], &plain).unwrap_or_default())
    }

    fn open(&self, text: &str) -> Option<Session> {
        let sealed = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let plain = self.keyring.open(&["console", "session"], &sealed).ok()?;
        let (until, rest) = plain.split_first_chunk::<8>()?;
        let (id, key) = rest.split_first_chunk::<16>()?;
        let until =
            Instant::from_second(i64::from_be_bytes(*until)).ok().filter(|&t| self.clock.now() < t)?;
        let key = String::from_utf8(key.to_vec()).ok()?;
        let key = (!key.is_empty()).then(|| key.into());
        Some(Session { id: *id, until, key })
    }

    /// With `__Host-` a browser takes the cookie from nobody but this host, over TLS.
    fn name(&self, which: Cookie) -> &'static str {
        match (which, self.secure) {
            (Cookie::SignIn, true) => "__Host-ohx-console",
            (Cookie::SignIn, false) => "ohx-console",
            (Cookie::Form, true) => "__Host-ohx-console-form",
            (Cookie::Form, false) => "ohx-console-form",
        }
    }

    fn sent<'a>(&self, headers: &'a HeaderMap, which: Cookie) -> Option<&'a str> {
        let pairs = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
        let mut pairs = pairs.flat_map(|v| v.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(name, _)| *name == self.name(which)).map(|(_, value)| value)
    }

    fn set(&self, which: Cookie, value: &str, seconds: u64, headers: &mut HeaderMap) {
        let name = self.name(which);
        let (path, secure) = if self.secure { ("/", "; Secure") } else { (self.path.as_str(), "") };
        let text =
            format!("{name}={value}; Path={path}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}");
        if let Ok(mut cookie) = HeaderValue::try_from(text) {
            cookie.set_sensitive(true);
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

/// Whoever is signed in, and asks.
pub(crate) struct SignedIn {
    pub(crate) session: Session,
    pub(crate) key: SecretString,
}

impl FromRequestParts<Console> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, console: &Console) -> Result<Self, Response> {
        let session = console.sessions.find(&parts.headers).map_err(ConsoleError::into_response)?;
        if let Some(session) = session
            && let Some(key) = session.key.clone()
        {
            return Ok(Self { session, key });
        }
        // Strict cookies are not sent on the way here from another site; they are on the second try.
        let site = parts.headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        let elsewhere = matches!(site, Some(b"cross-site" | b"same-site")) && parts.method == Method::GET;
        let error = if elsewhere { ConsoleError::FromElsewhere } else { ConsoleError::SignedOut };
        Err(error.into_response())
    }
}
