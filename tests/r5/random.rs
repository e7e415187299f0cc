//! Recorded pages with anything broken in them: whatever still comes out is valid.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::mapped::problems;
use crate::outputs::{SOURCES, resources};

/// What is done to one value of a page.
#[derive(Debug, Clone)]
enum Break {
    Drop,
    Put(Value),
    /// The text of a number that JSON libraries round.
    Number(&'static str),
    /// A number becomes its text, a text that is a number that number.
    Quote,
    /// Put into a list.
    Wrap,
    /// A number, off by so much.
    Shift(i64),
    /// A list's items once more.
    Repeat,
}

/// Stands for a number in a page until the page is text.
const PLACE: &str = "a number comes here ";

fn a_break() -> impl Strategy<Value = Break> {
    let numbers = [
        "0",
        "-0",
        "-0.0",
        "1e300",
        "-1E-300",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551616",
        "253402300799",
        "253402300800",
        "-62135596800",
        "1e9",
        "1.7e9",
        "1704769719.5",
        "0.1234567890123456789012345678",
        "123456789012345678901234567890123",
        "12345678901234567.25",
        "-1",
        "7.000000000000000000",
        "1e-20",
        "200",
        "32",
        "-400",
    ];
    let values = vec![
        Value::Null,
        json!(true),
        json!([]),
        json!({}),
        json!(""),
        json!(" "),
        json!("\u{0}\u{1b}[0m"),
        json!("a\nb"),
        json!("\u{202e}\u{feff}"),
        json!("x\"},{\"resourceType\":\"Patient\"}"),
        json!("Europe/Amsterdam"),
        json!("Africa/Monrovia"),
        json!("Pacific/Apia"),
        json!("Nowhere/Else"),
        json!("2024-02-30"),
        json!("2011-12-30"),
        json!("0000-00-00"),
        json!("9999-12-31"),
        json!("NaN"),
        json!("12e3"),
        json!("a".repeat(70)),
    ];
    prop_oneof![
        2 => Just(Break::Drop),
        3 => select(values).prop_map(Break::Put),
        4 => select(numbers.to_vec()).prop_map(Break::Number),
        2 => Just(Break::Quote),
        1 => Just(Break::Wrap),
        2 => (-2_000_000_i64..2_000_000).prop_map(Break::Shift),
        2 => (-30_i64..30).prop_map(Break::Shift),
        1 => Just(Break::Repeat),
    ]
}

/// The JSON pointers of everything in a page but the page itself.
fn places(value: &Value, at: &str, to: &mut Vec<String>) {
    let mut inner = |name: String, value: &Value| {
        let place = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        to.push(place.clone());
        places(value, &place, to);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| inner(name.clone(), value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, value)| inner(n.to_string(), value)),
        _ => {}
    }
}

fn apply(page: &mut Value, place: &str, broken: &Break) {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/").replace("~0", "~");
    if let (Break::Drop, Some(parent)) = (broken, page.pointer_mut(parent)) {
        match parent {
            Value::Object(members) => drop(members.remove(&name)),
            Value::Array(items) => drop(items.remove(name.parse().unwrap())),
            _ => {}
        }
        return;
    }
    let Some(value) = page.pointer_mut(place) else { return };
    let new = match (broken, value.take()) {
        (Break::Put(new), _) => new.clone(),
        (Break::Number(text), _) => json!(format!("{PLACE}{text}")),
        (Break::Quote, Value::Number(number)) => json!(number.to_string()),
        (Break::Quote, Value::String(text)) => serde_json::from_str(&text).unwrap_or(json!(text)),
        (Break::Wrap, old) => json!([old]),
        (Break::Shift(by), Value::Number(number)) => match number.as_i64() {
            Some(number) => json!(number.saturating_add(*by)),
            None => Value::Number(number),
        },
        (Break::Repeat, Value::Array(items)) => Value::Array([items.clone(), items].concat()),
        (_, old) => old,
    };
    *value = new;
}

/// The page's text, with the numbers in their places.
fn text(page: &Value) -> String {
    let text = page.to_string();
    let mark = format!("\"{PLACE}");
    let mut pieces = text.split(&mark);
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (number, rest) = piece.split_once('"').unwrap();
        out.push_str(number);
        out.push_str(rest);
    }
    out
}

/// Every page of every document, as data.
static PAGES: std::sync::LazyLock<Vec<(usize, Value)>> = std::sync::LazyLock::new(|| {
    let pages = SOURCES.iter().enumerate().flat_map(|(n, s)| s.pages.iter().map(move |(_, page)| (n, page)));
    // A large page takes long, and says no more than a small one.
    let small = pages.filter(|(_, page)| page.len() < 20_000);
    small.map(|(n, page)| (n, serde_json::from_str(page).unwrap())).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_out_of_a_broken_page_is_valid(
        page in any::<Index>(),
        breaks in prop::collection::vec((any::<Index>(), a_break()), 1..6),
    ) {
        let (source, page) = page.get(&PAGES);
        let source = &SOURCES[*source];
        let mut page = page.clone();
        for (place, broken) in &breaks {
            let mut all = Vec::new();
            places(&page, "", &mut all);
            if !all.is_empty() {
                let place: &String = place.get(&all);
                apply(&mut page, place, broken);
            }
        }
        let page = text(&page);
        // A page that is none of its record is refused as a whole.
        if let Some(mapped) = source.map(&page) {
            let (observations, devices) = resources(source, mapped);
            let identifiers: BTreeSet<&str> = observations.iter().map(|(_, o)| o.identifier.value.as_str()).collect();
            prop_assert_eq!(identifiers.len(), observations.len(), "an identifier is there twice");
            for resource in observations.iter().map(|(_, o)| o).chain(&devices) {
                let found = problems(resource.resource.get());
                prop_assert!(found.is_empty(), "{} {found:?}\nfrom {page}\ncame {}", source.mapping.name(), resource.resource);
            }
        }
    }
}

/// What a run of random breaks finds only now and then.
#[test]
fn digits_and_characters_that_fhir_has_not_are_not_written() {
    let source = SOURCES.iter().find(|s| s.record == "getmeas").unwrap();
    let mut wrong = Vec::new();
    for (value, unit, device) in [
        ("81.40", "0", r"d1"),
        ("1234567890123456789", "-17", r"d1"),
        ("8140000000000000000000", "-20", r"d1"),
        ("81.12345678901234567", "0", r"d1"),
        ("81.123456789012345678", "0", r"d1"),
        ("8.1123456789012345678901234567", "1", r"d1"),
        ("81.40", "0", r"d1\u0000"),
        ("81.40", "0", r"d\u001b[0m"),
        ("81.40", "0", r"\u200b"),
    ] {
        let page = format!(
            r#"{{"status":0,"body":{{"measuregrps":[{{"grpid":1,"attrib":0,"date":1791000000,"category":1,
            "deviceid":"{device}","model":"{device}","modelid":"{device}",
            "measures":[{{"value":{value},"unit":{unit},"type":1}}]}}]}}}}"#
        );
        let (observations, devices) = resources(source, source.map(&page).unwrap());
        for resource in observations.iter().map(|(_, o)| o).chain(&devices) {
            let found = problems(resource.resource.get());
            wrong.extend(found.into_iter().map(|f| format!("{value} * 10^{unit}, device {device:?}: {f}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_break_does_what_it_says() {
    let mut page = json!({"a/b": [1, {"c": "2"}]});
    let mut all = Vec::new();
    places(&page, "", &mut all);
    assert_eq!(all, ["/a~1b", "/a~1b/0", "/a~1b/1", "/a~1b/1/c"]);
    apply(&mut page, "/a~1b/0", &Break::Number("1e300"));
    apply(&mut page, "/a~1b/1/c", &Break::Quote);
    assert_eq!(text(&page), r#"{"a/b":[1e300,{"c":2}]}"#);
    apply(&mut page, "/a~1b/1/c", &Break::Shift(-5));
    apply(&mut page, "/a~1b/0", &Break::Drop);
    apply(&mut page, "/a~1b", &Break::Repeat);
    assert_eq!(text(&page), r#"{"a/b":[{"c":-3},{"c":-3}]}"#);
    apply(&mut page, "/a~1b", &Break::Drop);
    assert_eq!(text(&page), "{}");
}
