//! Writes an Observation's JSON text.

use ohx_domain::decimal::Exact;
use ohx_domain::{ContentDigest, Identifier};

use super::Run;
use super::reading::Taken;
use super::record::Record;
use crate::json::write_string;
use crate::mapped::{Context, JsonText, MappedObservation};
use crate::plan::{BASE, Kind, Mapping};

/// The texts that are the same in every Observation of a run.
pub(super) struct Names {
    /// The identifier base, escaped for JSON.
    base: String,
    /// The identifier system.
    system: String,
    /// `"<system>","value":"<account>.`
    identifier: String,
    /// `,"subject":{…},`
    subject: String,
    /// `,"performer":[…]`
    performer: String,
    account: String,
}

impl Names {
    pub(super) fn new(mapping: &Mapping, context: &Context) -> Self {
        let quoted = |text: &str| {
            let mut out = String::new();
            write_string(&mut out, text);
            out
        };
        let base = context.identifier_base.trim_end_matches('/');
        let system = mapping.system(context);
        let patient = quoted(context.subject.as_str());
        let escaped = quoted(base);
        Self {
            base: escaped.get(1..escaped.len() - 1).unwrap_or_default().to_owned(),
            identifier: format!("{},\"value\":\"", quoted(&system)),
            subject: format!(",\"subject\":{{\"reference\":{patient}}},"),
            performer: format!(",\"performer\":[{{\"reference\":{patient}}}]"),
            account: context.account.as_str().to_owned(),
            system,
        }
    }
}

/// The most room that is made for an Observation before it is written: a long one may be the only one.
const MOST_ROOM: usize = 8 * 1024;

/// The JSON text of a kind, made ready for this run's context.
pub(super) struct Ready {
    /// Up to the identifier's value.
    head: String,
    /// From behind the status to the subject.
    body: String,
    /// Before each value.
    before: Vec<String>,
    /// How much room an Observation of the kind takes: a little more than the last one did, within bounds.
    length: usize,
}

impl Ready {
    fn new(kind: &Kind, names: &Names) -> Self {
        Self {
            head: format!("{}{}", kind.head.replace(BASE, &names.base), names.identifier),
            body: format!("{}{}", kind.body.replace(BASE, &names.base), names.subject),
            before: kind.slots.iter().map(|s| s.before.replace(BASE, &names.base)).collect(),
            length: 1024,
        }
    }
}

impl<'t> Run<'t> {
    /// The Observation of a reading. None only where its kind is not in the plan.
    pub(super) fn make(
        &mut self,
        record: &Record<'t>,
        at: usize,
        position: Option<u16>,
        values: &[Option<&Taken<'t>>],
    ) -> Option<MappedObservation> {
        let mapping = self.mapping;
        let kind = mapping.kinds.get(at)?;
        let names = &self.names;
        let ready = self.ready.get_mut(at)?.get_or_insert_with(|| Ready::new(kind, names));
        let mut identity = String::with_capacity(names.account.len() + record.id.len() + kind.name.len() + 8);
        for (n, part) in [names.account.as_str(), &record.id, &kind.name].into_iter().enumerate() {
            identity.push_str(if n > 0 { "." } else { "" });
            identity.push_str(part);
        }
        if let Some(position) = position {
            identity.push('.');
            identity.push_str(&position.to_string());
        }

        let mut out = String::with_capacity(ready.length);
        match &record.origin {
            None => out.push_str(&ready.head),
            Some(origin) => out.push_str(&tagged(&ready.head, &names.base, origin)),
        }
        out.push_str(&identity);
        out.push_str(if record.preliminary {
            "\"}],\"status\":\"preliminary"
        } else {
            "\"}],\"status\":\"final"
        });
        out.push_str(&ready.body);
        match &record.when.end {
            None => push_all(&mut out, &["\"effectiveDateTime\":\"", &record.when.start_text, "\""]),
            Some((_, end)) => push_all(
                &mut out,
                &["\"effectivePeriod\":{\"start\":\"", &record.when.start_text, "\",\"end\":\"", end, "\"}"],
            ),
        }
        if let Some((_, issued)) = &record.issued {
            push_all(&mut out, &[",\"issued\":\"", issued, "\""]);
        }
        out.push_str(&names.performer);
        if let Some(manual) = self.extract.manual.as_ref().filter(|_| record.manual) {
            out.push_str(&manual.note);
        }
        if let Some(position) = position
            && let Some(site) = self.extract.items.as_ref().and_then(|i| i.sites.get(&position))
        {
            out.push_str(&site.replace(BASE, &names.base));
        }
        out.push_str(&kind.method);

        let mut says = ContentDigest::new();
        says.field(kind.name.as_bytes());
        let mut components = 0;
        for (n, ((slot, before), value)) in kind.slots.iter().zip(&ready.before).zip(values).enumerate() {
            let Some(value) = value else {
                says.field(&[]);
                says.field(slot.holds.unit().as_bytes());
                continue;
            };
            out.push_str(match (n == 0 && kind.own, components) {
                (true, _) => ",",
                (false, 0) => ",\"component\":[",
                (false, _) => ",",
            });
            components += usize::from(n > 0 || !kind.own);
            out.push_str(before);
            let from = out.len();
            match value {
                Taken::Number(number) => push_exact(&mut out, *number),
                Taken::Code((concept, _)) => out.push_str(&concept.replace(BASE, &names.base)),
                Taken::Samples(s) => push_all(&mut out, &[&s.time, ",\"data\":\"", &s.data, "\""]),
            }
            let said = match value {
                Taken::Code((_, code)) => code.as_bytes(),
                _ => out.get(from..).unwrap_or_default().as_bytes(),
            };
            says.field(said);
            says.field(slot.holds.unit().as_bytes());
            out.push_str(&slot.after);
        }
        out.push_str(if components > 0 { "]}" } else { "}" });

        ready.length = (out.len() + 16).min(MOST_ROOM);

        says.field(&record.when.start.as_microsecond().to_be_bytes());
        says.field(if record.manual { b"manual" } else { b"" });
        says.field(record.device.as_ref().map(|d| d.id.as_bytes()).unwrap_or_default());
        if let Some((end, _)) = &record.when.end {
            says.field(&end.as_microsecond().to_be_bytes());
        }
        if record.preliminary {
            says.field(b"preliminary");
        }
        Some(MappedObservation {
            identifier: Identifier { system: names.system.clone(), value: identity },
            digest: says.finish(),
            kind: kind.name.clone(),
            issued: record.issued.as_ref().map(|(at, _)| *at),
            taken: record.when.start,
            device: record.device.clone(),
            resource: JsonText::new(out),
        })
    }
}

/// What a head's list of tags ends with.
const END_OF_TAGS: &str = "]},\"identifier\":[";

/// The head with one more tag: by which way the reading came to the provider.
fn tagged(head: &str, base: &str, origin: &str) -> String {
    match head.rsplit_once(END_OF_TAGS) {
        Some((before, after)) => {
            format!("{before},{{\"system\":\"{base}/origin\",\"code\":\"{origin}\"}}{END_OF_TAGS}{after}")
        }
        None => head.to_owned(),
    }
}

fn push_all(out: &mut String, parts: &[&str]) {
    parts.iter().for_each(|part| out.push_str(part));
}

/// Appends a decimal with its digits, as [`Exact`]'s own printing does.
fn push_exact(out: &mut String, number: Exact) {
    use std::fmt::Write as _;
    let scale = usize::try_from(number.scale()).unwrap_or(usize::MAX);
    let mantissa = number.mantissa().unsigned_abs();
    // Nearly every number there is: up to 19 digits, at least one of them before the point.
    if let Ok(mut rest) = u64::try_from(mantissa)
        && scale < 19
    {
        let mut digits = [b'0'; 24];
        let mut at = digits.len();
        let mut written = 0;
        while rest > 0 || written <= scale {
            if written == scale && scale > 0 {
                at -= 1;
                digits[at] = b'.';
            }
            at -= 1;
            digits[at] = b'0' + u8::try_from(rest % 10).unwrap_or_default();
            rest /= 10;
            written += 1;
        }
        if number.is_sign_negative() {
            out.push('-');
        }
        out.push_str(std::str::from_utf8(digits.get(at..).unwrap_or_default()).unwrap_or_default());
    } else {
        // Writing to a String does not fail.
        let _ = write!(out, "{number}");
    }
}

#[cfg(test)]
mod tests {
    use ohx_domain::decimal::scale10;
    use proptest::prelude::*;

    use super::*;

    fn pushed(number: Exact) -> String {
        let mut out = String::new();
        push_exact(&mut out, number);
        out
    }

    proptest! {
        #[test]
        fn a_decimal_is_written_as_it_prints(mantissa in any::<i64>(), few in -1000_i64..1000, scale in 0_i32..28) {
            for mantissa in [mantissa, few] {
                let number = scale10(Exact::from(mantissa), -scale).unwrap();
                prop_assert_eq!(pushed(number), number.to_string());
            }
        }
    }

    #[test]
    fn zeros_and_the_largest_are_written_as_they_print() {
        for text in
            ["0", "-0", "0.00", "-0.00", "79228162514264337593543950335", "0.1", "18446744073709551615"]
        {
            let number: Exact = text.parse().unwrap();
            assert_eq!(pushed(number), number.to_string());
        }
    }
}
