//! Canaries, every form that one may take, and the search for all of them at once.

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, AhoCorasickBuilder};
use data_encoding::{BASE32_NOPAD, BASE64_NOPAD, HEXLOWER};

/// What a canary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A health value.
    Value,
    /// A token, a key, a code, a password.
    Secret,
    /// Who somebody is at the provider, or what they are called.
    Person,
}

/// Something that may be nowhere.
#[derive(Debug, Clone)]
pub struct Canary {
    pub name: String,
    pub kind: Kind,
    /// The forms it has before any encoding.
    forms: Vec<Form>,
}

#[derive(Debug, Clone)]
struct Form {
    what: &'static str,
    bytes: Vec<u8>,
    /// Text may be encoded once more; what a machine writes is searched for as it is.
    text: bool,
}

impl Form {
    fn text(what: &'static str, text: &str) -> Self {
        Self { what, bytes: text.as_bytes().to_vec(), text: true }
    }

    fn binary(what: &'static str, bytes: &[u8]) -> Self {
        Self { what, bytes: bytes.to_vec(), text: false }
    }
}

impl Canary {
    /// A health value: `mantissa` times ten to the power of minus `digits`, with nine or more digits, so that nothing has it
    /// by chance.
    pub fn value(name: &str, mantissa: i64, digits: usize) -> Self {
        assert!(mantissa >= 100_000_000, "{mantissa} may be anything");
        let all = mantissa.to_string();
        let (whole, fraction) = all.split_at(all.len() - digits);
        let decimal = format!("{whole}.{fraction}");
        let number: f64 = decimal.parse().unwrap();
        let mut forms = vec![
            Form::text("decimal", &decimal),
            Form::text("decimal comma", &decimal.replace('.', ",")),
            // Cut off, as where something is shown in short; what it is rounded to differs in the last digit only.
            Form::text("cut off", &decimal[..decimal.len() - 2]),
            Form::text("mantissa", &all),
            Form::text("mantissa cut off", &all[..all.len() - 2]),
            Form::text("scientific", &format!("{number:e}")),
            Form::binary("double LE", &number.to_le_bytes()),
            Form::binary("double BE", &number.to_be_bytes()),
            Form::binary("integer LE", &mantissa.to_le_bytes()),
            Form::binary("integer BE", &mantissa.to_be_bytes()),
            // What SQLite stores of an integer of this size.
            Form::binary("six bytes BE", &mantissa.to_be_bytes()[2..]),
        ];
        if digits > 3 {
            // Grams of kilograms.
            forms.push(Form::text("thousandfold", &format!("{whole}{}.{}", &fraction[..3], &fraction[3..])));
        }
        // PostgreSQL's NUMERIC: groups of four digits from the point on, two bytes each.
        if whole.len() <= 4 {
            let padded = format!("{fraction:0<width$}", width = digits.div_ceil(4) * 4);
            let groups = std::iter::once(whole.to_owned())
                .chain(padded.as_bytes().chunks(4).map(|c| String::from_utf8(c.to_vec()).unwrap()));
            let bytes: Vec<u8> = groups.flat_map(|g| g.parse::<u16>().unwrap().to_be_bytes()).collect();
            if bytes.len() >= 6 {
                forms.push(Form::binary("numeric", &bytes));
            }
        }
        Self { name: name.to_owned(), kind: Kind::Value, forms }
    }

    /// A text of a kind, with its pieces: a part that is quoted is found as well.
    pub fn text(name: &str, kind: Kind, text: &str) -> Self {
        assert!(text.len() >= 9, "{name} is too short to be unmistakable");
        let mut forms = vec![Form::text("text", text)];
        let (length, step) = match text.len() {
            0..=12 => (text.len(), 1),
            13..=64 => (12, 1),
            // A token: any sixteen bytes at a fourth place, so any run of nineteen.
            _ => (16, 4),
        };
        // What comes before the signature of a JWT, others have as well: algorithm, key id and issuer.
        let from = if text.starts_with("eyJ") { text.rfind('.').map_or(0, |dot| dot + 1) } else { 0 };
        for piece in
            text.as_bytes()[from..].windows(length).step_by(step).filter(|piece| piece.len() < text.len())
        {
            forms.push(Form::binary("piece", piece));
        }
        Self { name: name.to_owned(), kind, forms }
    }

    /// A key that is also there as its bytes.
    pub fn key(name: &str, base64: &str) -> Self {
        let mut key = Self::text(name, Kind::Secret, base64);
        let bytes = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
        key.forms.push(Form::binary("bytes", &bytes));
        key
    }

    /// Whether this is the text.
    pub fn is(&self, text: &str) -> bool {
        self.forms.first().is_some_and(|form| form.bytes == text.as_bytes())
    }

    /// Each form, under its name, as it may be written somewhere.
    fn needles(&self) -> BTreeMap<Vec<u8>, String> {
        let mut all = BTreeMap::new();
        for form in &self.forms {
            let mut add = |encoding: &str, bytes: Vec<u8>| {
                if bytes.len() >= 6 {
                    all.entry(bytes).or_insert_with(|| format!("{} {encoding}", form.what));
                }
            };
            add("as it is", form.bytes.clone());
            if form.what == "piece" {
                continue;
            }
            // Upper and lower case are one to the search.
            add("in hex", HEXLOWER.encode(&form.bytes).into_bytes());
            for shift in 0..3 {
                let core = core_of_base64(&form.bytes, shift);
                add("in base64", core.clone().into_bytes());
                add("in base64url", core.replace('+', "-").replace('/', "_").into_bytes());
            }
            if form.text {
                let text = String::from_utf8_lossy(&form.bytes).into_owned();
                let escaped = serde_json::to_string(&text).unwrap();
                add("as JSON", escaped.as_bytes()[1..escaped.len() - 1].to_vec());
                add(
                    "URL encoded",
                    url::form_urlencoded::byte_serialize(&form.bytes).collect::<String>().into(),
                );
                let percent: String = form.bytes.iter().map(|b| format!("%{b:02x}")).collect();
                add("all percent", percent.into_bytes());
                add("UTF-16 LE", text.encode_utf16().flat_map(u16::to_le_bytes).collect());
                add("UTF-16 BE", text.encode_utf16().flat_map(u16::to_be_bytes).collect());
                add("in base32", BASE32_NOPAD.encode(&form.bytes).into_bytes());
                let numbers: Vec<_> = form.bytes.iter().map(u8::to_string).collect();
                add("as a list of bytes", numbers.join(", ").into_bytes());
                add("as a list of bytes, close", numbers.join(",").into_bytes());
            }
        }
        all
    }
}

/// What base64 makes of the bytes wherever they stand: what depends on their neighbours is left out.
fn core_of_base64(bytes: &[u8], shift: usize) -> String {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(bytes);
    let encoded = BASE64_NOPAD.encode(&padded);
    let from = [0, 2, 3][shift];
    // The last character tells of what comes next unless the bytes end with a group.
    let to = if padded.len().is_multiple_of(3) { encoded.len() } else { encoded.len() - 1 };
    encoded[from..to.max(from)].to_owned()
}

/// A canary that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    pub place: String,
    pub canary: String,
    /// Which of its forms.
    pub form: String,
    /// Where, in bytes from the place's beginning.
    pub at: usize,
    /// What is around it, as a debug text.
    pub around: String,
}

/// The search for all canaries.
pub struct Search {
    automaton: AhoCorasick,
    /// Canary and form of each needle.
    names: Vec<(String, String)>,
    pub canaries: BTreeMap<Kind, usize>,
}

impl Search {
    pub fn of(canaries: &[Canary]) -> Self {
        let (mut needles, mut names, mut count) = (Vec::new(), Vec::new(), BTreeMap::new());
        for canary in canaries {
            *count.entry(canary.kind).or_insert(0) += 1;
            for (bytes, form) in canary.needles() {
                needles.push(bytes);
                names.push((canary.name.clone(), form));
            }
        }
        let automaton = AhoCorasickBuilder::new().ascii_case_insensitive(true).build(&needles).unwrap();
        Self { automaton, names, canaries: count }
    }

    /// How many forms are searched for.
    pub fn forms(&self) -> usize {
        self.names.len()
    }

    /// The names of those that are in it.
    pub fn found(&self, bytes: &[u8]) -> BTreeSet<String> {
        let hits = self.automaton.find_overlapping_iter(bytes);
        hits.map(|hit| self.names[hit.pattern().as_usize()].0.clone()).collect()
    }

    /// The hits in a place, at most a hundred.
    pub fn hits(&self, place: &str, bytes: &[u8]) -> Vec<Hit> {
        let found = self.automaton.find_overlapping_iter(bytes).take(100);
        found
            .map(|hit| {
                let (canary, form) = self.names[hit.pattern().as_usize()].clone();
                let around = &bytes[hit.start().saturating_sub(120)..bytes.len().min(hit.end() + 40)];
                let around = around.escape_ascii().to_string();
                Hit { place: place.to_owned(), canary, form, at: hit.start(), around }
            })
            .collect()
    }
}
