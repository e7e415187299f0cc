//! Subscriptions.

use super::*;

fn callback() -> Url {
    Url::parse("https://ohx.example/webhook/withings/l1/t0k").unwrap()
}

async fn subscribed(server: &Server) -> Result<Subscriptions, ProviderError> {
    let mut app = app(server);
    app.config.records = vec![GETMEAS.parse().unwrap()];
    adapter().subscribe(&app, &[], &TOKEN.into(), subscriber(&callback())).await
}

const DONE: &str = r#"{"status":0,"body":{}}"#;

#[tokio::test]
async fn what_is_not_subscribed_yet_is() {
    let list = format!(
        r#"{{"status":0,"body":{{"profiles":[
            {{"appli":1,"callbackurl":"{0}","expires":2147483647,"comment":""}},
            {{"appli":"46","callbackurl":"{0}","expires":"2147483647","comment":null}},
            {{"appli":2,"callbackurl":"https://elsewhere.example/"}},
            {{"appli":63,"callbackurl":"{0}"}},
            {{"appli":4,"callbackurl":null}}]}}}}"#,
        callback()
    );
    let server = Server::new([ok(list), ok(DONE), ok(r#"{"status":0}"#)]).await;
    assert_eq!(subscribed(&server).await.unwrap(), Subscriptions { kept: 3, made: 2, refused: 0 });
    let seen = server.seen();
    assert!(
        seen.iter().all(|s| s.uri == "/notify" && s.authorization.as_deref() == Some("Bearer acc3ssT0ken"))
    );
    assert_eq!(seen[0].form, form(&[("action", "list")]));
    for (seen, appli) in seen[1..].iter().zip(["2", "4"]) {
        assert_eq!(
            seen.form,
            form(&[("action", "subscribe"), ("callbackurl", callback().as_str()), ("appli", appli)])
        );
    }
}

#[tokio::test]
async fn what_ends_soon_is_renewed() {
    let now = "2026-11-20T08:00:00Z".parse::<Instant>().unwrap().as_second();
    let profile = |appli: i64, days: i64| {
        format!(r#"{{"appli":{appli},"callbackurl":"{}","expires":{}}}"#, callback(), now + days * 86_400)
    };
    let profiles =
        [profile(1, 6), profile(2, 8), profile(4, -1), profile(46, 800), profile(63, 800)].join(",");
    let list = format!(r#"{{"status":0,"body":{{"profiles":[{profiles}]}}}}"#);
    let server = Server::new([ok(list), ok(DONE), ok(DONE)]).await;
    assert_eq!(subscribed(&server).await.unwrap(), Subscriptions { kept: 3, made: 2, refused: 0 });
    let asked: Vec<_> = server.seen().iter().skip(1).map(|s| s.form["appli"].clone()).collect();
    assert_eq!(asked, ["1", "4"]);
}

#[tokio::test]
async fn a_list_of_nothing_comes_in_many_shapes() {
    for list in
        [r#"{"status":0,"body":{"profiles":[]}}"#, r#"{"status":0,"body":[]}"#, r#"{"status":0}"#, DONE]
    {
        let server = Server::new([ok(list), ok(DONE), ok(DONE), ok(DONE), ok(DONE), ok(DONE)]).await;
        let made = Subscriptions { kept: 0, made: 5, refused: 0 };
        assert_eq!(subscribed(&server).await.unwrap(), made, "{list}");
    }
}

#[tokio::test]
async fn a_refused_callback_is_explained() {
    for status in [283, 286, 293] {
        let server = Server::new([ok(DONE), ok(format!(r#"{{"status":{status}}}"#))]).await;
        let error = subscribed(&server).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Permanent);
        assert!(
            error.to_string().contains("HEAD") && error.to_string().contains("notify subscribe (appli 1)"),
            "{error}"
        );
        discreet(&error);
    }
}

/// What each subscription of a server is answered, after the list of none.
async fn answered(
    statuses: &[(&str, i64)],
    records: &[&str],
) -> (Result<Subscriptions, ProviderError>, Vec<String>) {
    let replies = statuses.iter().map(|(_, status)| ok(format!(r#"{{"status":{status}}}"#)));
    let server = Server::new(std::iter::once(ok(DONE)).chain(replies)).await;
    let mut app = app(&server);
    app.config.records = records.iter().map(|r| r.parse().unwrap()).collect();
    let result = adapter().subscribe(&app, &[], &TOKEN.into(), subscriber(&callback())).await;
    let asked = server.seen().iter().skip(1).map(|s| s.form["appli"].clone()).collect();
    (result, asked)
}

#[tokio::test]
async fn what_push_works_without_may_be_refused() {
    // For good: the others are in force.
    let refused =
        [("1", 0), ("2", 0), ("4", 0), ("16", 0), ("44", 0), ("46", 277), ("54", 283), ("63", 2554)];
    let (result, asked) = answered(&refused, &[]).await;
    assert_eq!(result.unwrap(), Subscriptions { kept: 0, made: 5, refused: 3 });
    assert_eq!(asked, refused.map(|(appli, _)| appli));
    // What the patient or the plan does not allow holds up nothing else, whatever it is.
    let (result, _) =
        answered(&[("1", 277), ("2", 214), ("4", 2553), ("46", 0), ("63", 2555)], &["getmeas"]).await;
    assert_eq!(result.unwrap(), Subscriptions { kept: 0, made: 1, refused: 4 });
    // A silent callback is told, whichever topic it was.
    let (result, _) = answered(&[("1", 0), ("2", 0), ("4", 0), ("46", 293)], &["getmeas"]).await;
    assert!(result.is_err());
    // An outage is told, and so is a refused address.
    for status in [522, 293] {
        let (result, asked) = answered(&[("1", 0), ("2", 0), ("4", status)], &["getmeas"]).await;
        assert!(result.is_err(), "{status}");
        assert_eq!(asked, ["1", "2", "4"]);
    }
    let (result, _) = answered(&[("1", 0), ("2", 0), ("4", 0), ("46", 522)], &["getmeas"]).await;
    assert!(result.is_err());
}

#[tokio::test]
async fn topics_follow_the_scopes_and_the_records() {
    let asked = async |scopes: &[&str], granted: &[&str], records: &[&str]| -> Vec<String> {
        let server = Server::new(std::iter::repeat_n(ok(DONE), 10)).await;
        let mut app = app(&server);
        app.config.scopes = scopes.iter().map(|s| (*s).to_owned()).collect();
        app.config.records = records.iter().map(|r| r.parse().unwrap()).collect();
        let granted: Vec<String> = granted.iter().map(|s| (*s).to_owned()).collect();
        adapter().subscribe(&app, &granted, &TOKEN.into(), subscriber(&callback())).await.unwrap();
        server.seen().iter().skip(1).map(|s| s.form["appli"].clone()).collect()
    };
    assert_eq!(asked(&[], &[], &[]).await, ["1", "2", "4", "16", "44", "46", "54", "63"]);
    assert_eq!(asked(&[METRICS], &[], &[]).await, ["1", "2", "4", "54", "63"], "not asked for");
    assert_eq!(asked(&[], &[ACTIVITY], &[]).await, ["16", "44"], "not granted");
    assert_eq!(asked(&[], &[], &["sleep-get"]).await, ["44", "46", "62"], "not read");
}

fn subscriber(address: &Url) -> Subscriber<'_> {
    Subscriber {
        link: ohx_domain::LinkId::new(),
        address,
        app_address: address,
        now: "2026-11-20T08:00:00Z".parse().unwrap(),
    }
}
