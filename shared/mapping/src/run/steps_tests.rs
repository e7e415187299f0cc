//! No document makes more work than in proportion to the page, and none that minds its own records is refused.

use std::fmt::Write as _;

use super::*;
use crate::tests::{context, fixture};
use crate::{BUILT_IN, builtin};

#[path = "../../benches/mapping/pages.rs"]
#[allow(dead_code)]
mod pages;

/// A small allowance, so that short pages show what long ones do.
const LITTLE: Allowance = Allowance { base: 0, per_byte: 4 };
const FEW: usize = 250;
const MANY: usize = 2_000;

fn mapped(mapping: &Mapping, page: &str) -> (Result<Mapped, MapError>, Steps) {
    within(ALLOWANCE, mapping, page)
}

fn within(allowed: Allowance, mapping: &Mapping, page: &str) -> (Result<Mapped, MapError>, Steps) {
    mapping.run(&read(page.as_bytes()).unwrap(), page.len(), &context(), None, allowed)
}

/// The built-in document of intraday activity, with something put into its first block.
fn intraday(rule: &str) -> Mapping {
    let text = builtin("withings", "getintradayactivity").unwrap();
    let place = "    members: series\n";
    let text = text.replacen(place, &format!("{place}    {rule}\n"), 1);
    Mapping::parse(&text).unwrap_or_else(|e| panic!("{rule}: {e}"))
}

/// As many records, and beside them a list, a text and a number that are as long.
fn samples(records: usize) -> String {
    let mut series = String::new();
    for n in 0..records {
        let comma = if n > 0 { "," } else { "" };
        write!(series, r#"{comma}"{}":{{"heart_rate":60}}"#, 1_704_000_000 + n).unwrap();
    }
    let (list, note, digits) =
        (vec!["1"; records].join(","), "é".repeat(records * 6), "1".repeat(records * 12 + 1));
    format!(r#"{{"body":{{"series":{{{series}}}}},"list":[{list}],"note":"{note}","digits":{digits}}}"#)
}

/// That a document takes no more steps than in proportion to the page, and is too costly where the page is long.
fn is_too_costly(what: &str, mapping: &Mapping, page: fn(usize) -> String) {
    let run = |records: usize| {
        let page = page(records);
        let (result, steps) = within(LITTLE, mapping, &page);
        assert!(steps.used <= steps.granted && steps.granted <= 60 * page.len(), "{what}: {steps:?}");
        (result, steps)
    };
    let (_, few) = run(FEW);
    let (result, many) = run(MANY);
    let error = result.err().unwrap_or_else(|| panic!("{what}: {many:?} for {few:?}"));
    assert_eq!(error, MapError::TooCostly { mapping: mapping.name().to_owned() }, "{what}");
}

/// Expressions that look at all of the page, or at something as long, for each record.
const HOSTILE: &[&str] = &[
    "keys(page().body.series)",
    "values(page().body.series)[*]",
    "page() != page()",
    "values(page().body.series)[].[a,b]",
    "values(page().body.series)[].{a: a}",
    "page().body.series.*",
    "page().body.series.*.heart_rate",
    "length(page().body.series)",
    "length(parent().series)",
    "to_string(page())",
    "digest(page().list)",
    "page().body.series.nosuch",
    "parent().series.nosuch",
    "lookup(parent().series, 'nosuch')",
    "lookup(parent().series, to_number(key()))",
    "lookup({a: 'b'}, page().note)",
    "length(page().note)",
    "contains(page().note, 'x')",
    "contains(page().list, `2`)",
    "starts_with(page().note, page().note)",
    "ends_with(page().note, page().note)",
    "lower(page().note)",
    "substring(page().note, `0`, `1`)",
    "from_iso(page().note)",
    "from_iso('x', page().note)",
    "from_unix(page().digits)",
    "to_number(page().note)",
    "to_number(to_string(page().digits))",
    "nonzero(page().digits)",
    "plus(page().digits, `1`)",
    "divide(`1`, page().digits, `1`)",
    "scale10(page().digits, `1`)",
    "sum(page().list)",
    "join('', [page().note])",
    "join(page().note, ['', ''])",
    "page().digits < `1.5`",
    "`1.5` >= page().digits",
    "page().digits == `1.5`",
    "page().note == page().note",
    "page().list == page().list",
    "page().list[*]",
    "page().list[]",
    "page().list[::2]",
    "page().list[?@ == `2`]",
    "page().list | [*] | [0]",
    "not_null(page().list[?a], `1`)",
    "page().list[?@].x || page().list[] || `true`",
    "to_string(page().list)",
];

#[test]
fn no_expression_looks_at_the_page_for_every_record() {
    for expression in HOSTILE {
        // JSON is YAML.
        let when = serde_json::to_string(expression).unwrap();
        is_too_costly(
            expression,
            &intraday(&format!("skip: [{{ when: {when}, reason: hostile }}]")),
            samples,
        );
    }
}

#[test]
fn what_is_too_costly_ends_after_steps_in_proportion_to_the_page() {
    for expression in &HOSTILE[..4] {
        let mapping = intraday(&format!("skip: [{{ when: {expression:?}, reason: hostile }}]"));
        for records in [1_000, 8_000] {
            let page = samples(records);
            let (result, steps) = mapped(&mapping, &page);
            assert!(matches!(result, Err(MapError::TooCostly { .. })), "{expression}: {steps:?}");
            let most = 1_000_000 + 32 * page.len() + records * 100;
            assert!(steps.used == steps.granted && steps.granted <= most, "{expression}: {steps:?}");
        }
    }
}

#[test]
fn no_other_rule_looks_at_the_page_for_every_record() {
    let text = builtin("withings", "getintradayactivity").unwrap();
    let changed = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        Mapping::parse(&text.replacen(from, to, 1)).unwrap_or_else(|e| panic!("{to}: {e}"))
    };
    let long = "long text ".repeat(10_000);
    let id = "id: \"join('-', [key(), deviceid || hash_deviceid || 'none'])\"";
    let device = "{ id: deviceid || hash_deviceid, model: model, model_id: model_id || modelid }";
    let number = "number: nonzero(heart_rate)";
    for (from, to) in [
        (id, "id: page().note".to_owned()),
        (device, "{ id: page().note }".to_owned()),
        (device, "{ id: key(), model: page().note }".to_owned()),
        ("time: from_unix(key())", "time: from_unix(key())\n    record_zone: page().note".to_owned()),
        ("time: from_unix(key())", "day: page().note".to_owned()),
        (number, "number: page().digits".to_owned()),
        (number, "number: heart_rate, units: { at: page().note, is: { a: /min } }".to_owned()),
        ("text: Heart rate }", format!("text: {long} }}")),
        (
            "  - each: body\n    members: series\n",
            "  - each: page().list\n    within: page().list\n".to_owned(),
        ),
        (
            "    members: series\n",
            "    members: series\n    items: { at: page().list, key: '@', number: '@' }\n".to_owned(),
        ),
        (
            "    members: series\n",
            "    members: series\n    items: { at: '[page().list, page().list][]', key: '@', number: '@' }\n"
                .to_owned(),
        ),
    ] {
        is_too_costly(&to.chars().take(80).collect::<String>(), &changed(from, &to), samples);
    }
    for what in [
        "each: page().list, interval: '`1`'",
        "members: page().body.series, time: from_unix(key()), number: heart_rate",
        "members: page().body.series, time: from_unix(key())",
    ] {
        let text = text
            .replacen("number: nonzero(heart_rate)", &format!("samples: {{ {what} }}"), 1)
            .replacen("unit: /min, unit_text", "unit: /min, sampled: s, unit_text", 1);
        is_too_costly(what, &Mapping::parse(&text).unwrap_or_else(|e| panic!("{e}")), samples);
    }
}

#[test]
fn records_that_an_expression_makes_bring_no_steps() {
    let text = builtin("withings", "getintradayactivity").unwrap();
    let many = |what: &str| (0..8).fold(what.to_owned(), |inner, _| format!("{inner} | [@,@,@,@][]"));
    let each = format!("each: \"{}\"\n    within: \"{}\"", many("values(body.series)"), many("[@]"));
    let text = text.replacen("each: body\n    members: series", &each, 1);
    is_too_costly("made records", &Mapping::parse(&text).unwrap_or_else(|e| panic!("{e}")), samples);
}

#[test]
fn an_exponentially_large_value_is_too_costly_on_any_page() {
    let doubled = "[@,@]".to_owned() + &"|[@,@]".repeat(23);
    for expression in [format!("to_string({doubled})"), format!("({doubled}) == ({doubled})")] {
        let mapping = intraday(&format!("skip: [{{ when: \"{expression}\", reason: hostile }}]"));
        for records in [1, FEW] {
            let error = mapped(&mapping, &samples(records)).0.err();
            assert!(matches!(error, Some(MapError::TooCostly { .. })), "{expression}");
        }
        // Where nothing is evaluated, nothing is too costly.
        assert!(mapped(&mapping, &samples(0)).0.is_ok());
    }
}

#[test]
fn one_reading_for_many_kinds_is_too_costly() {
    let text = builtin("withings", "getmeas").unwrap();
    let (mut readings, mut observe) = (String::from("  readings:\n"), String::from("observe:\n"));
    let kind = "category: exam, code: { local: { measure: many } }, value: { unit: kg }";
    for n in 0..1_500 {
        writeln!(readings, "    - {{ kind: many-{n}, value: {{ item: 1 }} }}").unwrap();
        writeln!(observe, "  many-{n}: {{ {kind} }}").unwrap();
    }
    let text = text.replacen("  readings:\n", &readings, 1).replacen("observe:\n", &observe, 1);
    let (text, _) = text.split_once("examples:").unwrap();
    let mapping = Mapping::parse(text).unwrap_or_else(|e| panic!("{e}"));
    is_too_costly("many kinds", &mapping, |items| {
        let items = vec![r#"{"type":1,"value":60,"unit":0}"#; items].join(",");
        format!(r#"{{"body":{{"measuregrps":[{{"grpid":1,"date":1,"measures":[{items}]}}]}}}}"#)
    });
}

#[test]
fn the_error_names_the_document_and_no_value() {
    let mapping = intraday("skip: [{ when: page() != page(), reason: hostile }]");
    let text = mapped(&mapping, &samples(MANY)).0.unwrap_err().to_string();
    assert!(text.starts_with("mapping withings/getintradayactivity takes more steps"), "{text}");
    assert!(!text.contains("1704") && !text.contains("60"), "{text}");
}

#[test]
fn an_expression_that_fails_is_null_and_not_too_costly() {
    let mapping = intraday("skip: [{ when: 'length(heart_rate) || lower(heart_rate)', reason: hostile }]");
    let (result, _) = mapped(&mapping, &samples(MANY));
    assert_eq!(result.unwrap().observations.len(), MANY);
}

#[test]
fn the_built_in_documents_take_a_small_share() {
    let mut taken = Vec::new();
    for (_, record, text) in BUILT_IN {
        let mapping = Mapping::parse(text).unwrap();
        assert!(mapping.extracts.iter().all(|e| e.parts * 2 <= MAX_VISIT_STEPS), "{record}");
        let mut pages: Vec<String> = mapping.examples.iter().map(|e| e.page.clone()).collect();
        match *record {
            "getmeas" => pages.extend([
                pages::getmeas(1_000),
                fixture("getmeas-body-scan.json"),
                fixture("getmeas-oddities.json"),
            ]),
            "getintradayactivity" => pages.push(pages::heart_rates(10_000)),
            _ => {}
        }
        for page in pages {
            let (result, steps) = mapped(&mapping, &page);
            assert!(result.is_ok());
            assert!(steps.used * 10 < steps.granted, "{record}: {steps:?}");
            // Of what a page brings beyond what every run has, too: pages may be longer.
            let brought = steps.granted - 1_000_000;
            assert!(steps.used * 5 < brought, "{record}: {} of {brought}", steps.used);
            taken.push((*record, page.len(), steps.used, brought));
        }
    }
    assert!(taken.iter().any(|(_, bytes, ..)| *bytes > 1_000_000));
}

/// Records as no provider sends them, by what is odd about them.
fn odd_records() -> Vec<(&'static str, Vec<String>)> {
    let names = [
        "heart_rate",
        "spo2_auto",
        "rr",
        "sdnn1",
        "steps",
        "distance",
        "duration",
        "data",
        "ecg",
        "hr",
        "measures",
        "id",
        "grpid",
        "date",
        "startdate",
        "deviceid",
        "timezone",
    ];
    let object = |members: Vec<String>| format!("{{{}}}", members.join(","));
    let repeated = (0..20_000).map(|n| format!("\"{}\":{n}", names[n * 7 % names.len()])).collect();
    let unknown = || (0..20_000).map(|n| format!("\"{n}\":1")).collect::<Vec<_>>();
    let samples = |name: &str| {
        let samples = object((0..20_000).map(|n| format!("\"{}\":0", 1_700_000_000 + n)).collect());
        format!(r#"{{"id":1,"startdate":1,"enddate":2,"state":1,"{name}":{samples}}}"#)
    };
    let items =
        (0..20_000).map(|n| format!(r#"{{"type":{},"value":1}}"#, n % 300)).collect::<Vec<_>>().join(",");
    let long = "9".repeat(20_000);
    let long_device = format!(
        r#"{{"grpid":1,"date":1,"deviceid":"{long}","measures":[{}]}}"#,
        (0..200)
            .map(|n| format!(r#"{{"type":11,"value":60,"unit":0,"position":{n}}}"#))
            .collect::<Vec<_>>()
            .join(",")
    );
    vec![
        ("empty", vec!["{}".to_owned(); 16_000]),
        ("numbers", vec!["1".to_owned(); 16_000]),
        ("nulls", vec!["null".to_owned(); 16_000]),
        ("members nobody knows", vec![object(unknown())]),
        (
            "members, and a few that are known",
            vec![object([vec![r#""id":1,"date":1"#.to_owned()], unknown()].concat())],
        ),
        ("a member again and again", vec![object(repeated)]),
        ("samples", vec![samples("hr"), samples("data"), samples("ecg")]),
        ("items", vec![format!(r#"{{"grpid":1,"date":1,"measures":[{items}]}}"#)]),
        (
            "ids that repeat",
            vec![
                r#"{"grpid":1,"id":1,"date":1,"measures":[{"type":1,"value":60,"unit":0}]}"#.to_owned();
                8_000
            ],
        ),
        (
            "long texts",
            names.iter().map(|n| format!(r#"{{"{n}":"{long}","id":{long},"grpid":{long}}}"#)).collect(),
        ),
        ("a long device", vec![long_device]),
        ("a thousand large ones", vec![object(unknown().into_iter().take(1_000).collect()); 50]),
    ]
}

#[test]
fn no_page_is_too_costly_for_the_built_in_documents() {
    let mappings: Vec<_> =
        BUILT_IN.iter().map(|(_, record, text)| (*record, Mapping::parse(text).unwrap())).collect();
    for (what, records) in odd_records() {
        let list = records.join(",");
        let members =
            records.iter().enumerate().map(|(n, r)| format!("\"{n}\":{r}")).collect::<Vec<_>>().join(",");
        let pages = [
            format!(r#"{{"body":{{"series":[{list}],"measuregrps":[{list}],"activities":[{list}]}}}}"#),
            format!(
                r#"{{"body":{{"series":{{{members}}},"measuregrps":{{{members}}},"activities":{{{members}}}}}}}"#
            ),
            format!(r#"{{"list":{{"ecg":[{list}]}},"get":{{"signal":[{list}],"sampling_frequency":300}}}}"#),
        ];
        let trees = pages.each_ref().map(|page| (read(page.as_bytes()).unwrap(), page.len()));
        for (record, mapping) in &mappings {
            for (tree, bytes) in &trees {
                let (result, steps) = mapping.run(tree, *bytes, &context(), None, ALLOWANCE);
                let error = result.err().filter(|e| matches!(e, MapError::TooCostly { .. }));
                assert_eq!(error, None, "{record} over {what}: {steps:?}");
            }
        }
    }
}
