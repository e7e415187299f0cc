//! Every record: what is asked, and what of the answer goes on.

use serde_json::value::RawValue;

use super::*;
use crate::Part;

fn names(records: &[&str], scopes: &[&str]) -> Vec<String> {
    let mut app = app_at(&[]);
    app.config.records = records.iter().map(|r| r.parse().unwrap()).collect();
    let scopes: Vec<String> = scopes.iter().map(|s| (*s).to_owned()).collect();
    adapter().records(&app.config, &scopes).iter().map(|s| s.record.to_string()).collect()
}

#[test]
fn records_depend_on_the_app_and_on_what_was_granted() {
    let default = ["getmeas", "getactivity", "getworkouts", "sleep-getsummary", "heart-list", "heart-get"];
    assert_eq!(names(&[], &[]), default);
    assert_eq!(names(&[], &["user.info", "user.metrics", "user.activity"]), default);
    assert_eq!(names(&[], &["user.info", "user.metrics"]), ["getmeas", "heart-list", "heart-get"]);
    assert_eq!(names(&[], &["user.activity"]), ["getactivity", "getworkouts", "sleep-getsummary"]);
    assert!(names(&[], &["user.info"]).is_empty());
    assert_eq!(names(&["sleep-get", "getmeas"], &[]), ["getmeas", "sleep-get"]);
    assert_eq!(names(&["sleep-get", "getmeas"], &["user.metrics"]), ["getmeas"]);
    assert!(names(&["getsleep"], &[]).is_empty());
    assert_eq!(names(RECORDS, &[]), crate::kind("withings").unwrap().records);
    assert!(crate::kind("other").is_none());
}

#[tokio::test]
async fn what_is_no_record_or_cannot_be_asked_so_is_a_configuration_error() {
    let server = Server::new([]).await;
    let since = Query::Since { since: Instant::from_second(1_704_770_000).unwrap() };
    let mut refused = vec![("getsleep", window())];
    for spec in adapter().records(&app(&server).config, &[]).iter().filter(|spec| !spec.changes) {
        refused.push((if spec.record.as_str() == HEART_LIST { HEART_LIST } else { HEART_GET }, since));
    }
    refused.extend([(GETINTRADAYACTIVITY, since), (SLEEP_GET, since)]);
    assert_eq!(refused.len(), 5);
    for (record, query) in refused {
        let error = read(&server, record, &query, None).await.unwrap_err();
        assert!(matches!(error, ProviderError::Configuration { .. }), "{record}: {error}");
    }
    assert!(server.seen().is_empty());
}

async fn read(
    server: &Server,
    record: &str,
    query: &Query,
    page: Option<&PageToken>,
) -> Result<Page, ProviderError> {
    adapter().fetch(&app(server), &TOKEN.into(), &record.parse().unwrap(), query, page).await
}

fn texts(parts: &[Part]) -> Vec<&str> {
    parts.iter().map(|p| p.text.reveal().get()).collect()
}

fn fields(form: &BTreeMap<String, String>) -> Vec<&str> {
    form["data_fields"].split(',').collect()
}

const ACTIVITY_ROW: &str = r#"{"steps":1209,"distance":1028.5590,"deviceid":null,"timezone":"Europe/Amsterdam","date":"2023-10-20","modified":1697884856,"brand":18}"#;

#[tokio::test]
async fn civil_days_are_asked_for_widely_and_paged() {
    let services = [
        (GETACTIVITY, "/v2/measure", "getactivity", "activities", 16),
        (GETWORKOUTS, "/v2/measure", "getworkouts", "series", 24),
        (SLEEP_GETSUMMARY, "/v2/sleep", "getsummary", "series", 44),
    ];
    for (record, path, action, list, known) in services {
        let first =
            format!(r#"{{"status":0,"body":{{"{list}":[{ACTIVITY_ROW}],"more":true,"offset":300}}}}"#);
        let last = format!(r#"{{"status":0,"body":{{"{list}":[{ACTIVITY_ROW}],"more":false,"offset":0}}}}"#);
        let server =
            Server::new([ok(first), ok(last), ok(r#"{"status":0,"body":{"more":false,"offset":200}}"#)])
                .await;
        let page = read(&server, record, &window(), None).await.unwrap();
        assert_eq!(page.next, Some(PageToken("300".into())));
        assert_eq!((page.records, page.as_of), (1, None), "these answers tell no clock");
        let expected = format!(r#"{{"status":0,"body":{{"{list}":[{ACTIVITY_ROW}]}}}}"#);
        assert_eq!(texts(&page.parts), [expected.as_str()]);
        assert_eq!(page.parts[0].covers, None);
        let page = read(&server, record, &window(), page.next.as_ref()).await.unwrap();
        assert_eq!((page.records, page.next), (1, None));
        let since = Query::Since { since: Instant::from_second(1_704_770_000).unwrap() };
        let page = read(&server, record, &since, None).await.unwrap();
        assert!(page.parts.is_empty() && page.next.is_none());

        let mut seen = server.seen();
        for asked in &mut seen {
            assert_eq!(asked.uri, path);
            let fields: std::collections::BTreeSet<_> =
                fields(&asked.form).into_iter().map(str::to_owned).collect();
            assert_eq!(fields.len(), known, "{record}");
            asked.form.remove("data_fields");
        }
        let days = [("action", action), ("startdateymd", "2024-01-06"), ("enddateymd", "2024-01-10")];
        assert_eq!(seen[0].form, form(&days));
        assert_eq!(seen[1].form, form(&[&days[..], &[("offset", "300")]].concat()));
        assert_eq!(seen[2].form, form(&[("action", action), ("lastupdate", "1704769999")]));
    }
}

#[tokio::test]
async fn a_day_may_come_without_its_list() {
    let server =
        Server::new([ok(format!(r#"{{"status":0,"body":{{"activities":{ACTIVITY_ROW},"more":false}}}}"#))])
            .await;
    let page = read(&server, GETACTIVITY, &window(), None).await.unwrap();
    assert_eq!(texts(&page.parts), [format!(r#"{{"status":0,"body":{{"activities":[{ACTIVITY_ROW}]}}}}"#)]);
}

#[tokio::test]
async fn samples_are_asked_for_by_whole_hours_in_steps() {
    let answer = r#"{"status":0,"body":{"series":{"1704672001":{"heart_rate":63.0},"1704600000":{"steps":21,"duration":60}}}}"#;
    let empty = r#"{"status":0,"body":{"series":[]}}"#;
    let server = Server::new([ok(answer), ok(empty), ok(empty)]).await;
    let (mut token, mut parts, mut records) = (None, Vec::new(), 0);
    loop {
        let page = read(&server, GETINTRADAYACTIVITY, &window(), token.as_ref()).await.unwrap();
        parts.extend(page.parts);
        records += page.records;
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    let bounds: Vec<_> =
        server.seen().iter().map(|s| (s.form["startdate"].clone(), s.form["enddate"].clone())).collect();
    let expected = [("1704599999", "1704682800"), ("1704682799", "1704765600"), ("1704765599", "1704801600")];
    assert_eq!(bounds, expected.map(|(from, to)| (from.to_owned(), to.to_owned())));
    let expected = r#"{"status":0,"body":{"series":{"1704600000":{"steps":21,"duration":60},"1704672001":{"heart_rate":63.0}}}}"#;
    assert_eq!((texts(&parts), records), (vec![expected], 2));
    let hours =
        |start, end| Interval::new(Instant::from_second(start).unwrap(), Instant::from_second(end).unwrap());
    assert_eq!(parts[0].covers, hours(1_704_600_000, 1_704_682_800));
    let seen = server.seen();
    assert_eq!(seen[0].uri, "/v2/measure");
    assert_eq!(fields(&seen[0].form).len(), 15);
}

#[tokio::test]
async fn nights_are_asked_for_with_room_on_both_sides() {
    let inside = r#"{"startdate":1704600000,"state":0,"enddate":1704600120,"hr":{"1704600000":70}}"#;
    let before = r#"{"startdate":1704599999,"state":1,"enddate":1704600000}"#;
    let answer = format!(r#"{{"status":0,"body":{{"model":32,"series":[{inside},{before}]}}}}"#);
    let replies = std::iter::once(ok(answer))
        .chain((0..2).map(|_| ok(r#"{"status":0,"body":{"series":[],"model":32}}"#)));
    let server = Server::new(replies).await;
    let first = read(&server, SLEEP_GET, &window(), None).await.unwrap();
    assert_eq!(texts(&first.parts), [format!(r#"{{"status":0,"body":{{"model":32,"series":[{inside}]}}}}"#)]);
    let second = read(&server, SLEEP_GET, &window(), first.next.as_ref()).await.unwrap();
    let third = read(&server, SLEEP_GET, &window(), second.next.as_ref()).await.unwrap();
    assert_eq!((first.records, second.records, third.next), (1, 0, None));
    let seen = server.seen();
    let bounds: Vec<_> =
        seen.iter().map(|s| (s.form["startdate"].as_str(), s.form["enddate"].as_str())).collect();
    assert_eq!(
        bounds,
        [("1704592800", "1704679200"), ("1704664800", "1704751200"), ("1704736800", "1704807200")]
    );
    assert_eq!((seen[0].uri.as_str(), seen[0].form["action"].as_str()), ("/v2/sleep", "get"));
    assert_eq!(fields(&seen[0].form).len(), 10);
}

#[tokio::test]
async fn an_ecg_is_its_entry_and_its_signal() {
    let entry =
        |n: u32| format!(r#"{{ "deviceid":"d","ecg":{{"signalid":{n},"afib":0}},"timestamp":15941596{n} }}"#);
    let cuff = r#"{"deviceid":"d","bloodpressure":{"diastole":79,"systole":118},"timestamp":1594159644}"#;
    let pages = [
        format!(
            r#"{{"status":0,"body":{{"series":[{},{cuff},{}],"more":true,"offset":3}}}}"#,
            entry(48),
            entry(49)
        ),
        format!(r#"{{"status":0,"body":{{"series":[{cuff}],"more":true,"offset":4}}}}"#),
        format!(r#"{{"status":0,"body":{{"series":[{}],"more":false,"offset":0}}}}"#, entry(50)),
    ];
    let signal = |n: u32| format!(r#"{{"signal":[12,15,-{n}], "sampling_frequency":300}}"#);
    let get = |n: u32| ok(format!(r#"{{"status":0,"body":{}}}"#, signal(n)));
    let replies = [ok(&pages[0]), get(48), get(49), ok(&pages[1]), ok(&pages[2]), get(50)];
    let server = Server::new(replies).await;
    let (mut token, mut parts) = (None, Vec::new());
    for calls in 1.. {
        let page = read(&server, HEART_GET, &window(), token.as_ref()).await.unwrap();
        assert_eq!(server.seen().len(), calls, "one call a step, for the quota");
        assert!(!format!("{page:?}").contains("afib"));
        parts.extend(page.parts);
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    let expected: Vec<_> =
        [48, 49, 50].map(|n| format!(r#"{{"list":{},"get":{}}}"#, entry(n), signal(n))).into();
    assert_eq!(texts(&parts), expected);
    let seen = server.seen();
    assert!(seen.iter().all(|s| s.uri == "/v2/heart"));
    let bounds = [("action", "list"), ("startdate", "1704599999"), ("enddate", "1704800000")];
    assert_eq!(seen[0].form, form(&bounds));
    assert_eq!(seen[1].form, form(&[("action", "get"), ("signalid", "48")]));
    assert_eq!(seen[3].form, form(&[&bounds[..], &[("offset", "3")]].concat()));

    // The list itself holds what has no signal, too.
    let server = Server::new([ok(&pages[0]), ok(r#"{"status":0,"body":{"series":[]}}"#)]).await;
    let page = read(&server, HEART_LIST, &window(), None).await.unwrap();
    assert_eq!((page.records, page.next), (3, Some(PageToken("3".into()))));
    assert_eq!(
        texts(&page.parts),
        [format!(r#"{{"status":0,"body":{{"series":[{},{cuff},{}]}}}}"#, entry(48), entry(49))]
    );
    let none = read(&server, HEART_GET, &window(), None).await.unwrap();
    assert!(none.parts.is_empty() && none.next.is_none());
}

#[tokio::test]
async fn a_plan_without_variability_is_asked_once_more_without_it() {
    let premium = |name: &&str| {
        ["rmssd", "sdnn1", "sdnn_1", "hrv_quality", "rmssd_start_avg", "rmssd_end_avg"].contains(name)
    };
    let cases = [
        (GETINTRADAYACTIVITY, 3, "\"series\":[]"),
        (SLEEP_GET, 3, "\"series\":[]"),
        (SLEEP_GETSUMMARY, 2, "\"more\":0"),
    ];
    for (record, dropped, body) in cases {
        let done = format!(r#"{{"status":0,"body":{{{body}}}}}"#);
        let server = Server::new([ok(r#"{"status":2555}"#), ok(&done), ok(&done)]).await;
        read(&server, record, &window(), None).await.unwrap();
        read(&server, record, &window(), None).await.unwrap();
        let seen = server.seen();
        let asked: Vec<_> = seen.iter().map(|s| fields(&s.form)).collect();
        assert_eq!(asked[0].iter().filter(|f| premium(f)).count(), dropped, "{record}");
        assert_eq!(asked[1].len(), asked[0].len() - dropped);
        assert_eq!(asked[1].iter().filter(|f| premium(f)).count(), 0);
        assert_eq!(asked[2], asked[0], "nothing is remembered");
    }
    // Nothing to leave out, or refused without it: that is the answer.
    for (record, calls) in [(GETACTIVITY, 1), (SLEEP_GET, 2), (HEART_LIST, 1)] {
        let server = Server::new(std::iter::repeat_n(ok(r#"{"status":2555}"#), 3)).await;
        let error = read(&server, record, &window(), None).await.unwrap_err();
        assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
        assert_eq!(server.seen().len(), calls, "{record}");
    }
    let server = Server::new([ok(r#"{"status":2555}"#), ok(r#"{"status":601}"#)]).await;
    let error = read(&server, SLEEP_GET, &window(), None).await.unwrap_err();
    assert!(matches!(error.remedy(), Remedy::SlowDown { .. }));
}

#[tokio::test]
async fn what_is_not_granted_is_told_from_what_fails() {
    for record in RECORDS {
        for status in [214, 277, 2553, 2555] {
            let server = Server::new(std::iter::repeat_n(ok(format!(r#"{{"status":{status}}}"#)), 2)).await;
            let error = read(&server, record, &window(), None).await.unwrap_err();
            assert!(matches!(error, ProviderError::NotGranted { .. }), "{record} {status}: {error}");
            assert_eq!(error.remedy(), Remedy::Permanent);
            assert!(error.to_string().contains(&format!("status {status}")), "{error}");
            discreet(&error);
        }
        let server = Server::new([ok(r#"{"status":503}"#)]).await;
        let error = read(&server, record, &window(), None).await.unwrap_err();
        assert!(matches!(error, ProviderError::Refused { .. }), "{record}: {error}");
    }
}

/// Every record, whatever comes: an answer or an error that repeats nothing of it.
#[tokio::test]
async fn what_cannot_be_read_of_any_record_is_told_by_position_only() {
    for record in RECORDS {
        for body in
            [r#""95854""#, r#"{"series":"95854","activities":"95854","measuregrps":"95854"}"#, "[95854]", "7"]
        {
            let server = Server::new([ok(format!(r#"{{"status":0,"body":{body}}}"#))]).await;
            let error = read(&server, record, &window(), None).await.unwrap_err();
            assert!(matches!(error, ProviderError::Malformed { .. }), "{record} {body}: {error}");
            discreet(&error);
        }
        let server = Server::new([ok(r#"{"status":0}"#)]).await;
        assert!(read(&server, record, &window(), None).await.is_err());
    }
    // A signal without a body, and a token of another run.
    let list = r#"{"status":0,"body":{"series":[{"ecg":{"signalid":48}}]}}"#;
    let server = Server::new([ok(list), ok(r#"{"status":0}"#)]).await;
    let page = read(&server, HEART_GET, &window(), None).await.unwrap();
    assert!(read(&server, HEART_GET, &window(), page.next.as_ref()).await.is_err());
    let strange = PageToken("95854".into());
    discreet(&read(&server, HEART_GET, &window(), Some(&strange)).await.unwrap_err());
    assert!(RawValue::from_string(page.next.unwrap().0).is_ok());
}
