//! Units: UCUM codes and their texts for people, and the conversions between them, all exact or rounded where told.

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
    ("K", "K"),
    ("mL", "mL"),
    ("mmol/mmol", "mmol/mmol"),
    ("[pH]", "pH"),
    ("{steps}", "steps"),
    ("{strokes}", "strokes"),
    ("{laps}", "laps"),
    ("{episodes}", "episodes"),
    ("{events}", "events"),
    ("{samples}", "samples"),
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
    ("1", "%", 2),
];

/// Other pairs: from, to, what is added first, and the numerator and denominator of the factor.
const FACTORS: &[(&str, &str, i64, i64, i64)] = &[
    ("s", "min", 0, 1, 60),
    ("s", "h", 0, 1, 3600),
    ("min", "h", 0, 1, 60),
    ("min", "s", 0, 60, 1),
    ("h", "min", 0, 60, 1),
    ("ms", "min", 0, 1, 60_000),
    ("[degF]", "Cel", -32, 5, 9),
    ("[lb_av]", "kg", 0, 45_359_237, 100_000_000),
    ("[in_i]", "cm", 0, 254, 100),
    ("kJ", "kcal", 0, 1000, 4184),
];

/// How a value in one unit becomes a value in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// The point moves: no digit is lost or made up.
    Shift(i32),
    /// Something is added, then it is multiplied and divided. With `digits` the result is rounded to so many behind
    /// the point, half to even; without, it is exact.
    Factor { add: i64, times: i64, by: i64, digits: Option<u32> },
}

impl Conversion {
    pub(crate) const SAME: Self = Self::Shift(0);

    /// The value in the other unit. None where the result does not fit 28 digits.
    pub(crate) fn apply(self, value: Exact) -> Option<Exact> {
        match self {
            Self::Shift(0) => Some(value),
            Self::Shift(by) => scale10(value, by),
            Self::Factor { add, times, by, digits } => {
                // Products of longer numbers would be rounded in silence.
                if value.mantissa().unsigned_abs() > 1_000_000_000_000_000 {
                    return None;
                }
                let sum = value.checked_add(Exact::from(add))?;
                let product = sum.checked_mul(Exact::from(times))?;
                let result = product.checked_div(Exact::from(by))?;
                Some(match digits {
                    Some(digits) => {
                        let mut rounded = result.round_dp(digits);
                        rounded.rescale(digits);
                        rounded
                    }
                    None => result,
                })
            }
        }
    }
}

/// Whether FHIR can write a number: at most 18 digits before the point and 17 behind it (R5, `decimal`).
pub(crate) fn is_written(value: Exact) -> bool {
    value.scale() <= 17
        && (value.mantissa().unsigned_abs() < 1_000_000_000_000_000_000
            || value.trunc().mantissa().unsigned_abs() < 1_000_000_000_000_000_000)
}

/// Why there is no conversion.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoConversion {
    /// The table has no such pair.
    Unknown,
    /// The result cannot be written exactly, and `digits` does not say where to round.
    NeedsDigits,
}

/// How to come from one unit to another.
pub(crate) fn conversion(from: &str, to: &str, digits: Option<u32>) -> Result<Conversion, NoConversion> {
    if from == to {
        return Ok(Conversion::SAME);
    }
    let shift = SHIFTS.iter().find_map(|(a, b, by)| match (from, to) {
        (from, to) if (from, to) == (*a, *b) => Some(*by),
        (from, to) if (from, to) == (*b, *a) => Some(-by),
        _ => None,
    });
    if let Some(by) = shift {
        return Ok(Conversion::Shift(by));
    }
    let (.., add, times, by) =
        *FACTORS.iter().find(|(a, b, ..)| (from, to) == (*a, *b)).ok_or(NoConversion::Unknown)?;
    if digits.is_none() && !is_finite(times, by) {
        return Err(NoConversion::NeedsDigits);
    }
    Ok(Conversion::Factor { add, times, by, digits })
}

/// Whether a fraction can be written as a decimal.
fn is_finite(times: i64, by: i64) -> bool {
    let (mut a, mut b) = (times, by);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let mut rest = by / a.max(1);
    for prime in [2, 5] {
        while rest % prime == 0 {
            rest /= prime;
        }
    }
    rest == 1
}

/// The text of a UCUM code for people. None where the code is not in the table.
pub(crate) fn text(code: &str) -> Option<&'static str> {
    UNITS.iter().find(|(c, _)| *c == code).map(|(_, text)| *text)
}

/// The codes of the table.
pub(crate) fn known() -> String {
    UNITS.iter().map(|(code, _)| *code).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str, from: &str, to: &str, digits: Option<u32>) -> String {
        conversion(from, to, digits).unwrap().apply(value.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn metres_become_centimetres_without_losing_or_making_up_a_digit() {
        for (metres, centimetres) in
            [("1.80", "180"), ("1.8", "180"), ("1.805", "180.5"), ("1.7300", "173.00"), ("2", "200")]
        {
            assert_eq!(shown(metres, "m", "cm", None), centimetres);
        }
        assert_eq!(shown("180.5", "cm", "m", None), "1.805");
        assert_eq!(shown("0.86", "1", "%", None), "86");
    }

    #[test]
    fn what_cannot_be_written_exactly_wants_to_know_where_to_round() {
        assert_eq!(conversion("s", "h", None), Err(NoConversion::NeedsDigits));
        assert_eq!(conversion("[degF]", "Cel", None), Err(NoConversion::NeedsDigits));
        assert_eq!(shown("18660", "s", "h", Some(4)), "5.1833");
        assert_eq!(shown("18660", "s", "min", Some(0)), "311");
        assert_eq!(shown("98.6", "[degF]", "Cel", Some(1)), "37.0");
        assert_eq!(shown("100", "kJ", "kcal", Some(2)), "23.90");
        // Exact without being told.
        assert_eq!(shown("150", "[lb_av]", "kg", None), "68.0388555");
        assert_eq!(shown("70.5", "[in_i]", "cm", None), "179.070");
        assert_eq!(shown("1.5", "h", "min", None), "90.0");
    }

    #[test]
    fn fhir_writes_eighteen_digits_and_seventeen() {
        for (text, written) in [
            ("999999999999999999", true),
            ("-1000000000000000000", false),
            ("0.12345678901234567", true),
            ("0.123456789012345678", false),
            ("99999999999.12345678901234567", true),
        ] {
            assert_eq!(is_written(text.parse().unwrap()), written, "{text}");
        }
    }

    #[test]
    fn four_digits_of_an_hour_tell_every_second_apart() {
        let hours = |second: i64| shown(&second.to_string(), "s", "h", Some(4));
        for second in 0..86_400 {
            let back: Exact = hours(second).parse::<Exact>().unwrap() * Exact::from(3600);
            assert_eq!(back.round(), Exact::from(second));
        }
    }

    #[test]
    fn only_what_the_tables_have_is_converted() {
        assert_eq!(conversion("kg", "kg", None), Ok(Conversion::SAME));
        assert_eq!(conversion("kg", "Cel", Some(2)), Err(NoConversion::Unknown));
        let known = |unit: &str| text(unit).is_some();
        assert!(SHIFTS.iter().all(|(a, b, _)| known(a) && known(b)));
        assert!(FACTORS.iter().all(|(a, b, ..)| known(a) && known(b)));
        let same_dimension = |a: &str, b: &str| ucum::is_comparable(a, b).unwrap();
        assert!(SHIFTS.iter().all(|(a, b, _)| same_dimension(a, b)));
        assert!(FACTORS.iter().all(|(a, b, ..)| same_dimension(a, b)));
        assert!(UNITS.iter().all(|(code, _)| ucum::validate(code).is_ok()));
    }
}
