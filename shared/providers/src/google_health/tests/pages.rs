//! Pages of points, and the parts they become.

use super::*;

const WEIGHT: &str = r#"{"name":"users/me/dataTypes/weight/dataPoints/1763622000000","dataSource":{"recordingMethod":"MANUAL","platform":"FITBIT"},"weight":{"weightGrams":72100.50,"sampleTime":{"physicalTime":"2026-11-20T06:00:00Z","utcOffset":"3600s"}}}"#;

fn week() -> Query {
    window("2026-11-13T10:30:00Z", "2026-11-20T11:00:00Z")
}

/// A minute's steps.
fn minute(start: &str, count: u32) -> String {
    format!(
        r#"{{"steps":{{"interval":{{"startTime":"{start}","startUtcOffset":"3600s","endTime":"{start}"}},"count":"{count}"}}}}"#
    )
}

fn points(points: &[String], next: &str) -> Reply {
    ok(format!(r#"{{ "dataPoints" : [{}], "nextPageToken":"{next}" }}"#, points.join(" , ")))
}

#[tokio::test]
async fn the_zone_is_asked_for_once_and_every_point_passes_through_as_text() {
    let listed = format!(r#"{{"dataPoints":[{WEIGHT}],"nextPageToken":"p/2=="}}"#);
    let server = Server::new([ok(SETTINGS), ok(listed), ok("{}"), ok(r#"{"dataPoints":[]}"#)]).await;
    let (adapter, app) = (adapter(), app(&server));
    let begin = page(&adapter, &app, "weight", &week(), None).await.unwrap();
    assert!(begin.parts.is_empty());
    let first = page(&adapter, &app, "weight", &week(), begin.next.as_ref()).await.unwrap();
    assert_eq!((first.records, first.parts.len(), first.parts[0].covers), (1, 1, None));
    assert_eq!(
        first.parts[0].text.reveal().get(),
        format!(r#"{{"timeZone":"Europe/Amsterdam","dataPoints":[{WEIGHT}]}}"#)
    );
    assert!(!format!("{first:?}").contains("72100"));
    let last = page(&adapter, &app, "weight", &week(), first.next.as_ref()).await.unwrap();
    assert!(last.parts.is_empty() && last.next.is_none());
    // The next record of the same patient needs no second look at the settings.
    page(&adapter, &app, "body-fat", &week(), None).await.unwrap();

    let seen = server.seen();
    assert!(seen.iter().all(|s| s.method == Method::GET && s.authorization.as_deref() == Some("Bearer ya29.acc3ssT0ken")));
    let paths: Vec<&str> = seen.iter().map(|s| s.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "/v4/users/me/settings",
            "/v4/users/me/dataTypes/weight/dataPoints",
            "/v4/users/me/dataTypes/weight/dataPoints",
            "/v4/users/me/dataTypes/body-fat/dataPoints",
        ]
    );
    let filter = r#"weight.sample_time.physical_time >= "2026-11-13T10:30:00Z" AND weight.sample_time.physical_time < "2026-11-20T11:00:00Z""#;
    assert_eq!(seen[1].query, map(&[("filter", filter), ("pageSize", "1440")]));
    assert_eq!(seen[2].query, map(&[("filter", filter), ("pageSize", "1440"), ("pageToken", "p/2==")]));
}

#[tokio::test]
async fn each_record_is_asked_for_in_its_own_way() {
    let cases = [
        ("sleep", "/sleep/dataPoints:reconcile", Some("25"), Some("sleep.interval.end_time >=")),
        (
            "exercise",
            "/exercise/dataPoints:reconcile",
            Some("25"),
            Some("exercise.interval.civil_start_time >= \"2026-11-12\""),
        ),
        (
            "electrocardiogram",
            "/electrocardiogram/dataPoints",
            Some("100"),
            Some("electrocardiogram.interval.start_time >= \"2026-11-13T10:30:00Z\""),
        ),
        ("height", "/height/dataPoints", Some("1440"), None),
        (
            "core-body-temperature",
            "/core-body-temperature/dataPoints",
            Some("1440"),
            Some("core_body_temperature.sample_time"),
        ),
        ("blood-glucose", "/blood-glucose/dataPoints", Some("1440"), Some("blood_glucose.sample_time")),
        (
            "daily-resting-heart-rate",
            "/daily-resting-heart-rate/dataPoints:reconcile",
            Some("1440"),
            Some(
                "daily_resting_heart_rate.date >= \"2026-11-13\" AND daily_resting_heart_rate.date < \"2026-11-21\"",
            ),
        ),
        ("run-vo2-max", "/run-vo2-max/dataPoints:reconcile", Some("1440"), Some("run_vo2_max.sample_time")),
        (
            "active-zone-minutes",
            "/active-zone-minutes/dataPoints:reconcile",
            Some("10000"),
            Some(
                "active_zone_minutes.interval.start_time >= \"2026-11-12T23:00:00Z\" AND active_zone_minutes.interval.start_time < \"2026-11-19T23:00:00Z\"",
            ),
        ),
    ];
    for (record, path, size, filter) in cases {
        let server = Server::new([ok(SETTINGS), ok("{}")]).await;
        assert!(texts(&read(&server, record, &week()).await.unwrap()).is_empty());
        let asked = &server.seen()[1];
        assert_eq!(asked.path, format!("/v4/users/me/dataTypes{path}"));
        assert_eq!(asked.query.get("pageSize").map(String::as_str), size, "{record}");
        match filter {
            Some(start) => assert!(asked.query["filter"].starts_with(start), "{:?}", asked.query),
            None => assert!(!asked.query.contains_key("filter")),
        }
        assert_eq!(
            asked.query.get("filter").is_some_and(|f| f.contains('<')),
            filter.is_some() && record != "electrocardiogram"
        );
    }
}

#[tokio::test]
async fn an_empty_page_with_a_token_is_not_the_end() {
    let server =
        Server::new([ok(SETTINGS), points(&[], "a"), points(&[], "b"), points(&[WEIGHT.into()], "")]).await;
    let pages = read(&server, "weight", &week()).await.unwrap();
    assert_eq!(pages.iter().map(|p| p.records).collect::<Vec<_>>(), [0, 0, 0, 1]);
    assert_eq!(server.seen()[3].query["pageToken"], "b");
}

#[tokio::test]
async fn a_days_minutes_come_in_one_part_over_whatever_pages() {
    // From the latest back, as Google does; the 14th in two pages, and one day without steps.
    let server = Server::new([
        ok(SETTINGS),
        points(&[minute("2026-11-19T22:59:00Z", 1), minute("2026-11-14T12:00:00Z", 2)], "p2"),
        points(&[], "p3"),
        points(
            &[minute("2026-11-13T23:00:00Z", 3), minute("2026-11-13T22:59:00Z", 4), r#"{"steps":{}}"#.into()],
            "",
        ),
    ])
    .await;
    let pages = read(&server, "steps", &week()).await.unwrap();
    assert_eq!(pages.iter().map(|p| p.parts.len()).collect::<Vec<_>>(), [0, 0, 0, 2]);
    assert_eq!(pages[3].records, 5);
    let [days, stray] = &pages[3].parts[..] else { panic!() };
    let expected = [
        minute("2026-11-13T22:59:00Z", 4),
        minute("2026-11-13T23:00:00Z", 3),
        minute("2026-11-14T12:00:00Z", 2),
        minute("2026-11-19T22:59:00Z", 1),
    ];
    assert_eq!(
        days.text.reveal().get(),
        format!(r#"{{"timeZone":"Europe/Amsterdam","dataPoints":[{}]}}"#, expected.join(","))
    );
    let covers = days.covers.unwrap();
    assert_eq!(
        (covers.start.to_string(), covers.end.to_string()),
        ("2026-11-12T23:00:00Z".into(), "2026-11-19T23:00:00Z".into()),
        "today is not over"
    );
    assert_eq!(
        (stray.text.reveal().get(), stray.covers),
        (r#"{"timeZone":"Europe/Amsterdam","dataPoints":[{"steps":{}}]}"#, None)
    );
}

#[tokio::test]
async fn large_days_are_parts_of_their_own() {
    let pad = "x".repeat(150);
    let mut all = Vec::new();
    for day in ["2026-11-18", "2026-11-17", "2026-11-16"] {
        all.extend((0..1440).rev().map(|n| {
            let start = format!("{day}T{:02}:{:02}:00Z", n / 60, n % 60);
            minute(&start, n).replace("\"3600s\"", &format!("\"3600s\",\"x\":\"{pad}\""))
        }));
    }
    let server = Server::new([ok(SETTINGS), points(&all[..2_000], "p2"), points(&all[2_000..], "")]).await;
    let pages = read(&server, "steps", &week()).await.unwrap();
    let parts = &pages[2].parts;
    assert_eq!(pages[2].records, 3 * 1440);
    let held: usize = parts.iter().map(|p| p.text.reveal().get().matches("\"count\"").count()).sum();
    assert_eq!(held, 3 * 1440);
    assert!(parts.len() >= 3 && parts.iter().all(|p| p.covers.is_some()), "{}", parts.len());
    for pair in parts.windows(2) {
        assert_eq!(pair[0].covers.unwrap().end, pair[1].covers.unwrap().start);
    }
}

#[tokio::test]
async fn nothing_is_asked_about_a_day_that_is_not_over() {
    let server = Server::new([ok(SETTINGS)]).await;
    let today = window("2026-11-20T08:00:00Z", "2026-11-20T08:15:00Z");
    for record in ["steps", "floors"] {
        let pages = read(&Server::new([ok(SETTINGS)]).await, record, &today).await.unwrap();
        assert!(texts(&pages).is_empty());
    }
    drop(server);
    // Yesterday is all of yesterday, whatever the window.
    let server = Server::new([ok(SETTINGS), ok("{}")]).await;
    read(&server, "steps", &window("2026-11-19T08:00:00Z", "2026-11-19T08:15:00Z")).await.unwrap();
    assert!(server.seen()[1].query["filter"].contains(r#">= "2026-11-18T23:00:00Z" AND"#));
}

#[tokio::test]
async fn totals_of_days_are_rolled_up_in_as_many_days_as_allowed() {
    let day = r#"{"civilStartTime":{"date":{"year":2026,"month":11,"day":14}},"civilEndTime":{"date":{"year":2026,"month":11,"day":15}},"totalCalories":{"kcalSum":2310.50}}"#;
    let rolled = ok(format!(r#"{{"rollupDataPoints":[{day}]}}"#));
    let server = Server::new([ok(SETTINGS), rolled.clone(), ok("{}")]).await;
    let month = window("2026-10-28T11:00:00Z", "2026-11-20T11:00:00Z");
    let pages = read(&server, "total-calories", &month).await.unwrap();
    assert_eq!(texts(&pages), [format!(r#"{{"timeZone":"Europe/Amsterdam","rollupDataPoints":[{day}]}}"#)]);
    let seen = server.seen();
    assert!(seen[1..].iter().all(|s| s.method == Method::POST
        && s.path == "/v4/users/me/dataTypes/total-calories/dataPoints:dailyRollUp"));
    let date =
        |month: u8, day: u8| serde_json::json!({ "date": { "year": 2026, "month": month, "day": day } });
    let range =
        |start, end| serde_json::json!({ "range": { "start": start, "end": end }, "windowSizeDays": 1 });
    assert_eq!(seen[1].json(), range(date(11, 6), date(11, 20)));
    assert_eq!(seen[2].json(), range(date(10, 28), date(11, 6)));

    let server = Server::new([ok(SETTINGS), rolled]).await;
    read(&server, "floors", &month).await.unwrap();
    let mut expected = range(date(10, 28), date(11, 20));
    expected["pageSize"] = 90.into();
    assert_eq!(server.seen()[1].json(), expected);
}

#[tokio::test]
async fn what_a_coarse_filter_let_through_is_left_out() {
    let ecg = |id: &str, start: &str| {
        format!(
            r#"{{"name":"{id}","electrocardiogram":{{"interval":{{"startTime":"{start}"}},"waveformSamples":[130,176]}}}}"#
        )
    };
    let all = [
        ecg("late", "2026-11-20T11:00:00Z"),
        ecg("in", "2026-11-20T10:59:59Z"),
        ecg("first", "2026-11-13T10:30:00Z"),
        r#"{"name":"odd"}"#.to_owned(),
    ];
    let server = Server::new([ok(SETTINGS), points(&all, "")]).await;
    let pages = read(&server, "electrocardiogram", &week()).await.unwrap();
    let text = texts(&pages).concat();
    assert!(
        !text.contains("late") && text.contains("\"in\"") && text.contains("first") && text.contains("odd"),
        "{text}"
    );
    assert_eq!(pages[1].records, 3);
}

#[tokio::test]
async fn waveforms_are_cut_into_small_parts() {
    let signal = vec!["-1017"; 7_500].join(",");
    let ecgs: Vec<String> = (0..5)
        .map(|n| format!(r#"{{"name":"{n}","electrocardiogram":{{"waveformSamples":[{signal}]}}}}"#))
        .collect();
    let server = Server::new([ok(SETTINGS), points(&ecgs, "")]).await;
    let pages = read(&server, "electrocardiogram", &week()).await.unwrap();
    assert_eq!(texts(&pages).len(), 3);
    assert!(texts(&pages).iter().all(|text| text.len() < 101 * 1024));
}

#[tokio::test]
async fn a_page_that_takes_too_long_is_begun_again_with_smaller_ones() {
    let slow = || refusal(504, "DEADLINE_EXCEEDED", "");
    let server = Server::new([
        ok(SETTINGS),
        points(&[minute("2026-11-18T12:00:00Z", 1)], "p2"),
        slow(),
        points(&[minute("2026-11-18T12:00:00Z", 1)], "q2"),
        points(&[minute("2026-11-14T12:00:00Z", 2)], ""),
    ])
    .await;
    let pages = read(&server, "steps", &week()).await.unwrap();
    assert_eq!(texts(&pages).len(), 1);
    assert_eq!(texts(&pages)[0].matches("count").count(), 2, "what the first walk brought is not kept");
    let seen = server.seen();
    let sizes: Vec<&str> = seen[1..].iter().map(|s| s.query["pageSize"].as_str()).collect();
    assert_eq!(sizes, ["10000", "10000", "5000", "5000"]);
    assert_eq!(seen[3].query.get("pageToken"), None);

    // In the end it is an error, which is tried again later.
    let server = Server::new([ok(SETTINGS), slow(), slow(), slow()]).await;
    let error = read(&server, "sleep", &week()).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry { after: None });
    let sizes: Vec<String> = server.seen()[1..].iter().map(|s| s.query["pageSize"].clone()).collect();
    assert_eq!(sizes, ["25", "12", "6"]);
}

#[tokio::test]
async fn without_the_settings_scope_nothing_is_known_of_the_zone() {
    let server = Server::new([
        refusal(403, "PERMISSION_DENIED", "ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
        points(&[WEIGHT.into()], ""),
    ])
    .await;
    let pages = read(&server, "weight", &week()).await.unwrap();
    assert!(texts(&pages)[0].starts_with(r#"{"timeZone":null,"dataPoints":["#));
}

#[tokio::test]
async fn pages_that_go_in_circles_end() {
    let server = Server::new([ok(SETTINGS), points(&[], "a"), points(&[], "a")]).await;
    let error = read(&server, "weight", &week()).await.unwrap_err();
    assert!(error.to_string().contains("circles"), "{error}");
}

#[tokio::test]
async fn changes_and_unknown_records_are_no_questions() {
    let server = Server::new([]).await;
    let since = Query::Since { since: now() };
    for (record, query) in [("weight", &since), ("blood-pressure", &week())] {
        let error = page(&adapter(), &app(&server), record, query, None).await.unwrap_err();
        assert!(matches!(error, ProviderError::Configuration { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_usual_records_are_read_again_for_what_comes_late() {
    let days = |record: &str| {
        let specs = adapter().records(&app_at(&[]).config, &[]);
        let spec = specs.iter().find(|spec| spec.record.as_str() == record).unwrap().clone();
        assert!(!spec.changes);
        (spec.overlap.as_secs() / 86_400, spec.align.map(|align| align.as_secs()))
    };
    for record in ["daily-resting-heart-rate", "steps", "floors"] {
        assert_eq!(days(record), (7, Some(86_400)), "{record}");
    }
    assert_eq!((days("sleep"), days("electrocardiogram"), days("weight")), ((7, None), (7, None), (3, None)));
}
