//! Exact arithmetic on what an expression finds: numbers, and texts that spell them.

use ohx_domain::decimal::{Exact, scale10};

use super::scope::{Failed, Scope};
use super::value::Val;

/// A sum, difference or product of two numbers, or of texts that spell them. Null where one is none, or where the
/// result has more digits than can be kept.
pub(super) fn arithmetic<'t>(
    a: &Val<'t>,
    b: &Val<'t>,
    apply: fn(Exact, Exact) -> Option<Exact>,
    digits: fn(u32, u32) -> u32,
) -> Val<'t> {
    let result = a.numeric().zip(b.numeric()).and_then(|(a, b)| {
        let mut result = apply(a, b)?;
        // A zero loses its digits in a sum. What does not fit 28 digits has been rounded, and cannot get them back.
        let digits = digits(a.scale(), b.scale());
        if result.scale() < digits {
            result.rescale(digits);
        }
        (result.is_zero() || result.scale() == digits).then_some(result)
    });
    result.map_or(Val::Null, Val::Exact)
}

/// A quotient, rounded half to even to so many digits behind the point: what cannot be written exactly is rounded
/// where the document says so, and nowhere else.
pub(super) fn divide(a: &Val<'_>, b: &Val<'_>, digits: &Val<'_>) -> Option<Exact> {
    let digits = u32::try_from(whole(digits.numeric()?)?).ok().filter(|d| *d <= 12)?;
    let mut quotient = a.numeric()?.checked_div(b.numeric()?)?.round_dp(digits);
    quotient.rescale(digits);
    Some(quotient)
}

pub(super) fn sum<'t>(list: &Val<'t>, scope: &Scope<'t>) -> Result<Val<'t>, Failed> {
    let items = list.items().ok_or(Failed)?;
    scope.spend(2 * items.len())?;
    let mut total = Val::Exact(Exact::ZERO);
    for item in items.iter() {
        scope.weigh(&item);
        total = arithmetic(&total, &item, Exact::checked_add, u32::max);
    }
    Ok(total)
}

pub(super) fn scaled(value: &Val<'_>, exponent: &Val<'_>) -> Option<Exact> {
    let exponent = match exponent.short_whole() {
        Some(exponent) => i32::try_from(exponent).ok(),
        None => exponent.numeric().and_then(whole),
    };
    value.numeric().zip(exponent).and_then(|(v, e)| scale10(v, e))
}

/// A whole number that fits.
pub(super) fn whole(value: Exact) -> Option<i32> {
    let value = if value.scale() == 0 { value } else { value.normalize() };
    if value.scale() == 0 { i32::try_from(value.mantissa()).ok() } else { None }
}
