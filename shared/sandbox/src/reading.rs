//! What a correct consumer delivers, told by the cloud that has it.

use std::collections::BTreeMap;

use serde::Serialize;

/// What a reading is, by the name that the mapping documents give it.
pub type Kind = &'static str;

/// A reading that a correct consumer delivers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// The record that it comes from, such as `getmeas`.
    pub record: &'static str,
    /// The id that the record has, or is given by what tells it apart: a group's, a night's, `<date>-<device>` of a day.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Where on the body, for kinds that an act of measuring may have several of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<i64>,
    /// What it is to others: a LOINC code, or the name in the deployment's own code system.
    pub code: &'static str,
    /// When it was measured or began, in Unix seconds.
    pub date: i64,
    /// The same as FHIR has it: an instant, or `start/end`, with the offset of the zone that the record names.
    pub when: String,
    /// Whether it still grows.
    pub preliminary: bool,
    /// What it says, by the codes of its components, or [`OWN`]: `72.10 kg`, `negative`, `70 71 /min at 0 60 s`.
    pub values: BTreeMap<&'static str, String>,
}

/// The name of a reading's own value among its [`Reading::values`].
pub const OWN: &str = "value";

impl Reading {
    /// What its identifier ends in: `<record id>.<kind>`, and the position where it has one.
    pub fn identity(&self) -> String {
        let Self { id, kind, .. } = self;
        self.position.map_or_else(|| format!("{id}.{kind}"), |position| format!("{id}.{kind}.{position}"))
    }
}
