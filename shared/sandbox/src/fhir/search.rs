//! Search: the parameters that tell readings apart, and pages of what they find.

use ohx_domain::Instant;

use super::TYPES;
use super::outcome::Refused;
use super::store::{Key, Store, Stored};
use super::text::{Object, cut};

/// What a resource must meet: all of the parameters, each with any of its values.
pub(super) struct Condition(Vec<Param>);

enum Param {
    Identifier(Vec<Token>),
    Code(Vec<Token>),
    Status(Vec<Token>),
    Id(Vec<String>),
    /// References such as `Patient/p1`.
    Subject(Vec<String>),
    /// Measured at or after this instant, at least in part; or at or before it.
    Date {
        after: bool,
        at: Instant,
    },
}

/// `system|value`, `|value` (no system), `value` (any system) or `system|` (any value).
struct Token {
    system: Option<String>,
    value: String,
}

impl Token {
    fn parse(text: &str) -> Self {
        let mut parts = split(text, '|').into_iter();
        match (parts.next().unwrap_or_default(), parts.next()) {
            (system, Some(value)) => Self { system: Some(unescape(&system)), value: unescape(&value) },
            (value, None) => Self { system: None, value: unescape(&value) },
        }
    }

    fn matches(&self, system: &str, value: &str) -> bool {
        let any = self.value.is_empty() && self.system.as_deref().is_some_and(|system| !system.is_empty());
        (any || self.value == value) && self.system.as_ref().is_none_or(|wanted| wanted == system)
    }
}

/// Splits at a separator that is not escaped; escapes stay.
fn split(text: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        if character == separator && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(character);
        }
        escaped = character == '\\' && !escaped;
    }
    parts
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        out.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    out
}

impl Condition {
    /// Reads a query such as `identifier=sys|val`, percent-encoded or not.
    ///
    /// # Errors
    /// 400 where there is no parameter, or one that this server cannot search by.
    pub(super) fn parse(query: &str) -> Result<Self, Refused> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let mut params = Vec::new();
        for (name, value) in &pairs {
            params.push(Param::parse(name, value)?.ok_or_else(|| {
                Refused::malformed("a condition may only have parameters to search by, such as identifier")
            })?);
        }
        if params.is_empty() { Err(Refused::malformed("the condition is empty")) } else { Ok(Self(params)) }
    }

    pub(super) fn matches(&self, key: &Key, stored: &Stored) -> bool {
        self.0.iter().all(|param| match param {
            Param::Identifier(tokens) => any(tokens, &stored.identifiers),
            Param::Code(tokens) => any(tokens, &stored.codes),
            Param::Status(tokens) => stored
                .status
                .as_deref()
                .is_some_and(|status| tokens.iter().any(|token| token.value == status)),
            Param::Id(ids) => ids.contains(&key.1),
            Param::Date { after, at } => {
                stored.effective.is_some_and(|(start, end)| if *after { end >= *at } else { start <= *at })
            }
            Param::Subject(subjects) => {
                stored.subject.as_ref().is_some_and(|subject| subjects.contains(subject))
            }
        })
    }

    /// The identifier values of which a match must have one, for the index.
    pub(super) fn identifier_values(&self) -> Option<impl Iterator<Item = &str>> {
        self.0.iter().find_map(|param| match param {
            Param::Identifier(tokens) if tokens.iter().all(|token| !token.value.is_empty()) => {
                Some(tokens.iter().map(|token| token.value.as_str()))
            }
            _ => None,
        })
    }
}

fn any(tokens: &[Token], pairs: &[(String, String)]) -> bool {
    tokens.iter().any(|token| pairs.iter().any(|(system, value)| token.matches(system, value)))
}

impl Param {
    /// `None` for a parameter that is about the result and not about what is searched.
    fn parse(name: &str, value: &str) -> Result<Option<Self>, Refused> {
        let values = split(value, ',');
        let tokens = || values.iter().map(|value| Token::parse(value)).collect();
        let texts = || values.iter().map(|value| unescape(value)).collect::<Vec<String>>();
        Ok(Some(match name {
            "identifier" => Self::Identifier(tokens()),
            "code" => Self::Code(tokens()),
            "status" => Self::Status(tokens()),
            "_id" => Self::Id(texts()),
            "subject" => Self::Subject(texts()),
            "patient" => {
                let full = |id: String| if id.contains('/') { id } else { format!("Patient/{id}") };
                Self::Subject(texts().into_iter().map(full).collect())
            }
            "date" => {
                let (after, at) = match (value.strip_prefix("ge"), value.strip_prefix("le")) {
                    (Some(at), _) => (true, at),
                    (_, Some(at)) => (false, at),
                    _ => return Err(Refused::malformed("this server knows dates with ge and le")),
                };
                let at = at.parse().map_err(|_| Refused::malformed("the date has no time and offset"))?;
                Self::Date { after, at }
            }
            "_count" | "_elements" | "_summary" | "_offset" | "_format" | "_total" => return Ok(None),
            _ => {
                return Err(Refused::new(
                    axum::http::StatusCode::BAD_REQUEST,
                    "not-supported",
                    "this server does not know one of the search parameters",
                ));
            }
        }))
    }
}

/// A search request.
pub(super) struct Search {
    condition: Condition,
    pairs: Vec<(String, String)>,
    count: usize,
    offset: usize,
    elements: Option<Vec<String>>,
    only_count: bool,
}

impl Search {
    /// Reads the query string, or the body of `_search`.
    ///
    /// # Errors
    /// 400 for a parameter that is not known.
    pub(super) fn parse(pairs: Vec<(String, String)>) -> Result<Self, Refused> {
        let mut condition = Vec::new();
        for (name, value) in &pairs {
            condition.extend(Param::parse(name, value)?);
        }
        let get = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let number = |name: &str, default: usize| {
            let bad = |_| Refused::malformed("_count and _offset must be numbers");
            get(name).map_or(Ok(default), str::parse).map_err(bad)
        };
        Ok(Self {
            count: number("_count", 100)?.min(1000),
            offset: number("_offset", 0)?,
            elements: get("_elements")
                .map(|list| list.split(',').map(|name| name.trim().to_owned()).collect()),
            only_count: get("_summary") == Some("count") || get("_count") == Some("0"),
            condition: Condition(condition),
            pairs,
        })
    }

    /// The searchset; `base` is the server's FHIR base URL.
    ///
    /// # Errors
    /// Only where a stored resource cannot be read, which would be the server's own fault.
    pub(super) fn run(&self, store: &Store, kind: &str, base: &str) -> Result<String, Refused> {
        debug_assert!(TYPES.contains(&kind), "the router has looked");
        let found = store.find(kind, &self.condition);
        let mut out = Object::new();
        out.text("resourceType", "Bundle").text("type", "searchset").raw("total", &found.len().to_string());
        let mut links = vec![link("self", base, kind, &self.pairs)];
        if self.only_count {
            return Ok(out.raw("link", &format!("[{}]", links.join(","))).end());
        }
        let end = self.offset.saturating_add(self.count);
        if end < found.len() {
            let mut next: Vec<(String, String)> =
                self.pairs.iter().filter(|(name, _)| name != "_offset").cloned().collect();
            next.push(("_offset".to_owned(), end.to_string()));
            links.push(link("next", base, kind, &next));
        }
        out.raw("link", &format!("[{}]", links.join(",")));
        let elements: Option<Vec<&str>> =
            self.elements.as_ref().map(|names| names.iter().map(String::as_str).collect());
        let mut entries = Vec::new();
        for ((_, id), stored) in found.into_iter().skip(self.offset).take(self.count) {
            let resource = match &elements {
                Some(elements) => &cut(&stored.text, elements)?,
                None => &stored.text,
            };
            let mut entry = Object::new();
            entry.text("fullUrl", &format!("{base}/{kind}/{id}")).raw("resource", resource);
            entries.push(entry.raw("search", r#"{"mode":"match"}"#).end());
        }
        if !entries.is_empty() {
            out.raw("entry", &format!("[{}]", entries.join(",")));
        }
        Ok(out.end())
    }
}

fn link(relation: &str, base: &str, kind: &str, pairs: &[(String, String)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let separator = if query.is_empty() { "" } else { "?" };
    Object::new().text("relation", relation).text("url", &format!("{base}/{kind}{separator}{query}")).end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_know_escapes_and_absent_systems() {
        let token = Token::parse(r"http://a\|b|x\,y\$\\");
        assert!(token.matches("http://a|b", r"x,y$\"));
        assert!(Token::parse("v").matches("any", "v"));
        assert!(Token::parse("|v").matches("", "v") && !Token::parse("|v").matches("any", "v"));
        assert!(Token::parse("s|").matches("s", "v") && !Token::parse("s|").matches("t", "v"));
        assert_eq!(split(r"a\,b,c", ','), [r"a\,b", "c"]);
    }

    #[test]
    fn a_condition_has_something_to_search_by() {
        for query in ["", "_count=1", "foo=bar"] {
            assert!(Condition::parse(query).is_err(), "{query}");
        }
        assert!(Condition::parse("identifier=https://a/b%7Cu1:2:bp").is_ok());
    }
}
