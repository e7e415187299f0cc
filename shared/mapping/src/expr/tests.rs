//! Our evaluation, held against the `jmespath` crate's interpreter.

use ohx_domain::decimal::{Exact, scale10};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::scope::{Failed, Scope};
use super::value::Val;
use super::*;

/// What we make of it: the result as JSON, or that it failed.
fn ours(expression: &str, page: &str) -> Result<Value, String> {
    let expr = Expr::compile(expression).map_err(|e| e.what)?;
    let node = Node::parse(page.as_bytes()).unwrap();
    let scope = Scope::new(100_000);
    let value = expr.eval(&Val::Ref(&node), &scope).map_err(|_| "failed".to_owned())?;
    let mut out = String::new();
    value.write_json(&mut out, &scope).map_err(|_| "failed".to_owned())?;
    Ok(serde_json::from_str(&out).unwrap())
}

/// What the `jmespath` crate makes of it.
fn theirs(expression: &str, page: &str) -> Result<Value, String> {
    let expression = jmespath::compile(expression).map_err(|e| e.to_string())?;
    let data = jmespath::Variable::from_json(page).unwrap();
    let found = expression.search(data).map_err(|e| e.to_string())?;
    Ok(serde_json::to_value(&*found).unwrap())
}

/// Numbers as floats: the reference turns some whole numbers into floats.
fn floats(value: Value) -> Value {
    match value {
        Value::Number(n) => json!(n.as_f64()),
        Value::Array(items) => items.into_iter().map(floats).collect(),
        Value::Object(members) => Value::Object(members.into_iter().map(|(n, v)| (n, floats(v))).collect()),
        other => other,
    }
}

fn alike(expression: &str, page: &str) {
    match (ours(expression, page), theirs(expression, page)) {
        (Ok(ours), Ok(theirs)) => assert_eq!(floats(ours), floats(theirs), "{expression} over {page}"),
        (Err(_), Err(_)) => {}
        (ours, theirs) => panic!("{expression} over {page}: {ours:?}, reference {theirs:?}"),
    }
}

const PAGE: &str = r#"{
    "a": {"b": {"c": [1, 2.5, -3, "x", null, true]}, "": "empty", "d e": [[1, 2], [3, [4]], 5, []]},
    "groups": [
        {"id": 1, "t": [{"k": 1, "v": 10}, {"k": 2, "v": "20"}], "n": null, "on": true},
        {"id": 2, "t": [{"k": 2, "v": 30}], "n": 0, "on": false},
        {"id": 3, "t": [], "s": "", "o": {}},
        "none", 7, null, ["x"]
    ],
    "text": "häl\"lo", "zero": 0, "no": null, "yes": true, "nil": [], "words": ["p", "q"], "num": "72.10"
}"#;

const EXPRESSIONS: &[&str] = &[
    "@",
    "a",
    "a.b.c",
    "a.\"d e\"",
    "a.\"\"",
    "missing",
    "missing.b[0]",
    "text.a",
    "a.b.c[0]",
    "a.b.c[-1]",
    "a.b.c[99]",
    "a.b.c[-99]",
    "text[0]",
    "a.b.c[1:3]",
    "a.b.c[::2]",
    "a.b.c[::-1]",
    "a.b.c[-2:]",
    "a.b.c[:-2]",
    "a.b.c[4:1:-1]",
    "a.b.c[9:]",
    "a.b.c[:99]",
    "a.b.c[9::-2]",
    "a.b.c[-9:2]",
    "nil[::-1]",
    "text[1:]",
    "groups[*].id",
    "groups[*].t[*].v",
    "groups[].t[]",
    "groups[].t[].v",
    "a.\"d e\"[]",
    "a.\"d e\"[][]",
    "a.*",
    "*.b",
    "a.b.*",
    "a.*.c",
    "text[*]",
    "text.*",
    "nil[*].x",
    "groups[?id==`2`]",
    "groups[?id>`1`].t",
    "groups[?id>=`1` && on]",
    "groups[?on || s=='']",
    "groups[?!on].id",
    "groups[?t[?v==`30`]].id",
    "groups[?n==null]",
    "groups[?id!=`2`] | [0]",
    "groups[?t].id | [-1]",
    "groups[*].t | [0]",
    "(groups[*].t)[0]",
    "groups[0].t[?k==`2`] | [0].v",
    "zero == `0`",
    "zero == `0.0`",
    "zero == `false`",
    "no == `null`",
    "missing == no",
    "text == 'häl\"lo'",
    "a == a",
    "a == groups",
    "words == ['p', 'q']",
    "nil == `[]`",
    "a.b == {c: a.b.c}",
    "zero < `1`",
    "zero <= `0`",
    "zero > `-1`",
    "zero >= `1`",
    "text < 'z'",
    "no < `1`",
    "`1.5` < `1.6`",
    "`1e2` == `100`",
    "groups[0].id < groups[1].id",
    "zero && 'x'",
    "no || 'x'",
    "nil || text",
    "a.o || 'y'",
    "!no",
    "!zero",
    "!nil",
    "!yes",
    "!(no || yes)",
    "yes && !no && words",
    "[a.b.c[0], zero]",
    "{x: text, y: groups[0].id}",
    "missing.[a]",
    "missing.{a: b}",
    "groups[*].[id, on]",
    "groups[*].{i: id, first: t[0].v}",
    "{x: `1`, x: `2`}",
    "length(text)",
    "length(words)",
    "length(a)",
    "length(zero)",
    "length(no)",
    "to_string(zero)",
    "to_string(text)",
    "to_string(words)",
    "to_string(a.b)",
    "to_number(num)",
    "to_number(zero)",
    "to_number(text)",
    "to_number(words)",
    "to_number(no)",
    "to_number('x')",
    "not_null(no, missing, zero)",
    "not_null(no)",
    "not_null(no, length(zero))",
    "type(a)",
    "type(no)",
    "type(zero)",
    "type(yes)",
    "type(words)",
    "type(text)",
    "contains(words, 'p')",
    "contains(words, `1`)",
    "contains(text, 'lo')",
    "contains(text, `1`)",
    "contains(zero, `0`)",
    "starts_with(text, 'h')",
    "ends_with(text, 'h')",
    "starts_with(text, `1`)",
    "keys(a)",
    "values(a.b)",
    "keys(words)",
    "values(text)",
    "join('-', words)",
    "join('', nil)",
    "join('-', a.b.c)",
    "to_array(zero)",
    "to_array(words)",
    "to_array(no)",
    "`\"a`",
    "'it\\'s'",
    "`{\"q\": [1, \"\\u00e9\"]}`",
    "`\"back\\`tick\"`",
    "'\\\\'",
    "a.b.c | [0]",
    "groups[0].t[0].k == `1` && groups[0].t[1].v == '20'",
    "",
    ".",
    "a.",
    "a b",
    "a[",
    "[?]",
    "foo(",
    "groups[?id==1]",
    "a = b",
    "@.a.@",
    "\"a\"(b)",
    "a..b",
    "a[1:2:3:4]",
    "`1",
    "'x",
    "{a}",
    "{}",
    "|",
    "a ||",
    "-1",
    "[-1]",
    "length()",
    "length(a, b)",
    "a[::0]",
    "nosuch(a)",
];

#[test]
fn the_table_comes_out_as_the_reference_says() {
    for expression in EXPRESSIONS {
        alike(expression, PAGE);
    }
}

#[test]
fn our_own_functions() {
    let page = r#"{"v": 7210, "s": "7210", "u": -2, "t": "-2", "x": "abc", "d": 1704769719, "e": "1704769719", "h": 1.5, "w": 1704769719.25, "m": -62135596800.0000001}"#;
    let is = |expression: &str, expected: &str| {
        let expr = Expr::compile(expression).unwrap();
        let node = Node::parse(page.as_bytes()).unwrap();
        let scope = Scope::new(1000);
        let mut out = String::new();
        expr.eval(&Val::Ref(&node), &scope).unwrap().write_json(&mut out, &scope).unwrap();
        assert_eq!(out, expected, "{expression}");
    };
    for value in ["v", "s"] {
        for unit in ["u", "t"] {
            is(&format!("scale10({value}, {unit})"), "72.10");
        }
    }
    for nothing in [
        "scale10(x, u)",
        "scale10(v, x)",
        "scale10(no, u)",
        "scale10(v, no)",
        "scale10(v, h)",
        "scale10(v, `99`)",
    ] {
        is(nothing, "null");
    }
    is("scale10(v, `0`)", "7210");
    is("scale10(`72.10`, `0`)", "72.10");
    is("scale10(`1.80`, `2`)", "180");
    is("to_number('72.10')", "72.10");
    is("from_unix(d)", "\"2024-01-09T03:08:39Z\"");
    is("from_unix(e)", "\"2024-01-09T03:08:39Z\"");
    is("from_unix(w)", "\"2024-01-09T03:08:39.25Z\"");
    for nothing in ["from_unix(x)", "from_unix(no)", "from_unix(m)", "from_unix(`1e15`)", "from_unix(`true`)"]
    {
        is(nothing, "null");
    }
    is("from_unix(no) || from_unix(d)", "\"2024-01-09T03:08:39Z\"");
    for name in ["users/me/dataTypes/weight/dataPoints/a-1_Z", "/a-1_Z", "a-1_Z"] {
        is(&format!("id_of('{name}')"), "\"a-1_Z\"");
    }
    // What no id may have gives way to a digest: an id again, and another one for another name.
    let long = "7".repeat(65);
    for name in ["log:17.5", "log:17.6", "\u{e9}", long.as_str()] {
        let digest = ohx_domain::content_digest(&[name.as_bytes()]);
        assert!(crate::run::is_id(&digest), "{digest}");
        is(&format!("id_of('users/me/{name}')"), &format!("\"{digest}\""));
    }
    for nothing in ["id_of(no)", "id_of(v)", "id_of('')", "id_of('users/')", "id_of(`[]`)"] {
        is(nothing, "null");
    }
}

#[test]
fn mistakes_are_found_when_the_expression_is_compiled() {
    let unknown = Expr::compile("a || scale_10(value)").err().unwrap();
    assert_eq!((unknown.at, unknown.what.as_str()), (5, "no function is called \"scale_10\""));
    assert!(unknown.hint.contains("scale10"));
    assert_eq!(Expr::compile("scale10(a)").err().unwrap().hint, "scale10 takes 2");
    assert!(Expr::compile("a[::0]").is_err());
    assert!(Expr::compile("not_null(&a)").is_err());
    assert!(Expr::compile(&"a".repeat(MAX_LENGTH + 1)).is_err());
    assert!(Expr::compile(&"a.".repeat(MAX_DEPTH + 1)).is_err());
    for bomb in ["(", "[", "!", "{a:", "*.", "[*]", "&", "a[?", "f("] {
        let text = bomb.repeat(MAX_LENGTH / bomb.len());
        assert!(Expr::compile(&text).is_err(), "{bomb}");
    }
}

#[test]
fn work_is_bounded() {
    // 24 doublings: sixteen million leaves, should anyone look at them all.
    let doubled = "[@,@]".to_owned() + &"|[@,@]".repeat(23);
    let page = Node::parse(b"1").unwrap();
    for expression in [format!("to_string({doubled})"), format!("({doubled}) == ({doubled})")] {
        let expr = Expr::compile(&expression).unwrap();
        assert_eq!(expr.eval(&Val::Ref(&page), &Scope::new(100_000)).err(), Some(Failed), "{expression}");
    }
    let joins = (0..25).fold("'aaaaaaaa'".to_owned(), |inner, _| format!("{inner}|join(@,[@,@])"));
    let expr = Expr::compile(&joins).unwrap();
    assert_eq!(expr.eval(&Val::Ref(&page), &Scope::new(100_000)).err(), Some(Failed));
}

/// Small whole numbers: the reference compares floats loosely.
fn small_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3_i64..4).prop_map(Value::from),
        "[ab]{0,2}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec(("[abc]", inner), 0..4)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[abc]".prop_map(String::from),
        Just("@".to_owned()),
        (-3_i64..4).prop_map(|n| format!("`{n}`")),
        "[ab]{0,2}".prop_map(|t| format!("'{t}'")),
        Just("`null`".to_owned()),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            pair.clone().prop_map(|(a, b)| format!("({a}) | ({b})")),
            pair.clone().prop_map(|(a, b)| format!("({a}) || ({b})")),
            pair.clone().prop_map(|(a, b)| format!("({a}) && ({b})")),
            (pair.clone(), prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]))
                .prop_map(|((a, b), op)| format!("({a}) {op} ({b})")),
            pair.clone().prop_map(|(a, b)| format!("({a})[?{b}]")),
            pair.clone().prop_map(|(a, b)| format!("[{a}, {b}]")),
            pair.clone().prop_map(|(a, b)| format!("{{a: {a}, b: {b}}}")),
            pair.prop_map(|(a, b)| format!("not_null({a}, {b})")),
            (inner.clone(), "[abc]").prop_map(|(a, b)| format!("({a})[*].{b}")),
            (inner.clone(), -3_i32..4, prop::option::of(-3_i32..4), prop::sample::select(vec![-2, -1, 1, 2]))
                .prop_map(|(a, from, to, step)| format!(
                    "({a})[{from}:{}:{step}]",
                    to.map_or(String::new(), |t| t.to_string())
                )),
            (inner.clone(), -3_i32..4).prop_map(|(a, n)| format!("({a})[{n}]")),
            inner.clone().prop_map(|a| format!("({a})[]")),
            inner.clone().prop_map(|a| format!("({a}).*")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (inner, prop::sample::select(vec!["length", "to_string", "type", "keys", "values", "to_array"]))
                .prop_map(|(a, f)| format!("{f}({a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn any_expression_comes_out_as_the_reference_says(expression in expression(), page in small_json()) {
        alike(&expression, &page.to_string());
    }

    #[test]
    fn what_runs_out_of_steps_says_so(expression in expression(), page in small_json(), few in 0_usize..120) {
        let page = page.to_string();
        let node = Node::parse(page.as_bytes()).unwrap();
        let Ok(expr) = Expr::compile(&expression) else { return Ok(()) };
        let of = |steps: usize| {
            let scope = Scope::new(steps);
            let mut out = String::new();
            let told = expr.eval(&Val::Ref(&node), &scope).and_then(|v| v.write_json(&mut out, &scope)).map(|()| out);
            prop_assert!(scope.steps().used <= steps);
            Ok((told, scope.ran_out()))
        };
        let (all, (told, ran_out)) = (of(1_000_000)?, of(few)?);
        prop_assert!(!all.1);
        prop_assert!(if ran_out { told.is_err() } else { told == all.0 }, "{} steps, {:?} is {:?}", few, told, all.0);
    }

    #[test]
    fn no_text_makes_the_compiler_panic(text in r#"[a-c@.\[\]{}()*?!&|<>=,:`'"0-9 -]{0,40}"#) {
        let _ = Expr::compile(&text);
    }

    #[test]
    fn sums_keep_their_digits(a in -1_000_000_i64..1_000_000, b in prop_oneof![Just(0), -1_000_000_i64..1_000_000], s in 0_i32..9, t in 0_i32..9) {
        let number = |mantissa: i64, scale: i32| scale10(Exact::from(mantissa), -scale).unwrap();
        let (x, y) = (number(a, s), number(b, t));
        let node = Node::parse(b"{}").unwrap();
        let told = |expression: &str| {
            let expr = Expr::compile(expression).unwrap();
            expr.eval(&Val::Ref(&node), &Scope::new(1_000)).unwrap().number()
        };
        for (name, mantissa) in [("plus", 1), ("minus", -1)] {
            let sum = told(&format!("{name}('{x}', '{y}')")).expect("a number");
            // The same in whole numbers of the finer of the two.
            let finer = s.max(t);
            let whole = |m: i64, scale: i32| i128::from(m) * 10_i128.pow((finer - scale).unsigned_abs());
            prop_assert_eq!(sum.mantissa(), whole(a, s) + mantissa * whole(b, t));
            prop_assert_eq!(i64::from(sum.scale()), i64::from(finer));
        }
    }

    #[test]
    fn scaling_is_exact(mantissa in any::<i64>(), exponent in -9_i32..=9) {
        let expr = Expr::compile("scale10(v, u)").unwrap();
        let text = format!(r#"{{"v": {mantissa}, "u": "{exponent}"}}"#);
        let page = Node::parse(text.as_bytes()).unwrap();
        let Val::Exact(value) = expr.eval(&Val::Ref(&page), &Scope::new(100)).unwrap() else { panic!("no number") };
        if exponent <= 0 {
            prop_assert_eq!((value.mantissa(), value.scale()), (i128::from(mantissa), exponent.unsigned_abs()));
        } else {
            prop_assert_eq!((value.mantissa(), value.scale()), (i128::from(mantissa) * 10_i128.pow(exponent.unsigned_abs()), 0));
        }
    }
}
