//! What a contract must be. What is done with one is tried out against a cloud of the same contract, in the sandbox.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reading::Problem;
use super::*;

fn good() -> Value {
    json!({
        "base_url": "https://cloud.example/v1/", "authorize_url": "https://cloud.example/authorize",
        "token_url": "https://cloud.example/token", "grant": "authorization_code", "account": { "in_token_answer": true },
        "headers": { "X-Api-Key": "{secret}" },
        "records": { "weight": {
            "url": "users/{account}/weights", "query": { "from": "{start}" }, "changes": { "since": "{since}" },
            "items": "/data", "time": { "at": "/at", "format": "local", "zone": "Europe/Berlin" },
            "paging": { "cursor": { "parameter": "c", "at": "/next" } },
            "values": { "weight": { "at": "/w", "unit_at": "/u", "units": { "kilo": "kg" } } } } },
        "webhook": { "header": "X-Proof", "algorithm": "hmac-sha256", "account": "/user", "topic": "/t", "records": { "W": "weight" } }
    })
}

fn app(contract: Option<String>, accepted: Option<&str>) -> ProviderApp {
    let mut options = BTreeMap::new();
    options.extend(contract.map(|text| (CONTRACT.to_owned(), text)));
    options.extend(accepted.map(|text| (ACCEPT.to_owned(), text.to_owned())));
    ProviderApp {
        name: "agreed".parse().unwrap(),
        kind: KIND.into(),
        client_id: "c".into(),
        base_urls: BTreeMap::new(),
        scopes: Vec::new(),
        records: Vec::new(),
        requests_per_minute: None,
        notify_from: Vec::new(),
        options,
    }
}

fn checked(contract: &Value) -> Result<(), String> {
    crate::check(&app(Some(contract.to_string()), Some("yes")))
}

/// `good` with something else at a place; null takes it out.
fn with(place: &str, value: Value) -> Value {
    let mut contract = good();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = contract.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => drop(parent.remove(name)),
        value => drop(parent.insert(name.to_owned(), value)),
    }
    contract
}

#[test]
fn nothing_is_done_unless_it_is_wanted() {
    let text = Some(good().to_string());
    assert_eq!(checked(&good()), Ok(()));
    for accepted in [None, Some("no"), Some("true"), Some("")] {
        let problem = crate::check(&app(text.clone(), accepted)).unwrap_err();
        assert!(problem.contains("options.accept-unverified-contract"), "{problem}");
    }
    let problem = crate::check(&app(None, Some("yes"))).unwrap_err();
    assert!(problem.starts_with("options.contract should be the contract"), "{problem}");
    let mut of_records = app(text, Some("yes"));
    of_records.records = vec!["glucose".parse().unwrap()];
    assert!(crate::check(&of_records).unwrap_err().contains("glucose"));
}

#[test]
fn what_is_wrong_with_a_contract_is_told_with_its_place() {
    let weight = |rest: &str| format!("/records/weight/{rest}");
    let cases = [
        ("/base_url".to_owned(), json!("ftp://cloud.example"), "base_url"),
        ("/base_url".to_owned(), json!("https://u:p@cloud.example"), "base_url"),
        ("/base_url".to_owned(), Value::Null, "base_url"),
        ("/token_url".to_owned(), json!("somewhere"), "an address should be an http or https URL"),
        ("/grant".to_owned(), json!("password"), "password"),
        ("/grant".to_owned(), json!("client_credentials"), "account.in_token_answer"),
        ("/account".to_owned(), json!({}), "account should"),
        ("/account".to_owned(), json!({ "url": "me/{code}", "at": "/id" }), "account.url"),
        ("/headers/Authorization".to_owned(), json!("Basic x"), "headers.Authorization"),
        ("/headers/X Y".to_owned(), json!("x"), "headers.X Y"),
        ("/overlap_hours".to_owned(), json!(0), "overlap_hours should be 1 to 2160"),
        ("/records".to_owned(), json!({}), "records should name"),
        ("/records/steps".to_owned(), good()["records"]["weight"].clone(), "records.steps is unknown"),
        ("/secret".to_owned(), json!("x"), "secret"),
        (weight("url"), json!("https://elsewhere.example/x"), "records.weight.url"),
        (weight("url"), json!("/weights"), "records.weight.url"),
        (weight("url"), json!("../weights"), "records.weight.url"),
        (weight("url"), json!("users/{patient}/weights"), "{account}"),
        (weight("query/from"), json!("{since}"), "records.weight.query.from"),
        (weight("changes/since"), json!("now"), "records.weight.changes"),
        (weight("items"), json!("data"), "records.weight.items"),
        (weight("paging"), json!("pages"), "pages"),
        (weight("paging"), json!({ "offset": { "parameter": "o", "size": 0 } }), "paging.offset.size"),
        (weight("time/format"), json!("iso"), "records.weight.time.format"),
        (weight("time/zone"), Value::Null, "zone or zone_at"),
        (weight("time/zone"), json!("Mars/Olympus"), "records.weight.time.zone"),
        (weight("values"), json!({}), "records.weight.values"),
        (weight("values/height"), json!({ "at": "/h", "unit": "kg" }), "records.weight.values.height"),
        (weight("values/weight/unit"), json!("kg"), "either unit"),
        (weight("values/weight/units/stone"), json!("stone"), "values.weight.units.stone should be kg or lb"),
        (weight("values/bmi"), json!({ "at": "/b", "unit": "kg" }), "kg/m2"),
        ("/webhook/algorithm".to_owned(), json!("md5"), "md5"),
        ("/webhook/account".to_owned(), Value::Null, "account"),
        ("/webhook/topic".to_owned(), Value::Null, "webhook.topic"),
        ("/webhook/records/W".to_owned(), json!("steps"), "webhook.records.W"),
        ("/webhook/answer".to_owned(), json!(500), "webhook.answer"),
    ];
    for (place, value, told) in cases {
        let problem = checked(&with(&place, value.clone())).unwrap_err();
        assert!(
            problem.starts_with("options.contract: ") && problem.contains(told),
            "{place} {value}: {problem}"
        );
        assert_eq!(problem.lines().count(), 1, "{problem}");
    }
}

/// One token for all patients would bring each the readings of all.
#[test]
fn with_a_token_of_the_app_every_request_names_the_patient() {
    let mut contract = good();
    contract["grant"] = json!("client_credentials");
    contract["account"] = json!({ "url": "claims/{code}", "at": "/id" });
    assert_eq!(checked(&contract), Ok(()));
    contract["records"]["weight"]["url"] = json!("weights");
    assert!(checked(&contract).unwrap_err().contains("{account}"));
    contract["records"]["weight"]["query"]["user"] = json!("{account}");
    assert!(checked(&contract).unwrap_err().contains("{account}"), "changes, too");
    contract["records"]["weight"]["changes"]["user"] = json!("{account}");
    assert_eq!(checked(&contract), Ok(()));
}

#[test]
fn the_example_of_the_documentation_is_a_contract() {
    let page = include_str!("../../../../../docs/providers/beurer.md");
    let from = page.split("contract: |\n").nth(1).unwrap();
    let lines: Vec<&str> = from
        .lines()
        .take_while(|line| !line.starts_with("```"))
        .map(|line| line.strip_prefix("        ").unwrap_or(line))
        .collect();
    assert_eq!(crate::check(&app(Some(lines.join("\n")), Some("yes"))), Ok(()));
}

/// Without these rules a record that is not as the contract says would be lost without a trace.
#[test]
fn every_problem_is_counted_by_every_document() {
    for record in crate::beurer::RECORDS {
        let text = ohx_mapping::builtin(crate::mapped_as(KIND), record).unwrap();
        let mapping = ohx_mapping::Mapping::parse(text).unwrap();
        let context = mapping.example_context().unwrap();
        for problem in Problem::ALL {
            let part = format!(r#"{{"origin":"contract","readings":[{{"problem":"{}"}}]}}"#, problem.code());
            let mapped = mapping.map(part.as_bytes(), &context).unwrap();
            assert_eq!(mapped.skipped, [(problem.code().to_owned(), 1)].into(), "{record}");
        }
    }
}

#[test]
fn an_address_stays_below_the_base_whatever_an_id_holds() {
    let contract = Contract::of(&app(Some(good().to_string()), Some("yes"))).unwrap();
    let address =
        |id: &str| call::address(&contract, "users/{account}/weights", &[("account", id)]).map(String::from);
    assert_eq!(address("7").as_deref(), Some("https://cloud.example/v1/users/7/weights"));
    assert_eq!(
        address("a/../b?c#d").as_deref(),
        Some("https://cloud.example/v1/users/a%2F..%2Fb%3Fc%23d/weights")
    );
    for none in ["", ".", ".."] {
        assert_eq!(address(none), None);
    }
}
