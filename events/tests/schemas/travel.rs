//! Envelopes and sealed data on their way.

use super::*;

fn structured(event: &Event) -> (HeaderMap, Vec<u8>) {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/cloudevents+json; charset=utf-8"));
    (headers, serde_json::to_vec(event).unwrap())
}

/// The event after a journey in each mode.
fn journeys(event: &Event) -> [Event; 2] {
    let (headers, body) = to_binary(event.clone()).unwrap();
    let binary = from_request(&headers, body).unwrap();
    let (headers, body) = structured(event);
    [binary, from_request(&headers, body).unwrap()]
}

#[track_caller]
fn assert_same_attributes(a: &Event, b: &Event) {
    let attributes = |e: &Event| {
        let mut extensions: Vec<_> =
            e.iter_extensions().map(|(k, v)| (k.to_owned(), v.to_string())).collect();
        extensions.sort();
        let of =
            (e.id().to_owned(), e.ty().to_owned(), e.source().to_string(), e.subject().map(str::to_owned));
        (of, e.time().copied(), e.datacontenttype().map(str::to_owned), extensions)
    };
    assert_eq!(attributes(a), attributes(b));
}

#[test]
fn the_examples_are_whole_events() {
    let envelope = read("schemas", "envelope");
    for name in PLAIN.iter().chain(&SEALED_TYPES) {
        let example = read("examples", name);
        assert_valid(&envelope, &example);
        let kind = name.trim_end_matches(".since");
        assert_eq!(example["type"], format!("org.openhealthexchange.{kind}"));
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("application/cloudevents+json"));
        let event = from_request(&headers, text("examples", name).into_bytes()).unwrap();
        assert_eq!(link_of(&event).unwrap(), link());
        let without_sync = kind.starts_with("link.") || kind == "push.requested.v1";
        assert_eq!(sync_of(&event).is_some(), !without_sync, "{name}");
        // And printed again, it is the example.
        let mut printed: Value = serde_json::from_slice(&structured(&event).1).unwrap();
        assert_eq!(printed["time"].as_str().map(at), example["time"].as_str().map(at));
        printed["time"] = example["time"].clone();
        assert_eq!(printed, example, "{name}");
    }
}

#[test]
fn what_is_built_is_a_valid_envelope_and_travels_in_both_modes() {
    let schema = read("schemas", "envelope");
    let connected = LinkConnected { provider: "withings".parse().unwrap(), again: true };
    for priority in Priority::ALL {
        for (sync, traceparent) in
            [(None, None), (Some(SyncId::new()), envelope(types::SYNC_REQUESTED).traceparent)]
        {
            let sent = Envelope {
                priority,
                sync,
                traceparent: traceparent.clone(),
                ..envelope(types::LINK_CONNECTED)
            };
            let event = sent.plain(&connected).unwrap();
            assert_valid(&schema, &serde_json::to_value(&event).unwrap());
            for arrived in journeys(&event) {
                assert_same_attributes(&event, &arrived);
                assert_eq!(Priority::of(&arrived), priority);
                assert_eq!(sync_of(&arrived), sync);
                assert_eq!(text_extension(&arrived, "traceparent"), traceparent.as_deref());
                assert_eq!(text_extension(&arrived, "partitionkey"), Some(LINK));
                assert_eq!(plain_data::<LinkConnected>(&arrived).unwrap(), connected);
            }
        }
    }
}

#[test]
fn an_unknown_priority_is_normal_and_unknown_extensions_pass() {
    let mut event = envelope(types::LINK_CONNECTED).plain(&json!({"provider": "w", "again": true})).unwrap();
    event.set_extension("priority", ExtensionValue::String("urgent".into()));
    event.set_extension("later", ExtensionValue::String("x".into()));
    for arrived in journeys(&event) {
        assert_eq!(Priority::of(&arrived), Priority::Normal);
        assert_eq!(text_extension(&arrived, "later"), Some("x"));
    }
}

#[test]
fn what_is_no_event_is_refused_with_a_reason() {
    let event =
        envelope(types::LINK_CONNECTED).plain(&json!({"provider": "withings", "again": true})).unwrap();
    let (whole, body) = to_binary(event.clone()).unwrap();
    for name in ["ce-id", "ce-type", "ce-source", "ce-specversion"] {
        let mut headers = whole.clone();
        headers.remove(name);
        let error = from_request(&headers, body.clone()).unwrap_err();
        assert!(matches!(error, EventError::Attribute { .. }), "{name}: {error}");
        let mut headers = whole.clone();
        headers.insert(name, HeaderValue::from_bytes(b"\xff\xfe").unwrap());
        assert!(from_request(&headers, body.clone()).is_err(), "{name}");
    }
    for (name, value) in [("ce-specversion", "7.0"), ("ce-time", "yesterday")] {
        let mut headers = whole.clone();
        headers.insert(name, HeaderValue::from_static(value));
        assert!(from_request(&headers, body.clone()).is_err(), "{name}");
    }
    let (headers, _) = structured(&event);
    for body in ["", "[]", "{}", "null", "<html>", r#"{"specversion":"1.0"}"#] {
        assert!(from_request(&headers, body.into()).is_err(), "{body}");
    }
    assert!(from_request(&HeaderMap::new(), b"{}".to_vec()).is_err());

    let mut lost = event;
    lost.set_subject(Some("nobody"));
    assert!(matches!(link_of(&lost), Err(EventError::Attribute { attribute: "subject", .. })));
}

#[test]
fn a_sealed_event_travels_and_opens() {
    let (key, part) = (key(), fetched());
    let (event, size) = envelope(types::RECORDS_FETCHED).sealed(&key, &part).unwrap();
    assert_valid(&read("schemas", "envelope"), &serde_json::to_value(&event).unwrap());
    assert_eq!(event.datacontenttype(), Some(SEALED));
    assert!(matches!(event.data(), Some(Data::Binary(bytes)) if bytes.len() == size));
    for arrived in journeys(&event) {
        assert_same_attributes(&event, &arrived);
        let opened = sealed_data(&arrived, &key).unwrap();
        let same: FetchedPart = parse_opened(&arrived, &opened).unwrap();
        assert_eq!(same.page.get(), part.page.get());
        assert_eq!((same.request, same.run, same.part), (part.request, part.run, part.part));
    }
}

#[test]
fn a_sealed_event_is_readable_nowhere_on_the_way() {
    let (event, _) = envelope(types::RECORDS_FETCHED).sealed(&key(), &fetched()).unwrap();
    let (headers, body) = to_binary(event.clone()).unwrap();
    let wire = [format!("{headers:?}").into_bytes(), body, structured(&event).1].concat();
    for hidden in ["72.10", "weight", "getmeas"] {
        assert!(!wire.windows(hidden.len()).any(|w| w == hidden.as_bytes()), "{hidden}");
    }
    let bare = without_data(&event);
    assert!(bare.data().is_none());
    assert_eq!(bare.id(), event.id());
    let shown = format!("{:?}", fetched());
    assert!(!shown.contains("72.10"), "{shown}");
}

#[test]
fn a_sealed_event_opens_for_no_other_event_or_link() {
    let (mine, part) = (key(), fetched());
    let (event, _) = envelope(types::RECORDS_FETCHED).sealed(&mine, &part).unwrap();
    let refused = |event: &Event, key: &DataKey| {
        let error = sealed_data(event, key).unwrap_err();
        assert!(matches!(error, EventError::Sealed { source: SealError::Refused, .. }), "{error}");
    };
    refused(&event, &key());
    let change = |f: &dyn Fn(&mut Event)| {
        let mut other = event.clone();
        f(&mut other);
        other
    };
    refused(&change(&|e| drop(e.set_id("e-2"))), &mine);
    refused(&change(&|e| drop(e.set_type(types::RESOURCES_MAPPED))), &mine);
    refused(&change(&|e| drop(e.set_subject(Some(LinkId::new().to_string())))), &mine);
    refused(&change(&|e| drop(e.set_subject(None::<String>))), &mine);
    for n in [0, 23, 24, 60] {
        let altered = change(&|e| {
            let Some(Data::Binary(mut bytes)) = e.take_data().2 else { panic!("binary") };
            bytes[n] ^= 1;
            e.set_data(SEALED, Data::Binary(bytes));
        });
        refused(&altered, &mine);
    }
    let plain = envelope(types::RECORDS_FETCHED).plain(&json!({"part": 1})).unwrap();
    assert!(matches!(sealed_data(&plain, &mine), Err(EventError::Data { .. })));
}

#[test]
fn opened_data_of_another_shape_is_refused_without_showing_it() {
    let key = key();
    let (event, _) =
        envelope(types::RECORDS_FETCHED).sealed(&key, &json!({"request": "s3cret", "page": 72.10})).unwrap();
    let opened = sealed_data(&event, &key).unwrap();
    let error = parse_opened::<FetchedPart>(&event, &opened).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
    assert!(error.to_string().contains("column"), "{error}");
}

/// Of an event without its data, which is all that a dead letter has.
#[test]
fn the_request_of_an_event_is_known_without_its_data() {
    let request = RequestId::new();
    let of = |event_type: &'static str, id: String| {
        let event = Envelope { id, ..envelope(event_type) }.plain(&json!({})).unwrap();
        request_of(&without_data(&event))
    };
    for event_type in
        [types::SYNC_REQUESTED, types::RECORDS_FETCHED, types::RESOURCES_MAPPED, types::RESOURCES_PUBLISHED]
    {
        assert_eq!(of(event_type, format!("{request}.3")), Some(request));
        assert_eq!(of(event_type, format!("{request}.{}.0.1-2", RequestId::new())), Some(request));
        assert_eq!(of(event_type, "e-1".into()), None);
    }
    // The id of a link is no request.
    assert_eq!(of(types::LINK_CONNECTED, format!("{request}.connected.7")), None);
}
