//! What is asked for, and how it is cut.

use super::*;

#[tokio::test]
async fn a_run_asks_for_the_zone_and_then_for_whole_local_days() {
    let weight =
        r#"{"weight":[{"bmi":21.480,"date":"2026-06-01","logId":1,"time":"18:28:59","weight":56.70}]}"#;
    let server =
        scripted([ok(PROFILE), ok(weight), ok(r#"{"fat":[]}"#), ok("{}"), ok(r#"{"sleep":[]}"#)]).await;
    let (adapter, app) = (adapter(), app_at(Some(&server.url)));
    let (texts, pages) = read(&adapter, &app, "weight", &two_days()).await.unwrap();
    let expected =
        format!(r#"{{"timezone":"Europe/Amsterdam","offsetFromUTCMillis":7200000,"body":{weight}}}"#);
    assert_eq!((texts, pages), (vec![expected], 2));
    // Known from here on; nothing is no part.
    for record in ["fat", "spo2", "sleep"] {
        assert_eq!(read(&adapter, &app, record, &two_days()).await.unwrap(), (Vec::new(), 1), "{record}");
    }
    let uris = [
        "/prefix/1/user/-/profile.json",
        "/prefix/1/user/-/body/log/weight/date/2026-06-01/2026-06-02.json",
        "/prefix/1/user/-/body/log/fat/date/2026-06-01/2026-06-02.json",
        "/prefix/1/user/-/spo2/date/2026-06-01/2026-06-02.json",
        // What began on a day may end on the next.
        "/prefix/1.2/user/-/sleep/date/2026-06-01/2026-06-03.json",
    ];
    assert_eq!(server.uris(), uris);
    for seen in server.seen() {
        assert_eq!(seen.headers[header::AUTHORIZATION], format!("Bearer {TOKEN}"));
        assert!(!seen.headers.contains_key(header::ACCEPT_LANGUAGE));
    }
}

#[tokio::test]
async fn no_call_asks_for_more_days_than_it_may() {
    let found = ok(r#"{"hrv":[{"dateTime":"2026-05-01","value":{}}]}"#);
    let server = scripted([ok(PROFILE), found.clone(), found.clone(), found]).await;
    let (adapter, app) = (adapter(), app_at(Some(&server.url)));
    let long = window("2026-03-20T12:00:00Z", "2026-05-20T12:00:00Z");
    assert_eq!(read(&adapter, &app, "hrv", &long).await.unwrap().0.len(), 3);
    let days = ["2026-03-20/2026-04-18", "2026-04-19/2026-05-18", "2026-05-19/2026-05-20"];
    assert_eq!(server.uris()[1..], days.map(|days| format!("/prefix/1/user/-/hrv/date/{days}.json")));
    for spec in adapter.records(&app.config, &[]) {
        let known = super::super::records::known(spec.record.as_str()).unwrap();
        let days = spec.max_window.as_secs() / 86_400;
        assert!(days + 2 <= u64::try_from(known.most).unwrap(), "{}: one call", spec.record);
    }
}

#[tokio::test]
async fn totals_are_of_days_that_are_over_and_their_series_one_call_each() {
    let names = ["steps", "distance", "floors", "calories", "activityCalories"];
    let series = names
        .map(|name| ok(format!(r#"{{"activities-{name}":[{{"dateTime":"2026-06-03","value":"175"}}]}}"#)));
    let server = scripted([ok(PROFILE)].into_iter().chain(series)).await;
    let (adapter, app) = (adapter(), app_at(Some(&server.url)));
    let now = window("2026-06-02T23:00:00Z", "2026-06-04T10:00:00Z");
    let (texts, pages) = read(&adapter, &app, "activities", &now).await.unwrap();
    assert_eq!((texts.len(), pages), (5, 6));
    let uris =
        names.map(|name| format!("/prefix/1/user/-/activities/{name}/date/2026-06-03/2026-06-03.json"));
    assert_eq!(server.uris()[1..], uris);
    let today = window("2026-06-03T22:00:00Z", "2026-06-04T10:00:00Z");
    assert_eq!(read(&adapter, &app, "activities", &today).await.unwrap(), (Vec::new(), 1));
}

#[tokio::test]
async fn a_list_that_goes_in_circles_is_malformed() {
    let page = r#"{"activities":[{"logId":1,"startTime":"2026-06-01T12:00:00.000+02:00"}],"pagination":{"next":"https://api.fitbit.com/x?afterDate=2026-05-31&offset=0"}}"#;
    let server = scripted([ok(PROFILE), ok(page)]).await;
    let error = read(&adapter(), &app_at(Some(&server.url)), "exercise", &two_days()).await.unwrap_err();
    assert!(error.to_string().contains("circles"), "{error}");
    let expected = "/prefix/1/user/-/activities/list.json?afterDate=2026-05-31&sort=asc&limit=100&offset=0";
    assert_eq!(server.uris()[1], expected);
}

#[tokio::test]
async fn devices_that_cannot_be_read_are_left_out() {
    let devices = r#"[{"batteryLevel":84,"deviceVersion":"Charge 6","id":"816713257","lastSyncTime":"2026-06-01T21:14:03.000","type":"TRACKER"},
        {"id":7,"batteryLevel":"184","lastSyncTime":"yesterday"},{"type":"SCALE"}]"#;
    let server = scripted([ok(PROFILE), ok(devices)]).await;
    let found = adapter().devices(&app_at(Some(&server.url)), &TOKEN.into()).await.unwrap();
    let [first, second] = &found[..] else { panic!("{found:?}") };
    assert_eq!(first.last_sync.unwrap().to_string(), "2026-06-01T19:14:03Z");
    assert_eq!((first.battery_percent, first.model.as_deref()), (Some(84), Some("Charge 6")));
    assert_eq!((second.id.as_str(), second.battery_percent, second.last_sync), ("7", None, None));
}
