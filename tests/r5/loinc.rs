//! The LOINC codes that may be written, `loinc.txt`.

use std::sync::LazyLock;

/// A code that a provider sheet vouches for.
pub(crate) struct Known {
    pub(crate) code: &'static str,
    /// `certain` or `likely`.
    pub(crate) mark: &'static str,
    /// What it is measured in. None: it has no quantity.
    pub(crate) unit: Option<&'static str>,
    pub(crate) name: &'static str,
}

/// Every code that may be written.
pub(crate) static ALLOWED: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let lines = include_str!("loinc.txt").lines().filter(|l| !l.starts_with('#'));
    let known = lines.map(|line| match line.split(" | ").collect::<Vec<_>>()[..] {
        [code, mark, unit, name] => Known { code, mark, unit: Some(unit).filter(|u| *u != "-"), name },
        _ => panic!("loinc.txt: {line}"),
    });
    known.collect()
});

/// A code of the list.
pub(crate) fn allowed(code: &str) -> Option<&'static Known> {
    ALLOWED.iter().find(|k| k.code == code)
}

/// Whether the digit behind the hyphen is the one that follows from those before it (modulus 10, Luhn).
pub(crate) fn has_check_digit(code: &str) -> bool {
    let Some((number, check)) = code.split_once('-') else { return false };
    let digits: Option<Vec<u32>> = number.chars().map(|c| c.to_digit(10)).collect();
    let Some(digits) = digits.filter(|d| (1..=7).contains(&d.len()) && d[0] != 0) else { return false };
    let doubled = |digit: u32| digit * 2 / 10 + digit * 2 % 10;
    let sum: u32 =
        digits.iter().rev().enumerate().map(|(n, d)| if n % 2 == 0 { doubled(*d) } else { *d }).sum();
    check == ((10 - sum % 10) % 10).to_string()
}

#[test]
fn the_list_is_in_order() {
    let mut codes: Vec<&str> = ALLOWED.iter().map(|k| k.code).collect();
    for known in ALLOWED.iter() {
        assert!(has_check_digit(known.code), "{}", known.code);
        assert!(["certain", "likely"].contains(&known.mark), "{}", known.code);
        assert!(known.unit.is_none_or(|u| ucum::validate(u).is_ok()), "{}", known.code);
        assert!(known.name.len() > 1, "{}", known.code);
    }
    let count = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), count);
}

#[test]
fn a_slip_in_a_code_is_seen() {
    assert!(has_check_digit("29463-7"));
    for slip in ["29463-6", "29436-7", "2946-7", "29463", "029463-7", "2946a-7", "", "-", "29463-77"] {
        assert!(!has_check_digit(slip), "{slip}");
    }
}
