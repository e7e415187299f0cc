//! Where a patient's browser may be sent after a consent: only to what the operator has listed, or the exchange would lend
//! its name to anybody's address.

use std::str::FromStr;

use ohx_runtime::Settings;
use ohx_runtime::settings::SettingError;
use url::Url;

const NAME: &str = "OHX_REDIRECT_URLS";
const EXPECTED: &str = "addresses separated by blanks that patients may be sent back to, such as https://app.example/ohx/ myapp://ohx/; one that ends with a slash stands for all below it";
/// What is code, a file or another page's memory, never an app.
const NEVER: [&str; 8] =
    ["javascript", "data", "vbscript", "file", "blob", "about", "view-source", "filesystem"];
/// The longest address that is kept, in bytes.
const LONGEST: usize = 2000;

/// The addresses that patients may be sent back to; none, unless set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redirects(Vec<Url>);

/// An address that nobody is sent to.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotARedirect {
    /// It cannot be read, or holds what none may hold.
    #[error(
        "it must be an absolute address of {LONGEST} bytes at most, without user name, password, fragment or backslash"
    )]
    Malformed,
    /// It is not on the list.
    #[error("it is not among the addresses that the operator allows (OHX_REDIRECT_URLS)")]
    NotListed,
}

fn read(text: &str) -> Option<Url> {
    let clean = text.len() <= LONGEST && text.chars().all(|c| c.is_ascii_graphic() && c != '\\');
    let url = Url::parse(text).ok().filter(|_| clean)?;
    // The parser has resolved dots; where it does not, because the scheme is an app's, nothing may look as if it would.
    let dots = url.path().split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    });
    let usable = !url.cannot_be_a_base()
        && !NEVER.contains(&url.scheme())
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
        && !dots;
    usable.then_some(url)
}

impl FromStr for Redirects {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        let one = |text: &str| read(text).filter(|url| url.query().is_none()).ok_or(());
        text.split([' ', ',', '\n', '\t'])
            .filter(|text| !text.is_empty())
            .map(one)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Redirects {
    /// Those of `OHX_REDIRECT_URLS`; none where it is not set.
    ///
    /// # Errors
    /// Where one is no address.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(settings.parsed(NAME, EXPECTED)?.unwrap_or_default())
    }

    /// The address, where patients may be sent there: scheme, host and port are those of a listed one, and so is the path, or
    /// the listed one ends with a slash and it is below that. A query is the app's own business.
    ///
    /// # Errors
    /// [`NotARedirect`].
    pub fn allowed(&self, text: &str) -> Result<Url, NotARedirect> {
        let url = read(text).ok_or(NotARedirect::Malformed)?;
        let fits = |listed: &Url| {
            let same = (listed.scheme(), listed.host_str(), listed.port())
                == (url.scheme(), url.host_str(), url.port());
            let path = listed.path();
            same && (path == url.path() || (path.ends_with('/') && url.path().starts_with(path)))
        };
        if self.0.iter().any(fits) { Ok(url) } else { Err(NotARedirect::NotListed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Redirects {
        text.parse().unwrap()
    }

    #[test]
    fn only_what_is_listed_is_allowed_and_what_is_below_a_slash() {
        let some = list(
            "https://app.example/done https://app.example/ohx/, myapp://ohx/ myapp:///deep/ http://127.0.0.1:9/",
        );
        for good in [
            "https://app.example/done",
            "https://app.example/done?session=1",
            "https://app.example:443/done",
            "https://app.example/ohx/",
            "https://app.example/ohx/a/b?x=1",
            "myapp://ohx/connected",
            "myapp:///deep/link",
            "http://127.0.0.1:9/x",
        ] {
            assert!(some.allowed(good).is_ok(), "{good}");
        }
        for bad in [
            "https://app.example/done/",
            "https://app.example/doner",
            "https://app.example/",
            "http://app.example/done",
            "https://app.example:8443/done",
            "https://app.example.evil.example/done",
            "https://evil.example/app.example/done",
            "https://app.example@evil.example/done",
            "https://user:secret@app.example/done",
            "https://app.example/done#token",
            "https://app.example/ohx/../other",
            "https://app.example/ohx/%2e%2e/other",
            "https://app.example/ohx/..%2fother/../..",
            "https://app.example\\@evil.example/done",
            "//app.example/done",
            "/done",
            "done",
            "myapp://other/connected",
            "myapp://other/../ohx/x",
            "myapp:ohx/connected",
            "javascript:alert(1)",
            "javascript://app.example/done%0aalert(1)",
            "https://app.example/done\r\nSet-Cookie: a=b",
            "https://аpp.example/done",
            "",
        ] {
            assert!(some.allowed(bad).is_err(), "{bad}");
        }
        assert_eq!(Redirects::default().allowed("https://app.example/done"), Err(NotARedirect::NotListed));
        let long = format!("https://app.example/ohx/{}", "a".repeat(LONGEST));
        assert_eq!(some.allowed(&long), Err(NotARedirect::Malformed));
    }

    #[test]
    fn a_list_that_would_let_code_through_is_refused() {
        for wrong in [
            "javascript:x",
            "data:text/html,x",
            "app.example/done",
            "https://u:p@a.example/",
            "https://a.example/?x",
        ] {
            assert!(wrong.parse::<Redirects>().is_err(), "{wrong}");
            let error = Redirects::from_settings(&Settings::from_pairs([(NAME, wrong)])).unwrap_err();
            assert!(error.to_string().starts_with("OHX_REDIRECT_URLS is wrong"), "{error}");
        }
        assert_eq!(Redirects::from_settings(&Settings::default()), Ok(Redirects::default()));
    }
}
