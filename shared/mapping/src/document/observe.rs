//! The vocabulary of the second stage.

use schemars::JsonSchema;
use serde::Deserialize as Derive;
use serde_saphyr::Spanned;

use super::{Bound, Ordered, Text};

/// Stage two: from a kind of reading to an Observation.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Observe {
    /// Canonical URLs for meta.profile.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) profile: Vec<Text>,
    /// A code of HL7's observation-category.
    #[schemars(with = "String")]
    pub(crate) category: Text,
    /// What is measured.
    pub(crate) code: Code,
    /// How it came about, such as an average over a night: Observation.method.
    pub(crate) method: Option<String>,
    /// Its own value.
    #[schemars(with = "Option<Value>")]
    pub(crate) value: Option<Spanned<Value>>,
    /// Its components, in their order.
    pub(crate) components: Option<Ordered<Spanned<Component>>>,
}

/// A CodeableConcept.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Code {
    /// LOINC codes.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(crate) loinc: Vec<Text>,
    /// Codes of this deployment's own code systems: the system's name, and the code.
    #[serde(default)]
    pub(crate) local: Option<Ordered<Text>>,
    /// Codes of any other system.
    #[serde(default)]
    pub(crate) coding: Vec<Coding>,
    /// What people read.
    pub(crate) text: Option<String>,
}

/// A Coding of any other system.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Coding {
    /// A URL or URN.
    #[schemars(with = "String")]
    pub(crate) system: Text,
    /// The code.
    #[schemars(with = "String")]
    pub(crate) code: Text,
    /// Its official name.
    pub(crate) display: Option<String>,
}

/// A value: a quantity, a code of a table, or SampledData.
#[derive(Derive, JsonSchema, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct Value {
    /// The unit as a UCUM code, for a quantity or for samples.
    #[schemars(with = "Option<String>")]
    pub(crate) unit: Option<Text>,
    /// The unit for people.
    pub(crate) unit_text: Option<String>,
    /// Digits behind the point, for conversions that cannot be written exactly.
    #[schemars(with = "Option<u32>")]
    pub(crate) digits: Option<Spanned<u32>>,
    /// The range in which it is believed, inclusive, in that unit.
    #[schemars(with = "Option<[Bound; 2]>")]
    pub(crate) range: Option<Spanned<[Bound; 2]>>,
    /// The table of its codes.
    #[schemars(with = "Option<String>")]
    pub(crate) codes: Option<Text>,
    /// The unit of time between samples (`ms` or `s`): the value is SampledData.
    #[schemars(with = "Option<String>")]
    pub(crate) sampled: Option<Text>,
    /// Whether the reading stands without it.
    #[serde(default)]
    pub(crate) optional: bool,
}

/// A component of an Observation.
#[derive(Derive, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Component {
    /// What is measured.
    pub(crate) code: Code,
    /// The unit as a UCUM code, for a quantity or for samples.
    #[schemars(with = "Option<String>")]
    pub(crate) unit: Option<Text>,
    /// The unit for people.
    pub(crate) unit_text: Option<String>,
    /// Digits behind the point, for conversions that cannot be written exactly.
    #[schemars(with = "Option<u32>")]
    pub(crate) digits: Option<Spanned<u32>>,
    /// The range in which it is believed, inclusive, in that unit.
    #[schemars(with = "Option<[Bound; 2]>")]
    pub(crate) range: Option<Spanned<[Bound; 2]>>,
    /// The table of its codes.
    #[schemars(with = "Option<String>")]
    pub(crate) codes: Option<Text>,
    /// The unit of time between samples (`ms` or `s`): the value is SampledData.
    #[schemars(with = "Option<String>")]
    pub(crate) sampled: Option<Text>,
    /// Whether the reading stands without it.
    #[serde(default)]
    pub(crate) optional: bool,
}

impl Component {
    /// Its value.
    pub(crate) fn value(&self) -> Value {
        Value {
            unit: self.unit.clone(),
            unit_text: self.unit_text.clone(),
            digits: self.digits.clone(),
            range: self.range.clone(),
            codes: self.codes.clone(),
            sampled: self.sampled.clone(),
            optional: self.optional,
        }
    }
}
