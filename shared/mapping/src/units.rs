//! Units: the UCUM codes that documents may name, and the conversions that lose no digit.

use ohx_domain::decimal::{Exact, scale10};

/// UCUM codes, and the text that is shown to people where a document gives none.
const UNITS: &[(&str, &str)] = &[
    ("kg", "kg"),
    ("g", "g"),
    ("[lb_av]", "lb"),
    ("m", "m"),
    ("cm", "cm"),
    ("mm", "mm"),
    ("km", "km"),
    ("[in_i]", "in"),
    ("%", "%"),
    ("/min", "/min"),
    ("/h", "/h"),
    ("mm[Hg]", "mmHg"),
    ("Cel", "°C"),
    ("[degF]", "°F"),
    ("m/s", "m/s"),
    ("km/h", "km/h"),
    ("s", "s"),
    ("ms", "ms"),
    ("min", "min"),
    ("h", "h"),
    ("d", "d"),
    ("a", "a"),
    ("kcal", "kcal"),
    ("kcal/d", "kcal/day"),
    ("kJ", "kJ"),
    ("kg/m2", "kg/m2"),
    ("mL/kg/min", "mL/kg/min"),
    ("mL/min/kg", "mL/min/kg"),
    ("mg/dL", "mg/dL"),
    ("mmol/L", "mmol/L"),
    ("umol/L", "umol/L"),
    ("uS", "uS"),
    ("uV", "uV"),
    ("mV", "mV"),
    ("1", "1"),
    ("{steps}", "steps"),
    ("{flight}", "flights"),
    ("{score}", "score"),
];

/// Pairs of units that differ by a power of ten: from, to, exponent.
const SHIFTS: &[(&str, &str, i32)] = &[
    ("m", "cm", 2),
    ("m", "mm", 3),
    ("km", "m", 3),
    ("cm", "mm", 1),
    ("kg", "g", 3),
    ("s", "ms", 3),
    ("mV", "uV", 3),
];

/// The text of a UCUM code for people. None where the code is not in the table.
pub(crate) fn text(code: &str) -> Option<&'static str> {
    UNITS.iter().find(|(c, _)| *c == code).map(|(_, text)| *text)
}

/// The codes of the table.
pub(crate) fn known() -> String {
    UNITS.iter().map(|(code, _)| *code).collect::<Vec<_>>().join(", ")
}

/// What to shift a decimal's point by, to come from one unit to another. None where the table has no such pair.
pub(crate) fn shift(from: &str, to: &str) -> Option<i32> {
    if from == to {
        return Some(0);
    }
    SHIFTS.iter().find_map(|(a, b, by)| match (from, to) {
        (from, to) if (from, to) == (*a, *b) => Some(*by),
        (from, to) if (from, to) == (*b, *a) => Some(-by),
        _ => None,
    })
}

/// A value with its point shifted: no digit is lost or made up. None where the result has more than 28 digits.
pub(crate) fn shifted(value: Exact, by: i32) -> Option<Exact> {
    if by == 0 { Some(value) } else { scale10(value, by) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metres_become_centimetres_without_losing_or_making_up_a_digit() {
        let by = shift("m", "cm").unwrap();
        for (metres, centimetres) in
            [("1.80", "180"), ("1.8", "180"), ("1.805", "180.5"), ("1.7300", "173.00"), ("2", "200")]
        {
            assert_eq!(shifted(metres.parse().unwrap(), by).unwrap().to_string(), centimetres);
        }
        assert_eq!(
            shifted("180.5".parse().unwrap(), shift("cm", "m").unwrap()).unwrap().to_string(),
            "1.805"
        );
    }

    #[test]
    fn only_what_the_table_has_is_converted() {
        assert_eq!(shift("kg", "kg"), Some(0));
        assert_eq!(shift("[degF]", "Cel"), None);
        assert!(SHIFTS.iter().all(|(a, b, _)| text(a).is_some() && text(b).is_some()));
    }
}
