//! Settings: environment variables, read once, by `main`.
//!
//! A wrong or missing one stops the start with one line that names it and says what it should be.

use std::collections::BTreeMap;
use std::str::FromStr;

use secrecy::SecretString;
use url::Url;

/// A setting that cannot be used. Prints as one line, without the value of a secret.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingError {
    /// Not set, and there is no default.
    #[error("{name} is not set: {expected}")]
    Missing {
        /// The variable.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// Set to something unusable.
    #[error("{name} is wrong: {expected}{}", shown.as_deref().map(|s| format!(", got {s:?}")).unwrap_or_default())]
    Wrong {
        /// The variable.
        name: &'static str,
        /// What it should be.
        expected: String,
        /// What it was, unless it is a secret.
        shown: Option<String>,
    },
}

/// The settings of this process.
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// From the environment. Variables that are set but empty count as not set.
    #[expect(clippy::disallowed_methods, reason = "the one place where the environment is read")]
    pub fn from_env() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .filter(|(_, v)| !v.is_empty())
                .collect(),
        )
    }

    /// The same with what the files of the folder `OHX_SETTINGS_DIR` say, where that is set: for secrets that are mounted and not
    /// put into the environment (OpenFaaS, a CSI driver). The file `ohx-keys` or `OHX_KEYS` is the setting `OHX_KEYS`. A variable
    /// that is set counts more.
    ///
    /// # Errors
    /// The folder or one of its files cannot be read.
    pub fn with_folder(mut self) -> Result<Self, SettingError> {
        const NAME: &str = "OHX_SETTINGS_DIR";
        let Some(folder) = self.text(NAME).map(str::to_owned) else { return Ok(self) };
        let wrong = |error: std::io::Error| SettingError::Wrong {
            name: NAME,
            expected: format!("a folder with one readable file for each setting ({error})"),
            shown: Some(folder.clone()),
        };
        for entry in std::fs::read_dir(&folder).map_err(wrong)? {
            let path = entry.map_err(wrong)?.path();
            // Kubernetes keeps what it swaps beneath names with a dot.
            let named = path.file_name().and_then(|name| name.to_str()).filter(|name| !name.starts_with('.'));
            if let Some(name) = named.filter(|_| path.is_file()) {
                let text = std::fs::read_to_string(&path).map_err(wrong)?;
                if !text.trim().is_empty() {
                    self = self.or(&name.to_ascii_uppercase().replace('-', "_"), text.trim());
                }
            }
        }
        Ok(self)
    }

    /// From pairs, for tests and for `ohx demo`.
    pub fn from_pairs<K: Into<String>, V: Into<String>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self(pairs.into_iter().map(|(k, v)| (k.into(), v.into())).collect())
    }

    /// The same settings with one more; what is set already stays.
    #[must_use]
    pub fn or(mut self, name: &str, value: impl Into<String>) -> Self {
        self.0.entry(name.to_owned()).or_insert_with(|| value.into());
        self
    }

    /// An optional text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// An optional value of any type that reads itself from text.
    ///
    /// # Errors
    /// [`SettingError::Wrong`].
    pub fn parsed<T: FromStr>(&self, name: &'static str, expected: &str) -> Result<Option<T>, SettingError> {
        let wrong = |shown: &str| SettingError::Wrong {
            name,
            expected: expected.to_owned(),
            shown: Some(shown.to_owned()),
        };
        self.text(name).map(|text| text.parse().map_err(|_| wrong(text))).transpose()
    }

    /// A secret that has to be there.
    ///
    /// # Errors
    /// [`SettingError::Missing`].
    pub fn secret(&self, name: &'static str, expected: &'static str) -> Result<SecretString, SettingError> {
        self.text(name).map(SecretString::from).ok_or(SettingError::Missing { name, expected })
    }

    /// An address (`http` or `https`, without query or fragment) that has to be there, without a trailing slash in its path.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn url(&self, name: &'static str, expected: &'static str) -> Result<Url, SettingError> {
        let text = self.text(name).ok_or(SettingError::Missing { name, expected })?;
        // Before an @ there could be a password.
        let shown = (!text.contains('@')).then(|| text.to_owned());
        let wrong = || SettingError::Wrong { name, expected: expected.to_owned(), shown: shown.clone() };
        let url: Url = text.trim_end_matches('/').parse().map_err(|_| wrong())?;
        let usable = matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.query().is_none()
            && url.fragment().is_none();
        if usable { Ok(url) } else { Err(wrong()) }
    }
}

/// Names, never values: some of them are secrets.
impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_setting_is_one_line_that_names_it() {
        let settings = Settings::from_pairs([("PORT", "eighty"), ("OHX_PUBLIC_URL", "ohx.example")]);
        let error = settings.parsed::<u16>("PORT", "a port number, such as 8080").unwrap_err();
        assert_eq!(error.to_string(), "PORT is wrong: a port number, such as 8080, got \"eighty\"");
        let error =
            settings.url("OHX_PUBLIC_URL", "the public address, such as https://ohx.example").unwrap_err();
        assert!(error.to_string().starts_with("OHX_PUBLIC_URL is wrong: the public address"), "{error}");
        let sink = Settings::from_pairs([("K_SINK", "https://user:hush@broker.example/?tenant=a")]);
        let error = sink.url("K_SINK", "the broker's address").unwrap_err().to_string();
        assert!(
            error.starts_with("K_SINK is wrong: the broker's address") && !error.contains("hush"),
            "{error}"
        );
        let error = settings.secret("OHX_KEYS", "the keyring").unwrap_err();
        assert_eq!(error.to_string(), "OHX_KEYS is not set: the keyring");
    }

    #[test]
    fn files_are_settings_and_variables_count_more() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("ohx-keys", "k1:hush\n");
        write("DATABASE_URL", "sqlite://file");
        write("redis-url", "  ");
        write("..data", "no");
        let dir = folder.path().to_str().unwrap();
        let settings =
            Settings::from_pairs([("OHX_SETTINGS_DIR", dir), ("DATABASE_URL", "sqlite://variable")]);
        let settings = settings.with_folder().unwrap();
        assert_eq!(settings.text("OHX_KEYS"), Some("k1:hush"));
        assert_eq!(settings.text("DATABASE_URL"), Some("sqlite://variable"));
        assert_eq!((settings.text("REDIS_URL"), settings.0.len()), (None, 3));
        let missing = Settings::from_pairs([("OHX_SETTINGS_DIR", "/nowhere/at/all")]).with_folder();
        let error = missing.unwrap_err().to_string();
        assert!(error.starts_with("OHX_SETTINGS_DIR is wrong: a folder"), "{error}");
        assert_eq!(Settings::default().with_folder().unwrap().0.len(), 0);
    }

    #[test]
    fn settings_are_not_printed() {
        let shown = format!("{:?}", Settings::from_pairs([("OHX_KEYS", "hush")]));
        assert_eq!(shown, "[\"OHX_KEYS\"]");
    }
}
