//! Pages of measurement.

use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::Part;

const ROW: &str = r#"{"id":9007199254740993,"dateTime":"2026-10-04T05:41:10Z","dateTimeLocal":"2026-10-04T07:41:10","dateTimeUtcOffset":"+02:00","systolic": "128.0","diastolic":82,"bloodPressureUnits":"mmHg","pulse":67}"#;

async fn fetched(
    server: &Server,
    record: &str,
    query: &Query,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    adapter().fetch(&app(server), &TOKEN.into(), &record.parse().unwrap(), query, page).await
}

fn window() -> Query {
    between("2026-10-01T12:00:00Z", "2026-10-04T06:00:00Z")
}

async fn one(body: &str) -> Result<Page, ProviderError> {
    fetched(&scripted([ok(body)]).await, "bloodpressure", &window(), None).await
}

fn result(rest: &str) -> String {
    format!(r#"{{"status":0,"result":{{{rest}}}}}"#)
}

fn text(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(|part| part.text.reveal().get()).collect()
}

/// Every page of a query, and what was asked.
async fn all(replies: Vec<Reply>) -> (Vec<String>, Vec<BTreeMap<String, String>>) {
    let server = scripted(replies).await;
    let (mut texts, mut token) = (Vec::new(), None);
    loop {
        let page = fetched(&server, "bloodpressure", &window(), token.as_ref()).await.unwrap();
        texts.extend(text(&page.parts).into_iter().map(str::to_owned));
        token = page.next;
        if token.is_none() {
            return (texts, server.seen().into_iter().map(|seen| seen.form).collect());
        }
    }
}

#[test]
fn records_depend_on_the_app_and_on_what_was_granted() {
    let specs = |records: &[&str], scopes: &[&str], options: &[(&str, &str)]| {
        let mut app = app_with(&[], options);
        app.config.records = records.iter().map(|r| r.parse().unwrap()).collect();
        let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
        adapter().records(&app.config, &scopes)
    };
    let names = |records: &[&str], scopes: &[&str]| -> Vec<String> {
        specs(records, scopes, &[]).iter().map(|spec| spec.record.to_string()).collect()
    };
    assert_eq!(names(&[], &[]), ["bloodpressure", "weight", "activity"]);
    assert_eq!(names(&[], &["openid", "weight"]), ["weight"]);
    assert_eq!(names(&["oxygen", "weight"], &[]), ["weight", "oxygen"]);
    assert_eq!(names(RECORDS, &[]), crate::kind("omron").unwrap().records);
    let overlap = |options: &[(&str, &str)]| specs(&[], &[], options)[0].overlap.as_secs() / 86_400;
    assert_eq!([overlap(&[]), overlap(&[("overlap-days", "30")])], [14, 30]);
    assert!(specs(RECORDS, &[], &[]).iter().all(|spec| !spec.changes));
}

#[tokio::test]
async fn a_page_is_asked_for_and_passes_through_as_text() {
    let body =
        result(&format!(r#""truncated":false,"measurementCount":1,"bloodPressure":[ {ROW} ],"weight":null"#));
    let server = scripted([ok(body), ok(result(""))]).await;
    let page = fetched(&server, "bloodpressure", &window(), None).await.unwrap();
    assert_eq!(text(&page.parts), [format!(r#"{{"bloodPressure":[{ROW}]}}"#)]);
    assert_eq!((page.records, page.next, page.as_of), (1, None, None));
    assert!(page.parts.iter().all(|part| part.covers.is_none()));
    let page = fetched(&server, "activity", &window(), None).await.unwrap();
    assert!(page.parts.is_empty() && page.records == 0);
    let [pressure, activity] = &server.seen()[..] else { panic!() };
    assert_eq!(pressure.uri, "/stg/api/measurement", "nothing secret in an address");
    assert_eq!(pressure.authorization.as_deref(), Some("Bearer acc3ssT0ken"));
    assert_eq!(pressure.content_type, "application/x-www-form-urlencoded");
    let asked = [("since", "2026-09-30"), ("limit", "100"), ("sortOrder", "asc")];
    assert_eq!(pressure.form, form(&[&asked[..], &[("type", "bloodpressure")]].concat()));
    let hourly = [("type", "activity"), ("includeHourlyActivity", "true")];
    assert_eq!(activity.form, form(&[&asked[..], &hourly[..]].concat()));
}

#[tokio::test]
async fn what_cannot_be_asked_is_a_configuration_error() {
    let server = scripted([]).await;
    let since = Query::Since { since: at(NOW) };
    for (record, query) in [("sleep", window()), ("weight", since)] {
        let error = fetched(&server, record, &query, None).await.unwrap_err();
        assert!(matches!(error, ProviderError::Configuration { .. }), "{error}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_key_is_echoed_in_every_shape_it_has_been_seen_in() {
    let keys = [
        (
            r#""paginationKey":{"weightPaginationKey":"no","bloodpressurePaginationKey":1697040000123}"#,
            "1697040000123",
        ),
        (r#""paginationKey":{"bloodPressurePaginationKey":"a b&c"}"#, "a b&c"),
        (r#""paginationKey":"2026-10-03T00:00:00Z""#, "2026-10-03T00:00:00Z"),
        (r#""paginationKey":18446744073709551616"#, "18446744073709551616"),
        (r#""nextPaginationKey":"k1""#, "k1"),
    ];
    for (field, key) in keys {
        for truncated in [r#","truncated":true"#, r#","truncated":"true""#, ""] {
            let first = result(&format!(r#""bloodPressure":[{ROW}]{truncated},{field}"#));
            let last = result(r#""bloodPressure":[{"id":"2"}],"paginationKey":null,"truncated":false"#);
            let (texts, asked) = all(vec![ok(first), ok(last)]).await;
            assert_eq!(texts.len(), 2, "{field}");
            assert_eq!(asked[0].get("bloodpressurePaginationKey"), None);
            assert_eq!(asked[1]["bloodpressurePaginationKey"], key);
            assert_eq!(asked[1]["since"], "2026-09-30");
        }
    }
    // A page that says that it is the last may have a key all the same.
    for field in
        [r#""truncated":false,"paginationKey":"k""#, r#""paginationKey":{}"#, r#""paginationKey":"""#]
    {
        let page = one(&result(&format!(r#""bloodPressure":[{ROW}],{field}"#))).await.unwrap();
        assert_eq!(page.next, None, "{field}");
    }
    // But not a full one.
    let rows: Vec<String> = (0..100).map(|n| format!(r#"{{"id":{n}}}"#)).collect();
    let full =
        result(&format!(r#""bloodPressure":[{}],"truncated":false,"paginationKey":"k""#, rows.join(",")));
    assert!(one(&full).await.unwrap().next.is_some());
}

#[tokio::test]
async fn without_a_key_the_last_rows_day_is_where_to_go_on() {
    let row = |id: u32, day: u32| format!(r#"{{"id":{id},"dateTime":"2026-10-0{day}T05:00:00Z"}}"#);
    let page =
        |rows: &[String]| ok(result(&format!(r#""truncated":true,"bloodPressure":[{}]"#, rows.join(","))));
    let replies = vec![page(&[row(1, 1), row(2, 2)]), page(&[row(2, 2), row(3, 3)]), page(&[row(3, 3)])];
    let (texts, asked) = all(replies).await;
    let since: Vec<&str> = asked.iter().map(|form| form["since"].as_str()).collect();
    assert_eq!(since, ["2026-09-30", "2026-10-02", "2026-10-03"]);
    assert!(texts.iter().all(|text| text.matches("\"id\"").count() <= 2));
    let ids = texts.concat();
    assert!([1, 2, 3].iter().all(|id| ids.matches(&format!("\"id\":{id},")).count() == 1), "{ids}");
}

#[tokio::test]
async fn a_page_without_anything_new_is_the_last() {
    let page = || {
        ok(result(&format!(
            r#""truncated":true,"paginationKey":"same","bloodPressure":[{ROW},{{"systolic":1}},7]"#
        )))
    };
    let (texts, asked) = all(vec![page(), page()]).await;
    assert_eq!((texts.len(), asked.len()), (1, 2));
    let nothing = || ok(result(r#""truncated":true,"paginationKey":"k""#));
    assert_eq!(all(vec![nothing()]).await.1.len(), 1);
}

#[tokio::test]
async fn rows_are_kept_from_the_day_before_the_window_to_the_day_after_it() {
    let row = |id: u32, time: &str| format!(r#"{{"id":{id},{time}}}"#);
    let rows = [
        row(1, r#""dateTime":"2025-01-01T00:00:00Z""#),
        row(2, r#""dateTime":"2026-10-04T23:59:00Z""#),
        row(3, r#""dateTimeLocal":"2026-10-05T01:00:00""#),
        row(4, r#""dateTime":"2026-10-06T00:00:00Z""#),
        row(5, r#""dateTime":7"#),
        "\"no object\"".to_owned(),
    ];
    let body =
        result(&format!(r#""truncated":true,"paginationKey":"k","bloodPressure":[{}]"#, rows.join(",")));
    let page = one(&body).await.unwrap();
    let kept = [&rows[..3], &rows[4..]].concat().join(",");
    assert_eq!(
        text(&page.parts),
        [format!(r#"{{"bloodPressure":[{kept}]}}"#)],
        "what is unreadable is the mapping's to count"
    );
    assert_eq!((page.records, page.next), (5, None), "what lies behind the window is another's");
}

#[tokio::test]
async fn a_long_page_is_cut_into_parts() {
    let rows: Vec<String> = (0..120).map(|n| format!(r#"{{"id":{n}}}"#)).collect();
    let page = one(&result(&format!(r#""bloodPressure":[{}]"#, rows.join(",")))).await.unwrap();
    assert_eq!((page.records, page.parts.len()), (120, 3));
    let large = format!(r#"{{"id":1,"x":"{}"}}"#, "x".repeat(300_000));
    let page = one(&result(&format!(r#""bloodPressure":[{{"id":0}},{large},{{"id":2}}]"#))).await.unwrap();
    assert_eq!(page.parts.len(), 3);
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_position_only() {
    let good = result(&format!(r#""bloodPressure":[{ROW}]"#));
    let unreadable = [
        "<html>128</html>".into(),
        String::new(),
        "[]".into(),
        "{}".into(),
        r#"{"status":0}"#.into(),
        r#"{"status":0,"result":[128]}"#.into(),
        r#"{"status":0,"result":"128"}"#.into(),
        r#"{"status":"fine 128","result":{}}"#.into(),
        result(r#""bloodPressure":{"128":1}"#),
        result(r#""bloodPressure":"128""#),
        good[..good.len() / 2].to_owned(),
    ];
    for body in unreadable {
        let error = one(&body).await.unwrap_err();
        assert!(matches!(error, ProviderError::Malformed { .. }), "{body}: {error}");
        assert!(error.to_string().contains("measurement (bloodpressure)"), "{error}");
        discreet(&error);
    }
    assert_eq!(one(&good.replace("\"status\":0,", "")).await.unwrap().records, 1);
    assert_eq!(one(&good.replace("\"status\":0", "\"status\":\"0\"")).await.unwrap().records, 1);
}

#[tokio::test]
async fn a_refusal_says_what_helps() {
    let error = one(r#"{"status":12,"reason":"acc3ssT0ken of 7d1b is bad","errorCode":"E12","result":null}"#)
        .await
        .unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry { after: None });
    assert!(error.to_string().contains("status 12, errorCode e12"), "{error}");
    discreet(&error);
    let unauthorized = Reply(StatusCode::UNAUTHORIZED, &[], String::new());
    let server = scripted([unauthorized]).await;
    let error = fetched(&server, "weight", &window(), None).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Refresh);
    let busy = Reply(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "9")], String::new());
    let error = fetched(&scripted([busy]).await, "weight", &window(), None).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::SlowDown { after: Duration::from_secs(9) });
}

/// What a loopback server would answer, without one.
fn serve(rows: &[(u32, u32)], page_size: usize, asked: &BTreeMap<String, String>, keyed: bool) -> String {
    let since: u32 = asked["since"].rsplit('-').next().unwrap().parse().unwrap();
    let key: usize = asked.get("weightPaginationKey").map_or(0, |key| key.parse().unwrap());
    let found: Vec<_> = rows.iter().filter(|(day, _)| *day >= since).skip(key).collect();
    let page = &found[..page_size.min(found.len())];
    let texts: Vec<String> = page
        .iter()
        .map(|(day, id)| format!(r#"{{"dateTime":"2026-10-{day:02}T05:00:00Z","id":{id}}}"#))
        .collect();
    let truncated = found.len() > page.len();
    let key =
        if truncated && keyed { format!(r#","paginationKey":{}"#, key + page_size) } else { String::new() };
    result(&format!(r#""truncated":{truncated},"weight":[{}]{key}"#, texts.join(",")))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However the pages are cut, every row from the first day on arrives once, as it was written.
    #[test]
    fn every_row_arrives_once(
        days in prop::collection::vec(2_u32..28, 0..40), page_size in 5_usize..12, keyed in any::<bool>()
    ) {
        let mut days = days;
        days.sort_unstable();
        // Without a key, a day has to fit a page.
        let mut of_day = BTreeMap::<u32, usize>::new();
        days.retain(|day| {
            let count = of_day.entry(*day).or_default();
            *count += 1;
            keyed || *count < page_size
        });
        let rows: Vec<(u32, u32)> = days.iter().zip(1000..).map(|(day, id)| (*day, id)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let arrived = runtime.block_on(async {
            let query = between("2026-10-02T00:00:00Z", "2026-10-29T00:00:00Z");
            let (mut token, mut arrived) = (None, Vec::new());
            loop {
                // Asked once to learn the form, and once for the answer to it.
                let probe = scripted([ok(result(""))]).await;
                fetched(&probe, "weight", &query, token.as_ref()).await.unwrap();
                let body = serve(&rows, page_size, &probe.seen()[0].form, keyed);
                let page = fetched(&scripted([ok(body)]).await, "weight", &query, token.as_ref()).await.unwrap();
                for part in &page.parts {
                    let part: BTreeMap<String, Vec<Box<RawValue>>> = serde_json::from_str(part.text.reveal().get()).unwrap();
                    arrived.extend(part["weight"].iter().map(|row| row.get().to_owned()));
                }
                token = page.next;
                if token.is_none() {
                    return arrived;
                }
            }
        });
        let wanted: Vec<String> =
            rows.iter().map(|(day, id)| format!(r#"{{"dateTime":"2026-10-{day:02}T05:00:00Z","id":{id}}}"#)).collect();
        prop_assert_eq!(arrived, wanted);
    }
}
