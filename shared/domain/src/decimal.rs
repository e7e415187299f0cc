//! Exact decimals. FHIR calls a decimal's precision significant: `72.10` stays `72.10`, and nothing here goes
//! through a binary float.

use rust_decimal::Decimal;
pub use rust_decimal::Decimal as Exact;

/// A JSON number's text as an exact decimal, with the digits it was written with (`7.210e1` is `72.10`).
///
/// `None` where the text is not a JSON number, or has more than 28 significant digits, which no measuring device has.
pub fn parse_json_number(text: &str) -> Option<Exact> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (text.get(..at)?, text.get(at + 1..)?.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let shape_ok = mantissa.chars().all(|c| c.is_ascii_digit() || c == '-' || c == '.');
    if !shape_ok || mantissa.ends_with('.') {
        return None;
    }
    scale10(Decimal::from_str_exact(mantissa).ok()?, exponent)
}

/// `value` times ten to the power of `exponent`, exactly, keeping the printed digits: 7210 by -2 is `72.10`, 10600
/// by -2 is `106.00`, 7 by 1 is `70`.
///
/// `None` where the result does not fit 28 decimals or 96 bits.
pub fn scale10(value: Exact, exponent: i32) -> Option<Exact> {
    let scale = i64::from(value.scale()) - i64::from(exponent);
    if scale >= 0 {
        let scale = u32::try_from(scale).ok().filter(|s| *s <= Decimal::MAX_SCALE)?;
        Decimal::try_from_i128_with_scale(value.mantissa(), scale).ok()
    } else {
        let power = 10_i128.checked_pow(u32::try_from(-scale).ok()?)?;
        Decimal::try_from_i128_with_scale(value.mantissa().checked_mul(power)?, 0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(value: Option<Exact>) -> String {
        value.map_or_else(|| "none".to_owned(), |v| v.to_string())
    }

    #[test]
    fn trailing_zeros_are_kept() {
        assert_eq!(shown(scale10(Decimal::from(7210), -2)), "72.10");
        assert_eq!(shown(scale10(Decimal::from(10600), -2)), "106.00");
        assert_eq!(shown(scale10(Decimal::from(7), 1)), "70");
        assert_eq!(shown(scale10(Decimal::from(0), -3)), "0.000");
        assert_eq!(shown(parse_json_number("36.60")), "36.60");
        assert_eq!(shown(parse_json_number("7.210e1")), "72.10");
        assert_eq!(shown(parse_json_number("-0.5E-1")), "-0.05");
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "1.", ".", "abc", "1e", "1e99", "NaN", "1_000", "+1", "0x10", "1e-40"] {
            assert_eq!(parse_json_number(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn scaling_moves_the_point_and_changes_no_digit(mantissa in any::<i64>(), exponent in -9_i32..=0) {
            let scaled = scale10(Decimal::from(mantissa), exponent).unwrap();
            prop_assert_eq!(scaled.mantissa(), i128::from(mantissa));
            prop_assert_eq!(scaled.scale(), exponent.unsigned_abs());
        }
    }
}
