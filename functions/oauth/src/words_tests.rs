use std::collections::BTreeSet;

use super::*;

const FILES: [(&str, &str); 4] = [
    ("en", include_str!("words/en.rs")),
    ("de", include_str!("words/de.rs")),
    ("fr", include_str!("words/fr.rs")),
    ("es", include_str!("words/es.rs")),
];

/// The texts of a file by the names of their fields.
fn texts(file: &str) -> Vec<(String, String)> {
    let line = |line: &str| {
        let (name, text) = line.trim().split_once(": \"")?;
        Some((name.to_owned(), text.trim_end_matches("\",").to_owned()))
    };
    file.lines().filter_map(line).collect()
}

fn places(text: &str) -> BTreeSet<&str> {
    text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name).collect()
}

/// "The address from {clinic}" would need another case in German: there it is said otherwise.
fn without_clinic(text: &str) -> BTreeSet<&str> {
    places(text).into_iter().filter(|place| *place != "clinic").collect()
}

#[test]
fn every_language_says_the_same_things_with_the_same_names_in_them() {
    let english = texts(FILES[0].1);
    assert!(english.len() > 100, "{}", english.len());
    let known = ["provider", "clinic", "days", "date", "done", "all", "day", "month", "year"];
    for (code, file) in FILES {
        let language = Language::parse(code).unwrap();
        assert_eq!(language.code(), code);
        let texts = texts(file);
        assert_eq!(texts.len(), english.len(), "{code}");
        for ((name, text), (expected, original)) in texts.iter().zip(&english) {
            assert_eq!(name, expected, "{code}: in the order of the English file");
            if name == "thousands" {
                continue;
            }
            assert!(!text.trim().is_empty() && !text.contains('"'), "{code} {name}");
            let filled = places(text);
            assert!(filled.iter().all(|place| known.contains(place)), "{code} {name}: {text}");
            let own = BTreeSet::from(["declined_text", "no_profile", "keep_short"]);
            let (mine, theirs) = (places(text), places(original));
            if own.contains(name.as_str()) {
                assert_eq!(without_clinic(text), without_clinic(original), "{code} {name}");
            } else if name != "revoke" {
                assert_eq!(mine, theirs, "{code} {name}: {text}");
            }
            let same = text == original && !["and", "date", "code"].contains(&name.as_str());
            assert!(code == "en" || !same || text.len() < 14, "{code} {name} is not translated");
        }
    }
}

#[test]
fn the_language_is_the_chosen_one_then_the_flows_then_the_browsers() {
    let headers = |pairs: &[(&'static str, &str)]| -> HeaderMap {
        pairs.iter().map(|(n, v)| (http::HeaderName::from_static(n), v.parse().unwrap())).collect()
    };
    let of = |chosen, pairs: &[_]| Language::of(chosen, &headers(pairs)).code();
    assert_eq!(of(None, &[]), "en");
    assert_eq!(of(None, &[("accept-language", "nl, fr-CH;q=0.8, de;q=0.9")]), "de");
    assert_eq!(of(None, &[("accept-language", "es-419,es;q=0.9,en;q=0.8")]), "es");
    assert_eq!(of(None, &[("accept-language", "fr;q=0, it")]), "en");
    assert_eq!(of(None, &[("accept-language", "*, ;q, de;q=x")]), "de");
    let both = [("accept-language", "fr"), ("cookie", "a=b; ohx_lang=es")];
    assert_eq!(of(None, &both), "es");
    assert_eq!(of(Some("de"), &both), "de");
    assert_eq!(of(Some("<script>"), &both), "es");
}

#[test]
fn numbers_dates_and_lists_are_written_as_people_do() {
    let day = jiff::civil::date(2026, 3, 9);
    let told: Vec<_> =
        Language::ALL.iter().map(|l| (l.words().number(1_234_567), l.words().day(day))).collect();
    let expected = [
        ("1,234,567", "9 March 2026"),
        ("1.234.567", "9. März 2026"),
        ("1\u{202f}234\u{202f}567", "9 mars 2026"),
        ("1\u{202f}234\u{202f}567", "9 de marzo de 2026"),
    ];
    assert_eq!(told, expected.map(|(n, d)| (n.to_owned(), d.to_owned())));
    let (words, of) =
        (Language::En.words(), |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
    assert_eq!((words.number(0), words.number(999)), ("0".into(), "999".into()));
    assert_eq!(words.list(&of(&["A", "B", "C"])), "A, B and C");
    assert_eq!(words.list(&[]), "your clinic");
}

#[test]
fn what_is_filled_in_is_not_looked_through() {
    assert_eq!(fill("{clinic}: {provider}", &[("clinic", "{provider}"), ("provider", "W")]), "{provider}: W");
    assert_eq!(fill("{clinic} is told", &[("clinic", "your clinic")]), "Your clinic is told");
    assert_eq!(fill("broken { end", &[]), "Broken ");
}
