//! What a page says of a link: the provider, the clinic, what is shared. Never who the patient is.

use std::sync::Arc;

use ohx_domain::Link;
use ohx_link::LinkError;
use ohx_providers::{App, Provider};

use crate::Oauth;
use crate::topics;
use crate::words::{Language, Words, fill};

/// A link in the words of a language.
pub(crate) struct About {
    pub(crate) words: &'static Words,
    /// The service that the patient has an account at.
    pub(crate) provider: String,
    /// Who receives the readings.
    pub(crate) clinic: String,
    /// What is shared.
    pub(crate) topics: Vec<&'static str>,
    /// The provider app, while it is configured.
    pub(crate) app: Option<(App, Arc<dyn Provider>)>,
    days: String,
}

impl About {
    /// Of a link.
    ///
    /// # Errors
    /// [`LinkError::Store`], [`LinkError::Seal`].
    pub(crate) async fn of(oauth: &Oauth, link: &Link, language: Language) -> Result<Self, LinkError> {
        let words = language.words();
        let app = match oauth.links.app(&link.provider).await {
            Ok(found) => Some(found),
            // A link that has ended may outlive it.
            Err(LinkError::NoApp(_) | LinkError::NoAdapter { .. }) => None,
            Err(error) => return Err(error),
        };
        let kind = app.as_ref().and_then(|(app, _)| ohx_providers::kind(&app.config.kind));
        let provider = kind.map_or_else(|| link.provider.to_string(), |kind| kind.brand.to_owned());
        let mut topics = Vec::new();
        if let Some((app, adapter)) = &app {
            let records = adapter.records(&app.config, &link.scopes);
            let each = topics::of(&app.config.kind, &records);
            topics.extend(each.into_iter().map(|topic| topic.words(&words.topics)));
            topics.extend(adapter.lists_devices().then_some(words.topics.devices));
        }
        let mut clinics = Vec::new();
        for (name, _) in link.destinations() {
            let found = oauth.links.parts().store.ehr(name).await?;
            let title = found.and_then(|(endpoint, _)| endpoint.title);
            // Its technical name would mean nothing to the patient.
            let clinic = title.unwrap_or_else(|| words.clinic.to_owned());
            if !clinics.contains(&clinic) {
                clinics.push(clinic);
            }
        }
        let clinic = words.list(&clinics);
        Ok(Self { words, provider, clinic, topics, app, days: words.number(oauth.days.0.into()) })
    }

    /// A text with the provider's and the clinic's names in it.
    pub(crate) fn say(&self, text: &str) -> String {
        self.say_with(text, &[])
    }

    /// The same with something more.
    pub(crate) fn say_with(&self, text: &str, more: &[(&str, &str)]) -> String {
        let names = [("provider", self.provider.as_str()), ("clinic", &self.clinic), ("days", &self.days)];
        let known: Vec<_> = more.iter().copied().chain(names).collect();
        fill(text, &known)
    }
}
