//! The cookies of a consent: they bind it to the browser that began it, and end with it. There are no others.

use http::{HeaderMap, HeaderValue, header};
use secrecy::{ExposeSecret as _, SecretString};

use crate::words::Language;

pub(crate) const STATE: &str = "ohx_state";
pub(crate) const VERIFIER: &str = "ohx_verifier";
/// The language that the patient reads: the way back from the provider has none.
pub(crate) const LANGUAGE: &str = "ohx_lang";

/// The value of a cookie that the browser has sent.
pub(crate) fn get<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(found, value)| (found == name).then_some(value))
}

/// Gives a browser what it needs on the way back: somebody else's callback address does nothing in this one, and a code
/// that leaked is of no use without the verifier, which only this browser holds.
pub(crate) fn set(
    headers: &mut HeaderMap,
    state: &str,
    verifier: &SecretString,
    language: Language,
    secure: bool,
) {
    let secure = if secure { "; Secure" } else { "" };
    for (name, value) in [(STATE, state), (VERIFIER, verifier.expose_secret()), (LANGUAGE, language.code())] {
        let text = format!("{name}={value}; Path=/; Max-Age=900; HttpOnly; SameSite=Lax{secure}");
        if let Ok(mut cookie) = HeaderValue::try_from(text) {
            cookie.set_sensitive(true);
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}
