//! The few parts of FHIR's answers that are read, and nothing else of them.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::client::Answer;

/// A Bundle: `searchset` or `batch-response` (FHIR R5 Bundle).
#[derive(Deserialize)]
pub(crate) struct Bundle {
    #[serde(rename = "resourceType")]
    pub(crate) resource_type: String,
    #[serde(rename = "type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) link: Vec<Link>,
    #[serde(default)]
    pub(crate) entry: Vec<Entry>,
}

#[derive(Deserialize)]
pub(crate) struct Link {
    pub(crate) relation: String,
    pub(crate) url: String,
}

#[derive(Deserialize)]
pub(crate) struct Entry {
    #[serde(default)]
    pub(crate) resource: Option<Box<RawValue>>,
    #[serde(default)]
    pub(crate) response: Option<Response>,
}

#[derive(Deserialize)]
pub(crate) struct Response {
    /// Begins with the HTTP status code: `201 Created`, `200`.
    pub(crate) status: String,
    #[serde(default)]
    pub(crate) location: Option<String>,
    #[serde(default)]
    pub(crate) outcome: Option<Box<RawValue>>,
}

impl Response {
    /// A status and nothing else.
    pub(crate) fn bare(status: u16) -> Self {
        Self { status: status.to_string(), location: None, outcome: None }
    }

    /// The answer to a request that carried one resource.
    pub(crate) fn alone(answer: Answer) -> Self {
        let outcome = if answer.status < 400 { None } else { RawValue::from_string(answer.body).ok() };
        Self { status: answer.status.to_string(), location: answer.location, outcome }
    }

    /// The HTTP status code.
    pub(crate) fn code(&self) -> Option<u16> {
        self.status.get(..3)?.parse().ok().filter(|code| (100..600).contains(code))
    }
}

/// The elements that a lookup asks for.
#[derive(Deserialize)]
pub(crate) struct Existing {
    #[serde(rename = "resourceType")]
    pub(crate) resource_type: String,
    #[serde(default)]
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) identifier: Vec<ExistingIdentifier>,
    #[serde(default)]
    pub(crate) meta: Meta,
    #[serde(default)]
    pub(crate) issued: Option<String>,
    /// A code in most types, and a concept in some, of which nothing is read.
    #[serde(default, deserialize_with = "code")]
    pub(crate) status: Option<String>,
}

fn code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let raw: Option<Box<RawValue>> = Option::deserialize(deserializer)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
}

#[derive(Deserialize)]
pub(crate) struct ExistingIdentifier {
    #[serde(default)]
    pub(crate) system: String,
    #[serde(default)]
    pub(crate) value: String,
}

#[derive(Deserialize, Default)]
pub(crate) struct Meta {
    #[serde(rename = "versionId", default)]
    pub(crate) version_id: Option<String>,
    #[serde(default)]
    pub(crate) tag: Vec<Tag>,
}

#[derive(Deserialize)]
pub(crate) struct Tag {
    #[serde(default)]
    pub(crate) system: String,
    #[serde(default)]
    pub(crate) code: String,
}

#[derive(Deserialize, Default)]
struct OperationOutcome {
    #[serde(default)]
    issue: Vec<Issue>,
}

#[derive(Deserialize)]
struct Issue {
    #[serde(default)]
    severity: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    expression: Vec<String>,
}

/// What an OperationOutcome says, as far as it may be repeated: codes and paths. `diagnostics` and `details` may quote
/// health data and are not even read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Issues {
    /// `issue.code`, only errors and worse where there are any.
    pub(crate) codes: Vec<String>,
    /// `code at expression, code at expression`.
    pub(crate) text: String,
}

impl Issues {
    /// Reads an answer, which need not be an OperationOutcome at all.
    pub(crate) fn read(json: &str) -> Self {
        let outcome: OperationOutcome = serde_json::from_str(json).unwrap_or_default();
        let (errors, rest): (Vec<_>, Vec<_>) =
            outcome.issue.into_iter().partition(|issue| matches!(issue.severity.as_str(), "error" | "fatal"));
        let mut found = Self::default();
        for issue in
            if errors.is_empty() { rest } else { errors }.into_iter().filter(|i| is_code(&i.code)).take(5)
        {
            let paths: Vec<_> = issue.expression.into_iter().filter(|path| is_path(path)).take(3).collect();
            let shown = if paths.is_empty() {
                issue.code.clone()
            } else {
                format!("{} at {}", issue.code, paths.join(" and "))
            };
            if !found.text.is_empty() {
                found.text.push_str(", ");
            }
            found.text.push_str(&shown);
            found.codes.push(issue.code);
        }
        found
    }

    /// Whether the server says that the same request may succeed later (FHIR R5 issue-type).
    pub(crate) fn transient(&self) -> bool {
        self.codes
            .iter()
            .any(|code| matches!(code.as_str(), "transient" | "lock-error" | "timeout" | "throttled"))
    }
}

/// Letters and hyphens: a code of FHIR's issue-type, and nothing that could carry a value.
fn is_code(code: &str) -> bool {
    (1..=32).contains(&code.len()) && code.chars().all(|c| c.is_ascii_lowercase() || c == '-')
}

/// A plain path such as `Observation.component[1].value.ofType(Quantity)`: digits occur only as an index.
fn is_path(path: &str) -> bool {
    let mut in_index = false;
    let plain = path.chars().all(|c| match c {
        '[' => !std::mem::replace(&mut in_index, true),
        ']' => std::mem::replace(&mut in_index, false),
        c if in_index => c.is_ascii_digit(),
        c => c.is_ascii_alphabetic() || matches!(c, '.' | '(' | ')'),
    });
    plain && !in_index && (1..=120).contains(&path.len())
}

/// Whether `id` is what FHIR R5 allows as a resource id (1 to 64 of `[A-Za-z0-9.-]`).
pub(crate) fn is_id(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_repeat_codes_and_paths_and_no_value() {
        let issues = Issues::read(
            r#"{"resourceType":"OperationOutcome","issue":[
                {"severity":"warning","code":"informational"},
                {"severity":"error","code":"invariant","diagnostics":"weight 72.10 of Jane","details":{"text":"72.10"},
                 "expression":["Observation.component[1].value.ofType(Quantity)","Observation.where(value=72.10)","Jane Doe"]},
                {"severity":"error","code":"72.10"}]}"#,
        );
        assert_eq!(issues.text, "invariant at Observation.component[1].value.ofType(Quantity)");
        assert_eq!(issues.codes, ["invariant"]);
        assert_eq!(Issues::read("<html>72.10</html>"), Issues::default());
        assert!(Issues::read(r#"{"issue":[{"code":"lock-error"}]}"#).transient());
    }

    #[test]
    fn a_status_begins_with_its_code() {
        let code = |status: &str| Response { status: status.into(), location: None, outcome: None }.code();
        assert_eq!(code("201 Created"), Some(201));
        assert_eq!(code("200"), Some(200));
        for bad in ["", "20", "OK", "999", "é1"] {
            assert_eq!(code(bad), None, "{bad}");
        }
    }
}
