//! The events' schemas, examples and Rust types say the same, and events survive their travels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod sealed_examples;
mod travel;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use cloudevents::event::{Data, ExtensionValue};
use cloudevents::{AttributesReader as _, AttributesWriter as _, Event};
use http::{HeaderMap, HeaderValue};
use ohx_domain::{Counts, Instant, Interval, LinkId, Query, RequestId, SyncId, SyncReason};
use ohx_events::envelope::{
    SEALED, link_of, parse_opened, plain_data, request_of, sealed_data, sync_of, text_extension, without_data,
};
use ohx_events::http_binding::{from_request, to_binary};
use ohx_events::plain::{
    DevicesPublished, DevicesReason, DevicesRequested, LinkConnected, LinkDisconnected, PushRequested,
    ReauthorizationRequired, ResourcesPublished, SyncRequested,
};
use ohx_events::sealed::{FetchedPart, MappedPiece, MappedResource};
use ohx_events::{Envelope, EventError, Priority, types};
use ohx_seal::{DataKey, Keyring, SealError, generate_key};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Value, json};

const PLAIN: [&str; 9] = [
    "link.reauthorization-required.v1",
    "push.requested.v1",
    "link.connected.v1",
    "link.disconnected.v1",
    "devices.requested.v1",
    "devices.published.v1",
    "sync.requested.v1",
    "sync.requested.v1.since",
    "resources.published.v1",
];
const SEALED_TYPES: [&str; 2] = ["records.fetched.v1", "resources.mapped.v1"];
/// Opened examples that no sealed one stands beside.
const OPENED: [&str; 1] = ["records.fetched.v1.hours.opened"];
/// The link of the examples.
const LINK: &str = "019a2f3c-5d10-7a44-9c1e-3b7f0a6e2d51";
/// The keyring of the examples: open for everybody to read, and used for nothing else.
const KEYRING: &str = "example:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn path(folder: &str, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder).join(format!("{name}.json"))
}

fn text(folder: &str, name: &str) -> String {
    fs::read_to_string(path(folder, name)).unwrap_or_else(|e| panic!("{folder}/{name}: {e}"))
}

fn read(folder: &str, name: &str) -> Value {
    serde_json::from_str(&text(folder, name)).unwrap_or_else(|e| panic!("{folder}/{name}: {e}"))
}

/// The type of an example: the first words of its name.
fn type_of(example: &str) -> &str {
    example.trim_end_matches(".opened").trim_end_matches(".hours").trim_end_matches(".since")
}

fn schema(example: &str) -> Value {
    read("schemas", type_of(example))
}

fn problems(schema: &Value, instance: &Value) -> Vec<String> {
    let validator = jsonschema::options().should_validate_formats(true).build(schema).unwrap();
    validator.iter_errors(instance).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

#[track_caller]
fn assert_valid(schema: &Value, instance: &Value) {
    assert_eq!(problems(schema, instance), Vec::<String>::new(), "{instance}");
}

/// Parses into the Rust type and prints it again.
fn through<T: DeserializeOwned + Serialize>(data: &Value) -> Option<Value> {
    let parsed: T = serde_json::from_str(&data.to_string()).ok()?;
    Some(serde_json::from_slice(&serde_json::to_vec(&parsed).unwrap()).unwrap())
}

/// The same by the example's name.
fn through_type(example: &str, data: &Value) -> Option<Value> {
    match type_of(example) {
        "link.connected.v1" => through::<LinkConnected>(data),
        "link.disconnected.v1" => through::<LinkDisconnected>(data),
        "link.reauthorization-required.v1" => through::<ReauthorizationRequired>(data),
        "devices.requested.v1" => through::<DevicesRequested>(data),
        "devices.published.v1" => through::<DevicesPublished>(data),
        "push.requested.v1" => through::<PushRequested>(data),
        "sync.requested.v1" => through::<SyncRequested>(data),
        "resources.published.v1" => through::<ResourcesPublished>(data),
        "records.fetched.v1" => through::<FetchedPart>(data),
        "resources.mapped.v1" => through::<MappedPiece>(data),
        other => panic!("no type for {other}"),
    }
}

/// Every example's data.
fn examples() -> Vec<(String, Value)> {
    let plain = PLAIN.iter().map(|name| ((*name).to_owned(), read("examples", name)["data"].clone()));
    let opened = SEALED_TYPES.iter().map(|name| {
        let name = format!("{name}.opened");
        let data = read("examples", &name);
        (name, data)
    });
    let alone = OPENED.iter().map(|name| ((*name).to_owned(), read("examples", name)));
    plain.chain(opened).chain(alone).collect()
}

fn link() -> LinkId {
    LINK.parse().unwrap()
}

fn at(text: &str) -> Instant {
    text.parse().unwrap()
}

fn key() -> DataKey {
    let ring = Keyring::parse(&format!("k:{}", generate_key().expose_secret()).into()).unwrap();
    ring.new_data_key(LINK).unwrap().0
}

fn envelope(event_type: &'static str) -> Envelope {
    Envelope {
        id: "e-1".into(),
        event_type,
        source: "fetch",
        link: link(),
        sync: Some(SyncId::new()),
        priority: Priority::High,
        time: at("2026-11-20T08:20:31.250001Z"),
        traceparent: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
    }
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.into()).unwrap()
}

fn fetched() -> FetchedPart {
    FetchedPart {
        request: Default::default(),
        run: Default::default(),
        part: 3,
        provider: "withings".parse().unwrap(),
        record: "getmeas".parse().unwrap(),
        covers: None,
        removed: None,
        page: raw(r#"{"weight": 72.10, "long": 0.12345678901234567890123456789, "big": 1e400}"#),
    }
}

#[test]
fn every_schema_is_one_and_every_file_is_looked_at() {
    let names = |folder: &str| -> Vec<String> {
        let files = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
        let mut names: Vec<_> = files
            .map(|f| f.unwrap().file_name().into_string().unwrap().trim_end_matches(".json").to_owned())
            .collect();
        names.sort();
        names
    };
    let schemas = names("schemas");
    let of_types = [
        types::LINK_CONNECTED,
        types::LINK_DISCONNECTED,
        types::LINK_REAUTHORIZATION_REQUIRED,
        types::PUSH_REQUESTED,
        types::DEVICES_REQUESTED,
        types::DEVICES_PUBLISHED,
        types::SYNC_REQUESTED,
        types::RECORDS_FETCHED,
        types::RESOURCES_MAPPED,
        types::RESOURCES_PUBLISHED,
    ];
    let mut expected: Vec<_> =
        of_types.iter().map(|t| t.strip_prefix("org.openhealthexchange.").unwrap().to_owned()).collect();
    expected.push("envelope".into());
    expected.sort();
    assert_eq!(schemas, expected, "a schema for each type");
    for name in &schemas {
        let schema = read("schemas", name);
        assert!(jsonschema::draft202012::meta::is_valid(&schema), "{name}");
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(schema["$id"], format!("urn:ohx:event:{name}"));
    }

    let mut known: Vec<String> =
        PLAIN.iter().chain(&SEALED_TYPES).chain(&OPENED).map(|n| (*n).to_owned()).collect();
    known.extend(SEALED_TYPES.iter().map(|n| format!("{n}.opened")));
    known.push("sealed-key".into());
    known.sort();
    assert_eq!(names("examples"), known);
}

#[test]
fn every_example_is_valid_and_survives_the_rust_type() {
    for (name, data) in examples() {
        assert_valid(&schema(&name), &data);
        assert_eq!(through_type(&name, &data).as_ref(), Some(&data), "{name}");
    }
}

#[test]
fn schema_and_type_agree_on_what_is_required() {
    for (name, data) in examples() {
        let schema = schema(&name);
        for field in data.as_object().unwrap().keys() {
            let mut without = data.clone();
            without.as_object_mut().unwrap().remove(field);
            let (valid, parses) =
                (problems(&schema, &without).is_empty(), through_type(&name, &without).is_some());
            assert_eq!(valid, parses, "{name} without {field}");
            let mut wrong = data.clone();
            wrong[field] = json!(["wrong"]);
            assert!(!problems(&schema, &wrong).is_empty(), "{name} with a wrong {field}");
            // What is passed on as text is not looked into.
            assert!(field == "page" || through_type(&name, &wrong).is_none(), "{name} with a wrong {field}");
        }
    }
}

#[test]
fn unknown_fields_are_tolerated_everywhere() {
    for (name, data) in examples() {
        let mut more = data.clone();
        more["introduced_later"] = json!({"a": [1, null]});
        for path in ["/counts", "/observations/0", "/observations/0/identifier", "/devices/0"] {
            if let Some(inner) = more.pointer_mut(path) {
                inner["introduced_later"] = json!(true);
            }
        }
        assert_valid(&schema(&name), &more);
        assert_eq!(through_type(&name, &more), Some(data), "{name}");
    }
}

#[test]
fn what_the_types_print_is_valid() {
    let instants = ["2026-11-20T08:10:00Z", "1969-12-31T23:59:59.000001Z", "2026-11-20T08:10:00.5Z"].map(at);
    let reasons = [
        SyncReason::Notification,
        SyncReason::Removal,
        SyncReason::Manual,
        SyncReason::Reconnect,
        SyncReason::Backfill,
        SyncReason::Nightly,
        SyncReason::Import,
    ];
    let mut queries: Vec<_> = instants.iter().map(|since| Query::Since { since: *since }).collect();
    queries.push(Query::Window(Interval::new(instants[1], instants[2]).unwrap()));
    for query in queries {
        for reason in reasons {
            let record = "getmeas".parse().unwrap();
            let requested = SyncRequested {
                request: Default::default(),
                provider: "w-2".parse().unwrap(),
                record,
                query,
                reason,
            };
            let data = serde_json::to_value(&requested).unwrap();
            assert_valid(&schema("sync.requested.v1"), &data);
            assert_eq!(serde_json::from_value::<SyncRequested>(data).unwrap(), requested);
        }
    }
    for again in [true, false] {
        let connected = LinkConnected { provider: "withings".parse().unwrap(), again };
        assert_valid(&schema("link.connected.v1"), &serde_json::to_value(connected).unwrap());
    }
    let disconnected = LinkDisconnected { provider: "withings".parse().unwrap() };
    assert_valid(&schema("link.disconnected.v1"), &serde_json::to_value(disconnected).unwrap());
    let push = PushRequested { provider: "withings".parse().unwrap(), failed: 3 };
    assert_valid(&schema("push.requested.v1"), &serde_json::to_value(push).unwrap());
    for reason in [DevicesReason::Manual, DevicesReason::Reading] {
        let requested = DevicesRequested { provider: "withings".parse().unwrap(), reason, seen: Vec::new() };
        assert_valid(&schema("devices.requested.v1"), &serde_json::to_value(requested).unwrap());
    }
    let none = serde_json::to_value(DevicesPublished::default()).unwrap();
    assert_valid(&schema("devices.published.v1"), &none);
    let counts = Counts { created: 1, updated: 2, unchanged: 3, rejected: 4, skipped: u64::MAX };
    let record = "getmeas".parse().unwrap();
    let published = ResourcesPublished { request: Default::default(), record, counts, completed: false };
    assert_valid(&schema("resources.published.v1"), &serde_json::to_value(published).unwrap());

    for covers in [None, Interval::new(instants[0], instants[2])] {
        let part = FetchedPart { page: raw("{}"), covers, ..fetched() };
        let data: Value = serde_json::from_slice(&serde_json::to_vec(&part).unwrap()).unwrap();
        assert_valid(&schema("records.fetched.v1"), &data);
        assert_eq!(data.get("covers").is_some(), covers.is_some());
        assert_eq!(serde_json::from_str::<FetchedPart>(&data.to_string()).unwrap().covers, covers);
    }
    let identifier = ohx_domain::Identifier { system: "s".into(), value: "v".into() };
    let bare = MappedResource {
        identifier,
        digest: ohx_domain::content_digest(&[b"x"]),
        issued: None,
        taken: None,
        device: None,
        only_if_missing: false,
        resource: raw(r#"{"resourceType":"Observation"}"#),
    };
    let full = MappedResource {
        issued: Some(instants[0]),
        taken: Some(instants[1]),
        device: Some(bare.identifier.clone()),
        ..bare.clone()
    };
    for (observations, skipped) in
        [(vec![bare, full], BTreeMap::new()), (vec![], BTreeMap::from([("unmapped:99".into(), 2)]))]
    {
        let piece = MappedPiece {
            request: Default::default(),
            run: Default::default(),
            part: 0,
            piece: 0,
            pieces: 1,
            record: "getmeas".parse().unwrap(),
            ehr: Some("registry".parse().unwrap()),
            mapping: "withings/getmeas 1".into(),
            removed: None,
            devices: observations.clone(),
            observations,
            skipped,
        };
        let data = serde_json::from_slice(&serde_json::to_vec(&piece).unwrap()).unwrap();
        assert_valid(&schema("resources.mapped.v1"), &data);
    }
}

#[test]
fn digits_pass_untouched() {
    #[derive(serde::Deserialize)]
    struct Page<'a> {
        #[serde(borrow)]
        page: &'a RawValue,
    }
    let example = text("examples", "records.fetched.v1.opened");
    let before: Page<'_> = serde_json::from_str(&example).unwrap();
    assert!(before.page.get().contains("72.10") && before.page.get().contains("18446744073709551616"));
    let part: FetchedPart = serde_json::from_str(&example).unwrap();
    assert_eq!(part.page.get(), before.page.get());
    let key = key();
    let (event, _) = envelope(types::RECORDS_FETCHED).sealed(&key, &part).unwrap();
    let opened = sealed_data(&event, &key).unwrap();
    assert_eq!(serde_json::from_slice::<Page<'_>>(&opened).unwrap().page.get(), before.page.get());
}
