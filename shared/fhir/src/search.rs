//! Looking up what the EHR already has.

use std::collections::HashMap;

use ohx_domain::Identifier;
use reqwest::header::CONTENT_TYPE;
use tracing::warn;
use url::{Url, form_urlencoded};

use crate::decide::Found;
use crate::plan::Plan;
use crate::wire::{Bundle, Existing};
use crate::{EhrClient, EhrError};

pub(crate) const CALL: &str = "a search for existing resources";

/// URLs longer than this many bytes are not sent: many servers and proxies stop at 8 kB for all headers together.
const MAX_URL: usize = 6000;

/// Pages of one search that are followed before the rest is asked for anew.
const MAX_PAGES: usize = 50;

/// The resource types that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A reading.
    Observation,
    /// What it was measured with.
    Device,
    /// The model of a device.
    DeviceDefinition,
    /// Whose device it is (R5 only).
    DeviceAssociation,
    /// Where resources came from.
    Provenance,
}

impl Kind {
    /// The name of the resource type.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Observation => "Observation",
            Self::Device => "Device",
            Self::DeviceDefinition => "DeviceDefinition",
            Self::DeviceAssociation => "DeviceAssociation",
            Self::Provenance => "Provenance",
        }
    }

    /// The elements that a lookup needs.
    const fn elements(self) -> &'static str {
        match self {
            Self::Observation => "identifier,meta,issued,status",
            Self::Device | Self::DeviceAssociation => "identifier,meta,status",
            Self::DeviceDefinition | Self::Provenance => "identifier,meta",
        }
    }
}

/// How far the server's search has turned out to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Search {
    /// `POST [type]/_search` where a URL would be too long.
    Post,
    /// `GET` in pieces.
    Get,
    /// Not at all: everything is written as if nothing existed.
    Off,
}

/// A resource to look up.
pub(crate) struct Wanted<'a> {
    /// The id it has where ids are assigned by us.
    pub(crate) id: &'a str,
    pub(crate) identifier: &'a Identifier,
}

/// A FHIR search token `system|value`, with the characters that separate tokens escaped (FHIR R5 search.html,
/// section 3.2.1.5.7).
pub(crate) fn token(identifier: &Identifier) -> String {
    let mut text = String::new();
    let escape = |text: &mut String, part: &str| {
        for c in part.chars() {
            if matches!(c, '\\' | '|' | ',' | '$') {
                text.push('\\');
            }
            text.push(c);
        }
    };
    escape(&mut text, &identifier.system);
    text.push('|');
    escape(&mut text, &identifier.value);
    text
}

/// The query of `ifNoneExist`: percent-encoded only where a query needs it, so that servers which forget to decode it
/// (and compare `system|value` as it stands) still understand it.
pub(crate) fn if_none_exist(identifier: &Identifier) -> String {
    let mut query = String::from("identifier=");
    for byte in token(identifier).bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => query.push(char::from(byte)),
            b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b'|' | b'$' | b',' | b'@' | b'!' => {
                query.push(char::from(byte))
            }
            _ => query.push_str(&format!("%{byte:02X}")),
        }
    }
    query
}

impl EhrClient {
    /// What the EHR has of `wanted`, in the same order. `search` remembers what the server does not support.
    pub(crate) async fn look_up(
        &self,
        plan: &Plan,
        search: &mut Search,
        kind: Kind,
        tag_system: &str,
        wanted: &[Wanted<'_>],
    ) -> Result<Vec<Option<Found>>, EhrError> {
        let mut found: Vec<Option<Found>> = vec![None; wanted.len()];
        let mut pieces: Vec<Vec<usize>> = vec![(0..wanted.len()).collect()];
        while let Some(mut piece) = pieces.pop() {
            if *search == Search::Off || piece.is_empty() {
                continue;
            }
            let query = Self::query(plan, kind, piece.iter().filter_map(|&index| wanted.get(index)));
            let long = query.len() + self.endpoint.base_url.as_str().len() > MAX_URL;
            if long && *search == Search::Get && piece.len() > 1 {
                pieces.push(piece.split_off(piece.len() / 2));
                pieces.push(piece);
                continue;
            }
            let post = long && *search == Search::Post;
            let Some((existing, cut)) = self.pages(kind, query, post).await? else {
                *search = if post { Search::Get } else { Search::Off };
                if *search == Search::Off {
                    warn!(ehr = %self.endpoint.name, kind = kind.as_str(), "the server does not support the search for \
                        existing resources: unchanged readings may get a new version");
                }
                pieces.push(piece);
                continue;
            };
            let before = piece.len();
            self.place(plan, wanted, existing, tag_system, &mut found);
            if cut {
                // More matches than the server would send: ask for the rest by name.
                piece.retain(|&index| found.get(index).is_some_and(Option::is_none));
                if piece.len() == before {
                    let problem = "its search results have no next page on the same origin: check the server's own \
                                   base URL";
                    return Err(self.not_fhir(CALL, problem.into()));
                }
                pieces.push(piece);
            }
        }
        Ok(found)
    }

    fn query<'a>(plan: &Plan, kind: Kind, wanted: impl Iterator<Item = &'a Wanted<'a>> + Clone) -> String {
        let count = wanted.clone().count().to_string();
        let (name, values): (_, Vec<String>) = if plan.by_identifier {
            ("identifier", wanted.map(|w| token(w.identifier)).collect())
        } else {
            ("_id", wanted.map(|w| w.id.to_owned()).collect())
        };
        form_urlencoded::Serializer::new(String::new())
            .append_pair(name, &values.join(","))
            .append_pair("_elements", kind.elements())
            .append_pair("_count", &count)
            .finish()
    }

    /// All pages of a search, and whether some are missing; `None` where the server does not support the search.
    async fn pages(
        &self,
        kind: Kind,
        query: String,
        post: bool,
    ) -> Result<Option<(Vec<Existing>, bool)>, EhrError> {
        let mut request = if post {
            let form = "application/x-www-form-urlencoded";
            self.http.post(self.url(&[kind.as_str(), "_search"])).header(CONTENT_TYPE, form).body(query)
        } else {
            let mut url = self.url(&[kind.as_str()]);
            url.set_query(Some(&query));
            self.http.get(url)
        };
        let mut existing = Vec::new();
        for page in 0..MAX_PAGES {
            let answer = self.send(CALL, request).await?;
            if matches!(answer.status, 409 | 412) {
                return Err(self.unavailable(CALL, format!("HTTP {}", answer.status), false));
            }
            if !(200..300).contains(&answer.status) {
                return Ok((page > 0).then_some((existing, true)));
            }
            let bundle: Bundle = serde_json::from_str(&answer.body)
                .ok()
                .filter(|bundle: &Bundle| bundle.resource_type == "Bundle" && bundle.kind == "searchset")
                .ok_or_else(|| self.not_fhir(CALL, "its answer is no searchset Bundle".into()))?;
            for resource in bundle.entry.iter().filter_map(|entry| entry.resource.as_ref()) {
                // Other resource types ride along, such as an OperationOutcome about an ignored parameter.
                let resource: Existing = serde_json::from_str(resource.get()).map_err(|_| {
                    self.not_fhir(CALL, "a resource in its answer has another shape than FHIR's".into())
                })?;
                if resource.resource_type == kind.as_str() {
                    existing.push(resource);
                }
            }
            let Some(next) = bundle.link.into_iter().find(|link| link.relation == "next") else {
                return Ok(Some((existing, false)));
            };
            match self.same_origin(&next.url) {
                Some(url) => request = self.http.get(url),
                None => return Ok(Some((existing, true))),
            }
        }
        Ok(Some((existing, true)))
    }

    /// A link is followed, with the endpoint's credentials, only to where the credentials belong.
    pub(crate) fn same_origin(&self, link: &str) -> Option<Url> {
        let base = &self.endpoint.base_url;
        base.join(link).ok().filter(|url| url.origin() == base.origin())
    }

    fn place(
        &self,
        plan: &Plan,
        wanted: &[Wanted<'_>],
        existing: Vec<Existing>,
        tag_system: &str,
        found: &mut [Option<Found>],
    ) {
        let by_id: HashMap<&str, usize> = wanted.iter().enumerate().map(|(index, w)| (w.id, index)).collect();
        let by_identifier: HashMap<(&str, &str), usize> = wanted
            .iter()
            .enumerate()
            .map(|(index, w)| ((w.identifier.system.as_str(), w.identifier.value.as_str()), index))
            .collect();
        let mut doubled = 0_u32;
        for resource in existing {
            let index = if plan.by_identifier {
                resource.identifier.iter().find_map(|identifier| {
                    by_identifier.get(&(identifier.system.as_str(), identifier.value.as_str()))
                })
            } else {
                by_id.get(resource.id.as_str())
            };
            let slot = index.and_then(|&index| found.get_mut(index));
            let (Some(slot), Some(new)) = (slot, Found::read(&resource, tag_system)) else { continue };
            *slot = Some(match slot.take() {
                Some(old) if old.id != new.id => {
                    doubled += 1;
                    old.or_better(new)
                }
                _ => new,
            });
        }
        if doubled > 0 {
            warn!(ehr = %self.endpoint.name, doubled, "the server has several resources with one identifier: the newest \
                is kept up to date");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a FHIR server does with a query: percent-decoding, then splitting at unescaped `,` and `|`.
    fn understood(query: &str) -> Vec<(String, String)> {
        let (_, text) = form_urlencoded::parse(query.as_bytes()).next().unwrap();
        let mut tokens = vec![vec![String::new()]];
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                ',' => tokens.push(vec![String::new()]),
                '|' => tokens.last_mut().unwrap().push(String::new()),
                c => {
                    let c = if c == '\\' { chars.next().unwrap() } else { c };
                    tokens.last_mut().unwrap().last_mut().unwrap().push(c);
                }
            }
        }
        tokens
            .into_iter()
            .map(|mut parts| {
                assert_eq!(parts.len(), 2);
                let value = parts.pop().unwrap();
                (parts.pop().unwrap(), value)
            })
            .collect()
    }

    #[test]
    fn an_ordinary_identifier_needs_no_encoding() {
        let identifier = Identifier {
            system: "https://ohx.example/ns/withings/getmeas".into(),
            value: "abc.1.body-weight".into(),
        };
        assert_eq!(
            if_none_exist(&identifier),
            "identifier=https://ohx.example/ns/withings/getmeas|abc.1.body-weight"
        );
    }

    proptest! {
        #[test]
        fn any_identifier_is_understood(system in ".{1,20}", value in ".{1,20}") {
            let identifier = Identifier { system: system.clone(), value: value.clone() };
            let query = if_none_exist(&identifier);
            prop_assert_eq!(understood(&query), vec![(system, value)]);
            prop_assert!(!query.contains(['"', '\\', '&', '+', ' ', '#']));
        }
    }
}
