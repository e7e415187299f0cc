//! What an EHR endpoint has to fulfil before it counts.

use ohx_domain::{EhrAuth, EhrEndpoint, EhrOAuth, SecretIn};
use url::Url;

use super::Wrong;

/// The longest title of an endpoint, in characters.
const MAX_TITLE: usize = 120;

fn ensure(good: bool, field: &str, what: impl FnOnce() -> String) -> Result<(), Wrong> {
    if good { Ok(()) } else { Err(Wrong::new(field.replace('.', "/"), what())) }
}

/// What configuration calls it.
pub const fn auth_name(auth: EhrAuth) -> &'static str {
    match auth {
        EhrAuth::None => "none",
        EhrAuth::Bearer => "bearer",
        EhrAuth::ClientCredentials => "client-credentials",
        EhrAuth::SmartBackend => "smart-backend",
        EhrAuth::JwtBearer => "jwt-bearer",
    }
}

fn check_url(field: &str, url: &Url) -> Result<(), Wrong> {
    ensure(matches!(url.scheme(), "http" | "https") && url.has_host(), field, || {
        format!("{field} must begin with http:// or https://")
    })?;
    ensure(url.username().is_empty() && url.password().is_none(), field, || {
        format!("{field} must not hold a user name or a password: set auth instead")
    })?;
    ensure(url.fragment().is_none(), field, || format!("{field} must not have a fragment (#...)"))?;
    Ok(())
}

/// RFC 6749, appendix A: printable characters of ASCII.
fn check_text(field: &str, text: &str) -> Result<(), Wrong> {
    let printable = !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    ensure(printable, &format!("oauth/{field}"), || {
        format!("oauth.{field} must be one or more printable ASCII characters")
    })?;
    Ok(())
}

fn check_scope(scope: &str) -> Result<(), Wrong> {
    for part in scope.split(' ').filter(|part| !part.is_empty()) {
        let clean = part.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\');
        ensure(clean, "oauth/scope", || {
            "oauth.scope must be scopes separated by single blanks, such as system/Observation.cus".to_owned()
        })?;
        let Some(rest) = part.strip_prefix("system/") else { continue };
        let (_, letters) = rest.split('?').next().and_then(|rest| rest.rsplit_once('.')).unwrap_or_default();
        let at = |letter: char| "cruds".find(letter);
        let ordered = letters.chars().all(|l| at(l).is_some())
            && letters.chars().zip(letters.chars().skip(1)).all(|(a, b)| at(a) < at(b));
        ensure(
            !letters.is_empty() && (ordered || matches!(letters, "read" | "write" | "*")),
            "oauth/scope",
            || {
                format!(
                    "oauth.scope has {part:?}: a SMART scope is system/<type>.<letters of cruds, in that order>"
                )
            },
        )?;
    }
    Ok(())
}

fn check_oauth(auth: EhrAuth, oauth: Option<&EhrOAuth>, base_url: &Url) -> Result<(), Wrong> {
    let name = auth_name(auth);
    let Some(oauth) = oauth else {
        ensure(!auth.uses_oauth(), "oauth", || {
            format!("oauth is missing: auth {name} needs oauth.client_id at least")
        })?;
        return Ok(());
    };
    ensure(auth.uses_oauth(), "oauth", || {
        format!("oauth is for auth client-credentials, smart-backend or jwt-bearer; auth is {name}")
    })?;
    check_text("client_id", &oauth.client_id)?;
    if let Some(url) = &oauth.token_url {
        check_url("oauth.token_url", url)?;
        let safe = url.scheme() == "https" || base_url.scheme() == "http";
        ensure(safe, "oauth/token_url", || {
            "oauth.token_url must begin with https://, as base_url does".to_owned()
        })?;
    }
    if let Some(scope) = &oauth.scope {
        check_scope(scope)?;
    }
    for (field, text) in
        [("audience", &oauth.audience), ("issuer", &oauth.issuer), ("subject", &oauth.subject)]
    {
        if let Some(text) = text {
            check_text(field, text)?;
        }
    }
    let signs = auth != EhrAuth::ClientCredentials;
    let for_signed = "is for auth smart-backend or jwt-bearer";
    ensure(signs || oauth.algorithm.is_none(), "oauth/algorithm", || {
        format!("oauth.algorithm {for_signed}; auth is {name}")
    })?;
    ensure(signs || oauth.audience.is_none(), "oauth/audience", || {
        format!("oauth.audience {for_signed}; auth is {name}")
    })?;
    let grant = auth == EhrAuth::JwtBearer;
    ensure(grant || oauth.issuer.is_none(), "oauth/issuer", || {
        format!("oauth.issuer is for auth jwt-bearer; auth is {name}")
    })?;
    ensure(grant || oauth.subject.is_none(), "oauth/subject", || {
        format!("oauth.subject is for auth jwt-bearer; auth is {name}")
    })?;
    ensure(!signs || oauth.secret_in == SecretIn::Basic, "oauth/secret_in", || {
        format!("oauth.secret_in is for auth client-credentials; auth is {name}")
    })?;
    Ok(())
}

/// Whether an EHR endpoint can be used, as far as can be told without asking it.
///
/// # Errors
/// [`Wrong`], with the first thing that is.
pub fn check_ehr(endpoint: &EhrEndpoint) -> Result<(), Wrong> {
    check_url("base_url", &endpoint.base_url)?;
    ensure(endpoint.base_url.query().is_none(), "base_url", || {
        "base_url must not have a query (?...)".to_owned()
    })?;
    check_oauth(endpoint.auth, endpoint.oauth.as_ref(), &endpoint.base_url)?;
    let named = |title: &str| {
        let length = title.chars().count();
        (1..=MAX_TITLE).contains(&length) && title.trim() == title && !title.chars().any(char::is_control)
    };
    ensure(endpoint.title.as_deref().is_none_or(named), "title", || {
        format!("title must be 1 to {MAX_TITLE} characters of one line, without blanks around them")
    })?;
    let EhrEndpoint { batch_size, concurrency, .. } = endpoint;
    ensure((1..=500).contains(batch_size), "batch_size", || {
        format!("batch_size must be 1 to 500, got {batch_size}")
    })?;
    ensure((1..=64).contains(concurrency), "concurrency", || {
        format!("concurrency must be 1 to 64, got {concurrency}")
    })
}
