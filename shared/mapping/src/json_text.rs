//! FHIR elements as prepared JSON text, in which [`BASE`] stands for the identifier base.

use crate::json::write_string;
use crate::plan::BASE;
use crate::units;

/// A coding to be written: the system may begin with [`BASE`].
pub(crate) struct WrittenCoding<'a> {
    pub(crate) system: String,
    pub(crate) code: &'a str,
    pub(crate) display: Option<&'a str>,
}

/// The system of a code system: a URL or URN as it is, a name as one of this deployment's own.
pub(crate) fn system(name: &str) -> String {
    if name.contains(':') { name.replace(BASE, "") } else { format!("{BASE}/CodeSystem/{name}") }
}

/// A JSON string in prepared text, where `system` may begin with [`BASE`].
pub(crate) fn write_system(out: &mut String, system: &str) {
    match system.strip_prefix(BASE) {
        Some(rest) => {
            let mut quoted = String::new();
            write_string(&mut quoted, rest);
            out.push('"');
            out.push(BASE);
            out.push_str(quoted.get(1..).unwrap_or_default());
        }
        None => write_string(out, system),
    }
}

/// A CodeableConcept.
pub(crate) fn concept(codings: &[WrittenCoding<'_>], text: Option<&str>) -> String {
    let mut out = String::from("{\"coding\":[");
    for (n, coding) in codings.iter().enumerate() {
        out.push_str(if n > 0 { ",{\"system\":" } else { "{\"system\":" });
        write_system(&mut out, &coding.system);
        out.push_str(",\"code\":");
        write_string(&mut out, coding.code);
        if let Some(display) = coding.display {
            out.push_str(",\"display\":");
            write_string(&mut out, display);
        }
        out.push('}');
    }
    out.push(']');
    if let Some(text) = text {
        out.push_str(",\"text\":");
        write_string(&mut out, text);
    }
    out.push('}');
    out
}

/// The JSON text behind a decimal: `,"unit":…,"system":…,"code":…}`.
pub(crate) fn quantity_end(unit: &str, text: Option<&str>) -> String {
    let mut out = String::from(",\"unit\":");
    write_string(&mut out, text.or_else(|| units::text(unit)).unwrap_or(unit));
    out.push_str(",\"system\":\"http://unitsofmeasure.org\",\"code\":");
    write_string(&mut out, unit);
    out.push('}');
    out
}
