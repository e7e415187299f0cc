//! Which mapping document a link's records are mapped with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ohx_domain::{Activation, EhrName, FIRST_SAVED_VERSION, Instant, LinkId, choose};
use ohx_mapping::Mapping;
use ohx_runtime::parts::Parts;
use ohx_runtime::settings::SettingError;
use ohx_runtime::{EventFailure, Settings};
use tokio::sync::Mutex;

/// How long an activation may go unnoticed, unless `OHX_MAPPING_REFRESH_SECONDS` says otherwise.
const REFRESH: Duration = Duration::from_secs(10);

/// How many compiled documents are kept. A deployment has a few; a canary or a link's own version adds one each.
const KEPT: usize = 256;

/// How long an activation may go unnoticed: `OHX_MAPPING_REFRESH_SECONDS`. With 0 every part asks the database.
///
/// # Errors
/// Where it is no number of seconds, or more than an hour.
pub fn refresh(settings: &Settings) -> Result<Duration, SettingError> {
    const NAME: &str = "OHX_MAPPING_REFRESH_SECONDS";
    let expected = "how long an activated mapping may go unnoticed, 0 to 3600 seconds, such as 10";
    match settings.parsed::<u16>(NAME, expected)? {
        None => Ok(REFRESH),
        Some(seconds @ 0..=3600) => Ok(Duration::from_secs(seconds.into())),
        Some(seconds) => Err(SettingError::Wrong {
            name: NAME,
            expected: expected.into(),
            shown: Some(seconds.to_string()),
        }),
    }
}

/// The compiled documents, and what every scope points to.
pub(crate) struct Mappings {
    refresh: Duration,
    /// By name and version, which never change; version 0 is the program's own.
    compiled: Mutex<HashMap<(String, u32), Arc<Mapping>>>,
    pointers: Mutex<Option<(Instant, Arc<Vec<Activation>>)>>,
}

impl Mappings {
    /// Asks again what is active after `refresh`.
    pub(crate) fn new(refresh: Duration) -> Self {
        Self { refresh, compiled: Mutex::default(), pointers: Mutex::default() }
    }

    /// The document that `link`'s records of the mapping `name` are mapped with, for one EHR endpoint.
    ///
    /// # Errors
    /// To be tried again where the store does not answer, and where an active document cannot be used: mapping with
    /// another one in its place would give readings that nobody asked for. To be given up where there is none.
    pub(crate) async fn find(
        &self,
        parts: &Parts,
        name: &str,
        ehr: &EhrName,
        link: LinkId,
    ) -> Result<Arc<Mapping>, EventFailure> {
        let activations = self.activations(parts).await?;
        match choose(&activations, name, ehr, link) {
            Some(version) if version >= FIRST_SAVED_VERSION => self.saved(parts, name, version).await,
            _ => self.built_in(name).await,
        }
    }

    async fn activations(&self, parts: &Parts) -> Result<Arc<Vec<Activation>>, EventFailure> {
        let now = parts.clock.now();
        let mut pointers = self.pointers.lock().await;
        if let Some((at, known)) = pointers.as_ref()
            && now.duration_since(*at).unsigned_abs() < self.refresh
        {
            return Ok(Arc::clone(known));
        }
        let current = Arc::new(parts.store.activations(None).await?);
        *pointers = Some((now, Arc::clone(&current)));
        Ok(current)
    }

    async fn saved(&self, parts: &Parts, name: &str, version: u32) -> Result<Arc<Mapping>, EventFailure> {
        let key = (name.to_owned(), version);
        if let Some(known) = self.compiled.lock().await.get(&key) {
            return Ok(Arc::clone(known));
        }
        let unusable = |why: String| {
            EventFailure::retry(format!("mapping {name} version {version} is active, but {why}"))
        };
        let saved = parts.store.mapping(name, version).await?;
        let saved = saved.ok_or_else(|| unusable("is not in the store; activate another version".into()))?;
        let mapping = Mapping::parse(&saved.document)
            .map_err(|e| unusable(format!("this version of OHX cannot use it: {e}")))?;
        Ok(self.keep(key, mapping).await)
    }

    async fn built_in(&self, name: &str) -> Result<Arc<Mapping>, EventFailure> {
        let key = (name.to_owned(), 0);
        if let Some(known) = self.compiled.lock().await.get(&key) {
            return Ok(Arc::clone(known));
        }
        let (kind, record) = name.split_once('/').unwrap_or((name, ""));
        let text = ohx_mapping::builtin(kind, record)
            .ok_or_else(|| EventFailure::reject(format!("there is no mapping document for {name}")))?;
        let mapping = Mapping::parse(text).map_err(|e| EventFailure::retry(e.to_string()))?;
        Ok(self.keep(key, mapping).await)
    }

    async fn keep(&self, key: (String, u32), mapping: Mapping) -> Arc<Mapping> {
        let mut compiled = self.compiled.lock().await;
        if compiled.len() >= KEPT {
            compiled.clear();
        }
        Arc::clone(compiled.entry(key).or_insert_with(|| Arc::new(mapping)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_activation_goes_unnoticed_for_ten_seconds_unless_a_setting_says_otherwise() {
        let read = |text: &str| refresh(&Settings::from_pairs([("OHX_MAPPING_REFRESH_SECONDS", text)]));
        assert_eq!(refresh(&Settings::default()).unwrap(), Duration::from_secs(10));
        assert_eq!(read("0").unwrap(), Duration::ZERO);
        assert_eq!(read("3600").unwrap(), Duration::from_secs(3600));
        for wrong in ["3601", "-1", "soon", "1.5"] {
            let error = read(wrong).unwrap_err().to_string();
            assert!(
                error.starts_with("OHX_MAPPING_REFRESH_SECONDS is wrong") && error.contains(wrong),
                "{error}"
            );
        }
    }
}
