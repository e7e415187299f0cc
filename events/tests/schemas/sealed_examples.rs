//! What was sealed once opens for ever.

use super::*;

fn example_key() -> DataKey {
    let ring = Keyring::parse(&KEYRING.to_owned().into()).unwrap();
    let stored = read("examples", "sealed-key");
    assert_eq!((&stored["keyring"], &stored["link"]), (&json!(KEYRING), &json!(LINK)));
    let wrapped = data_encoding::BASE64.decode(stored["data_key"].as_str().unwrap().as_bytes()).unwrap();
    ring.data_key(LINK, &wrapped).unwrap()
}

#[test]
fn the_sealed_examples_open_to_the_opened_ones() {
    let key = example_key();
    for name in SEALED_TYPES {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/cloudevents+json"));
        let event = from_request(&headers, text("examples", name).into_bytes()).unwrap();
        let opened = sealed_data(&event, &key).unwrap();
        let opened: Value = serde_json::from_slice(&opened).unwrap();
        assert_eq!(opened, read("examples", &format!("{name}.opened")), "{name}");
    }
}

#[test]
#[ignore = "writes events/examples: run it when an opened example has changed, and only then"]
fn renew_the_sealed_examples() {
    let ring = Keyring::parse(&KEYRING.to_owned().into()).unwrap();
    let (key, wrapped) = ring.new_data_key(LINK).unwrap();
    let write = |name: &str, value: &Value| {
        fs::write(path("examples", name), format!("{value:#}\n")).unwrap();
    };
    let note = "Opens the sealed examples beside it. Published, so that anybody can try; never use it for anything else.";
    let data_key = data_encoding::BASE64.encode(&wrapped);
    write("sealed-key", &json!({"note": note, "keyring": KEYRING, "link": LINK, "data_key": data_key}));
    let run = "019a6e80-2f4e-7d18-b3a9-0c75e2f4d189";
    let events = [
        (types::RECORDS_FETCHED, "fetch", format!("{run}.0"), "2026-11-20T08:20:32.100Z"),
        (types::RESOURCES_MAPPED, "transform", format!("{run}.0.0-1"), "2026-11-20T08:20:32.800Z"),
    ];
    for ((event_type, source, id, time), name) in events.into_iter().zip(SEALED_TYPES) {
        let sync = Some("019a6e80-11c2-7b03-8d4f-52c1e0a97b66".parse().unwrap());
        let envelope = Envelope { id, source, sync, time: at(time), ..envelope(event_type) };
        let opened = text("examples", &format!("{name}.opened"));
        let event = match name {
            "records.fetched.v1" => {
                envelope.sealed(&key, &serde_json::from_str::<FetchedPart>(&opened).unwrap())
            }
            _ => envelope.sealed(&key, &serde_json::from_str::<MappedPiece>(&opened).unwrap()),
        };
        write(name, &serde_json::to_value(event.unwrap().0).unwrap());
    }
}
