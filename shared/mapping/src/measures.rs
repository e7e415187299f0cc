//! What a document makes: its kinds of reading with their codes and units, for tables that people read.

use crate::document::{Code, Document};
use crate::error::DocumentError;

/// One value that a document writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// The kind of reading.
    pub kind: String,
    /// The component's name, where it is one.
    pub component: Option<String>,
    /// What people read.
    pub text: String,
    /// Its codes: `LOINC 29463-7`, `measure#hrv-rmssd` of this deployment's own systems, `urn:…#131329` of others.
    pub codes: Vec<String>,
    /// The UCUM unit; `code` for a code of a table; empty where the reading has components only.
    pub unit: String,
    /// Whether it is SampledData.
    pub sampled: bool,
}

fn codes(code: &Code) -> Vec<String> {
    let loinc = code.loinc.iter().map(|c| format!("LOINC {}", c.value));
    let local = code.local.iter().flat_map(|l| &l.0).map(|(system, c)| format!("{system}#{}", c.value));
    let other = code.coding.iter().map(|c| format!("{}#{}", c.system.value, c.code.value));
    loinc.chain(local).chain(other).collect()
}

/// Every value that a document writes, in its order.
///
/// # Errors
/// [`DocumentError`] where it is no document.
pub fn measures(document: &str) -> Result<Vec<Measure>, DocumentError> {
    let document: Document = crate::compile::read(document)?;
    let mut all = Vec::new();
    for (kind, observe) in &document.observe.0 {
        let observe = &observe.value;
        let unit = |unit: Option<&crate::document::Text>, codes: bool| match (unit, codes) {
            (Some(unit), _) => unit.value.clone(),
            (None, true) => "code".to_owned(),
            (None, false) => String::new(),
        };
        let value = observe.value.as_ref().map(|v| &v.value);
        all.push(Measure {
            kind: kind.clone(),
            component: None,
            text: observe.code.text.clone().unwrap_or_default(),
            codes: codes(&observe.code),
            unit: value.map(|v| unit(v.unit.as_ref(), v.codes.is_some())).unwrap_or_default(),
            sampled: value.is_some_and(|v| v.sampled.is_some()),
        });
        for (name, component) in observe.components.iter().flat_map(|c| &c.0) {
            let component = &component.value;
            all.push(Measure {
                kind: kind.clone(),
                component: Some(name.clone()),
                text: component.code.text.clone().unwrap_or_default(),
                codes: codes(&component.code),
                unit: unit(component.unit.as_ref(), component.codes.is_some()),
                sampled: component.sampled.is_some(),
            });
        }
    }
    Ok(all)
}
