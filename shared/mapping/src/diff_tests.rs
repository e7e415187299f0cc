use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::tests::{context, fixture, getmeas};

/// getmeas with a change, numbered as somebody's own.
fn changed(edits: &[(&str, &str)]) -> Mapping {
    let mut text =
        crate::builtin("withings", "getmeas").unwrap().replacen("\nversion: ", "\nversion: 100", 1);
    for (from, to) in edits {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    Mapping::parse(&text).unwrap_or_else(|e| panic!("{e}"))
}

fn weight(extra: &str) -> String {
    format!(
        r#"{{"body": {{"timezone": "Europe/Berlin", "measuregrps": [{{"grpid": 1, "attrib": 0, "date": 1704600000,
        "deviceid": "d1", "model": "M", "measures": [{{"value": 7200, "type": 1, "unit": -2}}{extra}]}}]}}}}"#
    )
}

/// One line a difference: what, the kinds, and every path with both texts.
fn told(differences: &[Difference]) -> Vec<String> {
    let line = |difference: &Difference| match difference {
        Difference::LeftOut(l) => format!("left out {} {} {}", l.reason, l.before, l.after),
        Difference::Reading(r) => {
            let kind = |side: Option<&Side>| side.map_or("-".to_owned(), |s| s.kind.to_string());
            let mut line = format!("{:?} {} {}", r.change(), kind(r.before()), kind(r.after()));
            for change in r.changes() {
                let text = |t: Option<&str>| t.unwrap_or("-").to_owned();
                line +=
                    &format!("; {}: {} -> {}", change.path(), text(change.before()), text(change.after()));
            }
            line
        }
    };
    differences.iter().map(line).collect()
}

fn differences(edits: &[(&str, &str)], page: &str) -> Vec<String> {
    told(&difference(&getmeas(), &changed(edits), page.as_bytes(), &context()).unwrap())
}

#[test]
fn the_same_rules_make_no_difference_whatever_their_version() {
    for name in ["getmeas-sheet", "getmeas-body-scan", "getmeas-cuff", "getmeas-oddities", "getmeas-repeated"]
    {
        let page = fixture(&format!("{name}.json"));
        let (a, b) = (getmeas(), changed(&[]));
        let plain = compare(&a, &b, page.as_bytes(), &context(), false).unwrap();
        assert_eq!(told(&plain.differences), Vec::<String>::new(), "{name}");
        let all = a.map(page.as_bytes(), &context()).unwrap().observations.len();
        assert_eq!(plain.unchanged.values().sum::<u64>(), u64::try_from(all).unwrap());
        // Asked for, the tag is the one difference of every reading.
        let tags = compare(&a, &b, page.as_bytes(), &context(), true).unwrap();
        assert_eq!((tags.differences.len(), tags.unchanged.len()), (all, 0));
        for line in told(&tags.differences) {
            let (_, change) = line.split_once("; ").unwrap();
            let end = format!("-> \"withings/getmeas.100{}\"", a.version());
            assert!(change.starts_with("meta.tag[0].code: ") && change.ends_with(&end), "{line}");
        }
    }
}

#[test]
fn a_changed_reading_is_told_with_both_texts() {
    let page = weight("");
    for (edit, expected) in [
        (("text: Body weight }", "text: Mass }"), r#"code.text: "Body weight" -> "Mass""#),
        (
            ("loinc: [29463-7], local", "loinc: [3141-9], local"),
            r#"code.coding[0].code: "29463-7" -> "3141-9""#,
        ),
        (
            ("loinc: [29463-7], local: { withings-meastype: 1 }", "loinc: [29463-7]"),
            r#"code.coding[1]: {"system":"https://ohx.example/ns/CodeSystem/withings-meastype","code":"1"} -> -"#,
        ),
        // A digit more is another text.
        (
            ("number: scale10(value, unit)", "number: \"times(scale10(value, unit), `1.0`)\""),
            "valueQuantity.value: 72.00 -> 72.000",
        ),
        (("model: model\n", "model: to_string(modelid)\n"), r#"device.model: "M" -> "null""#),
        (
            (
                "time: from_unix(date)",
                "period: { start: from_unix(date), end: \"from_unix(plus(date, `60`))\" }",
            ),
            "effective",
        ),
    ] {
        let lines = differences(&[edit], &page);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with(&format!("Changed body-weight body-weight; {expected}")), "{lines:?}");
    }
    let lines = differences(
        &[
            ("model: model\n", "model: model\n    model_id: grpid\n"),
            ("    model_id: modelid || model_id\n", ""),
        ],
        &page,
    );
    assert_eq!(lines, ["Changed body-weight body-weight; device.model_id: - -> \"1\""]);
}

#[test]
fn readings_of_one_side_and_what_is_left_out_are_told() {
    let page = weight(r#", {"value": 5, "type": 9999, "unit": 0}, {"value": 60, "type": 11, "unit": 0}"#);
    let edits = [("range: [0.2, 700]", "range: [0.2, 70]")];
    let expected = ["OnlyInA body-weight -", "left out out-of-range 0 1"];
    assert_eq!(differences(&edits, &page), expected);
    let (a, b) = (getmeas(), changed(&edits));
    let back = told(&difference(&b, &a, page.as_bytes(), &context()).unwrap());
    assert_eq!(back, ["OnlyInB - body-weight", "left out out-of-range 1 0"]);
    let comparison = compare(&a, &b, page.as_bytes(), &context(), false).unwrap();
    assert_eq!(
        comparison.unchanged.into_iter().map(|(k, n)| (k.to_string(), n)).collect::<Vec<_>>(),
        [("heart-rate".to_owned(), 1)]
    );
    let ignored = [("12: generic-temperature", "9999: by-choice\n      12: generic-temperature")];
    assert_eq!(differences(&ignored, &page), ["left out by-choice 0 1", "left out unmapped:9999 1 0"]);
}

#[test]
fn a_changed_identity_is_told() {
    let page = weight("");
    let renamed = [("kind: body-weight", "kind: mass"), ("\n  body-weight:\n", "\n  mass:\n")];
    assert_eq!(differences(&renamed, &page), ["IdentityChanged body-weight mass"]);
    let id = [("id: grpid", "id: \"join('-', ['g', to_string(grpid)])\"")];
    assert_eq!(differences(&id, &page), ["IdentityChanged body-weight body-weight"]);
    let system = [("system: getmeas", "system: measures"), ("text: Body weight }", "text: Mass }")];
    let expected = ["IdentityChanged body-weight body-weight; code.text: \"Body weight\" -> \"Mass\""];
    assert_eq!(differences(&system, &page), expected);
    // The position becomes a part of the identity.
    let page = weight(r#", {"value": 50, "type": 5, "unit": 0, "position": 7}"#);
    let lines = differences(&[("kind: fat-free-mass, positions: [none, 7]", "kind: fat-free-mass")], &page);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(
        lines[0].starts_with("IdentityChanged fat-free-mass fat-free-mass; bodySite: - -> {"),
        "{lines:?}"
    );
    // Which of two is which is not told.
    let page = weight("").replace("}]}}", r#"}, {"grpid": 2, "date": 1704600000, "deviceid": "d1", "measures": [{"value": 71, "type": 1, "unit": 0}]}]}}"#);
    let lines = differences(&id, &page);
    let apart =
        ["OnlyInA body-weight -", "OnlyInA body-weight -", "OnlyInB - body-weight", "OnlyInB - body-weight"];
    assert_eq!(lines, apart);
}

#[test]
fn a_component_more_is_one_difference() {
    let measures = r#", {"value": 118, "type": 10, "unit": 0}, {"value": 79, "type": 9, "unit": 0}, {"value": 60, "type": 11, "unit": 0}"#;
    let edits = [
        (
            "values: { systolic: { item: 10 }, diastolic",
            "values: { pulse: { item: 11 }, systolic: { item: 10 }, diastolic",
        ),
        (
            "      systolic:\n",
            "      pulse: { code: { loinc: [8867-4] }, unit: /min, optional: true }\n      systolic:\n",
        ),
    ];
    let lines = differences(&edits, &weight(measures));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("Changed blood-pressure blood-pressure; component[0]: - -> {"), "{lines:?}");
    assert_eq!(lines[0].matches("; ").count(), 1, "{lines:?}");
}

#[test]
fn nothing_prints_a_value() {
    let (a, b) = (
        getmeas(),
        changed(&[("number: scale10(value, unit)", "number: \"plus(scale10(value, unit), `1`)\"")]),
    );
    let shown = format!("{:?}", compare(&a, &b, weight("").as_bytes(), &context(), true).unwrap());
    assert!(shown.contains("valueQuantity.value"), "{shown}");
    for secret in ["72", "73.00", "1704600000", "2024"] {
        assert!(!shown.replace("ohx.example", "").contains(secret), "{secret} in {shown}");
    }
}

#[test]
fn a_page_that_one_cannot_map_is_an_error() {
    let each = changed(&[("each: body.measuregrps", "each: body.timezone")]);
    let error = difference(&getmeas(), &each, weight("").as_bytes(), &context()).unwrap_err();
    assert!(matches!(error, MapError::NotRecords { .. }));
}

/// Small trees, so that two of them have much in common.
fn tree() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (0..4).prop_map(Value::from),
        "[ab]".prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map(prop_oneof![Just("code".to_owned()), "[xy]"], inner, 0..3)
                .prop_map(Value::from_iter),
        ]
    })
}

fn paths(a: &Value, b: &Value) -> Vec<String> {
    let (a, b) = (a.to_string(), b.to_string());
    let mut out = Vec::new();
    let (a, b) = (Node::parse(a.as_bytes()).unwrap(), Node::parse(b.as_bytes()).unwrap());
    tree_changes(&a, &b, None, &mut out);
    assert!(out.iter().all(|c| c.before != c.after), "a change that is none");
    out.into_iter().map(|c| c.path).collect()
}

proptest! {
    #[test]
    fn two_trees_differ_somewhere_or_are_the_same(a in tree(), b in tree()) {
        prop_assert_eq!(paths(&a, &b).is_empty(), a == b);
        prop_assert!(paths(&a, &a).is_empty());
    }

    /// A list with one item taken out differs in that item alone.
    #[test]
    fn an_item_less_is_one_difference(codes in prop::collection::btree_set(0..100, 1..30), value in 0..3, at in any::<prop::sample::Index>()) {
        let all: Vec<Value> = codes.iter().map(|c| json!({"code": c, "value": value})).collect();
        let at = at.index(all.len());
        let mut less = all.clone();
        less.remove(at);
        prop_assert_eq!(paths(&json!({"component": all}), &json!({"component": less})), [format!("component[{at}]")]);
    }
}
