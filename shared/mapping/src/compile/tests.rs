//! What is wrong with a document is found when it is compiled, with its place and what to do.

use super::observe::is_loinc;
use super::*;

const SMALL: &str = "\
mapping: sample/weights
version: 1
system: weights
extract:
  each: rows
  skip:
    - { when: hidden, reason: hidden }
  id: id
  time: from_unix(at)
  items:
    at: values
    key: type
    number: scale10(value, unit)
  readings:
    - { kind: body-weight, positions: [none, 7], value: { item: 1, unit: g } }
    - { kind: panel, values: { low: { item: 2 }, high: { number: top } } }
observe:
  body-weight:
    profile: [\"http://hl7.org/fhir/StructureDefinition/bodyweight\"]
    category: vital-signs
    code: { loinc: [29463-7], text: Body weight }
    value: { unit: kg, range: [0.5, 700] }
  panel:
    category: exam
    code: { local: { panel: both } }
    components:
      low: { code: { loinc: [8462-4] }, unit: \"mm[Hg]\" }
      high: { code: { coding: [{ system: \"urn:x:y\", code: top, display: Top }] }, unit: \"mm[Hg]\" }
";

#[test]
fn a_sound_document_is_accepted() {
    let mapping = Mapping::parse(SMALL).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((mapping.name(), mapping.version()), ("sample/weights", 1));
    assert_eq!(mapping.kinds().collect::<Vec<_>>(), ["body-weight", "panel"]);
}

#[test]
fn mistakes_are_named_with_their_place() {
    // What is replaced by what, the line and column it is found at, and a word of what is said.
    let cases = [
        ("  each: rows", "  eech: rows", 5, 3, "eech"),
        ("version: 1", "version: one", 2, 10, "u32"),
        ("version: 1", "version: 0", 2, 10, "version 0"),
        ("mapping: sample/weights", "mapping: sample", 1, 10, "a mapping called \"sample\""),
        ("system: weights", "system: Weights", 3, 9, "a system called \"Weights\""),
        ("  id: id\n", "", 13, 3, "missing field"),
        ("time: from_unix(at)", "time: from_unixx(at)", 9, 9, "no function is called \"from_unixx\""),
        ("time: from_unix(at)", "time: \"a || from_unix(a, b)\"", 9, 15, "from_unix with 2 arguments"),
        ("time: from_unix(at)", "time: from_unix(", 9, 19, "in the expression"),
        ("time: from_unix(at)", "time: \"\"", 9, 10, "in the expression"),
        ("reason: hidden", "reason: Hidden", 7, 31, "a reason called"),
        ("kind: body-weight,", "kind: body-wait,", 15, 15, "`observe` does not have body-wait"),
        ("kind: panel,", "kind: body-weight,", 16, 15, "a second reading of kind"),
        ("positions: [none, 7]", "positions: [none, x]", 15, 46, "a position \"x\""),
        ("item: 1, unit: g", "item: 1, unit: \"[degF]\"", 15, 74, "\"[degF]\" is not converted to \"kg\""),
        (
            "value: { item: 1, unit: g }",
            "values: { value: { item: 1 } }",
            15,
            7,
            "body-weight has a value of its own",
        ),
        (
            "values: { low: { item: 2 }, high: { number: top } }",
            "value: { item: 2 }",
            16,
            7,
            "panel has components",
        ),
        ("low: { item: 2 }, high:", "high:", 16, 7, "a component of panel has no value"),
        ("low: { item: 2 }", "lo: { item: 2 }", 16, 36, "panel has no component lo"),
        ("{ item: 2 }", "{ item: 2, number: x }", 16, 37, "a value comes from one place"),
        ("    profile: [\"http://", "    profile: [\"", 19, 15, "a profile that is no URL"),
        ("category: vital-signs", "category: vitals", 20, 15, "no category is called \"vitals\""),
        ("loinc: [29463-7]", "loinc: [29463-8]", 21, 21, "\"29463-8\" is not a LOINC code"),
        ("unit: kg, range", "unit: kgs, range", 22, 20, "no unit is called \"kgs\""),
        ("[0.5, 700]", "[700, 0.5]", 22, 31, "a range that ends before it begins"),
        ("[0.5, 700]", "[low, 700]", 22, 32, "two decimal numbers"),
        ("code: { local: { panel: both } }", "code: { text: Both }", 24, 15, "a code without a coding"),
        ("panel: both", "Panel: both", 25, 29, "a local code"),
        ("urn:x:y", "xy", 28, 42, "a coding that is none"),
        (
            "    code: { local",
            "    value: { unit: kg }\n    code: { local",
            16,
            7,
            "panel has a value of its own",
        ),
        (
            "    - { kind: panel, values: { low: { item: 2 }, high: { number: top } } }\n",
            "",
            23,
            5,
            "nothing is read as panel",
        ),
        ("system: weights\n", "system: weights\nsystem: weights\n", 4, 1, "duplicate"),
    ];
    let mut wrong = Vec::new();
    for (from, to, line, column, said) in cases {
        assert!(SMALL.contains(from), "{from}");
        let text = SMALL.replacen(from, to, 1);
        let error = Mapping::parse(&text).err().unwrap_or_else(|| panic!("accepted: {to}"));
        let as_expected = error.what.contains(said) && (error.line, error.column) == (line, column);
        if !as_expected || !error.snippet.ends_with('^') {
            wrong.push(format!("{said}, {line}:{column} expected\n{error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn an_error_shows_the_line_and_says_what_to_do() {
    let text = SMALL.replace("unit: kg, range", "unit: kgs, range");
    let shown = Mapping::parse(&text).err().unwrap().to_string();
    let expected = "mapping document, line 22, column 20: no unit is called \"kgs\"\n   22 |     value: { unit: kgs, range: [0.5, 700] }\n      |                    ^\nhint: write a UCUM code, such as kg, ";
    assert!(shown.starts_with(expected), "{shown}");
}

#[test]
fn lines_are_counted_as_yaml_does() {
    let text = SMALL
        .replace("version: 1\n", "version: 1\r\n# one\r# two\r\r\n")
        .replace("unit: kg, range", "unit: kgs, range");
    let error = Mapping::parse(&text).err().unwrap();
    assert_eq!((error.line, error.column), (25, 20));
    assert!(error.snippet.starts_with("   25 |     value: { unit: kgs, range"), "{error}");
    let beyond = |line| crate::error::line_of("a\nb\r", line);
    assert_eq!([beyond(0), beyond(1), beyond(2), beyond(3), beyond(4)], ["", "a", "b", "", ""]);
}

#[test]
fn a_document_is_bounded() {
    let huge = format!("{SMALL}#{}", "x".repeat(MAX_DOCUMENT_BYTES));
    assert_eq!(Mapping::parse(&huge).err().unwrap().line, 0);
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b]\n";
    assert!(Mapping::parse(bomb).is_err());
}

#[test]
fn loinc_check_digits() {
    for code in [
        "29463-7", "8302-2", "85354-9", "8480-6", "8462-4", "8867-4", "2708-6", "59408-5", "8310-5",
        "101683-1",
    ] {
        assert!(is_loinc(code), "{code}");
    }
    for code in ["29463-8", "8302", "-7", "8480-66", "", "abc-1", "84806-"] {
        assert!(!is_loinc(code), "{code}");
    }
}

proptest::proptest! {
    #[test]
    fn no_document_makes_it_panic(line in 0_usize..28, text in r#"[a-z0-9:{}\[\],"'&*|>#! -]{0,30}"#) {
        let mut lines: Vec<&str> = SMALL.lines().collect();
        lines[line] = &text;
        let _ = Mapping::parse(&lines.join("\n"));
    }
}
