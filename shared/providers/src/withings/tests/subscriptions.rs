//! Subscriptions.

use super::*;

fn callback() -> Url {
    Url::parse("https://ohx.example/webhook/withings/l1/t0k").unwrap()
}

async fn subscribed(server: &Server) -> Result<Subscriptions, ProviderError> {
    adapter().subscribe(&app(server), &TOKEN.into(), &callback()).await
}

const DONE: &str = r#"{"status":0,"body":{}}"#;

#[tokio::test]
async fn what_is_not_subscribed_yet_is() {
    let list = format!(
        r#"{{"status":0,"body":{{"profiles":[
            {{"appli":1,"callbackurl":"{0}","expires":2147483647,"comment":""}},
            {{"appli":"46","callbackurl":"{0}","expires":"2147483647","comment":null}},
            {{"appli":2,"callbackurl":"https://elsewhere.example/"}},
            {{"appli":4,"callbackurl":null}}]}}}}"#,
        callback()
    );
    let server = Server::new([ok(list), ok(DONE), ok(r#"{"status":0}"#)]).await;
    assert_eq!(subscribed(&server).await.unwrap(), Subscriptions { kept: 2, made: 2 });
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
async fn a_list_of_nothing_comes_in_many_shapes() {
    for list in
        [r#"{"status":0,"body":{"profiles":[]}}"#, r#"{"status":0,"body":[]}"#, r#"{"status":0}"#, DONE]
    {
        let server = Server::new([ok(list), ok(DONE), ok(DONE), ok(DONE), ok(DONE)]).await;
        assert_eq!(subscribed(&server).await.unwrap(), Subscriptions { kept: 0, made: 4 }, "{list}");
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

#[tokio::test]
async fn the_notification_of_leaving_is_a_convenience() {
    // Refused for good: the others are in force.
    let server = Server::new([ok(DONE), ok(DONE), ok(DONE), ok(DONE), ok(r#"{"status":277}"#)]).await;
    assert_eq!(subscribed(&server).await.unwrap(), Subscriptions { kept: 0, made: 3 });
    // An outage is told.
    let server = Server::new([ok(DONE), ok(DONE), ok(DONE), ok(DONE), ok(r#"{"status":522}"#)]).await;
    assert!(subscribed(&server).await.is_err());
    // Not asked for where the app does not ask for the scope.
    let server = Server::new([ok(DONE), ok(DONE), ok(DONE), ok(DONE)]).await;
    let mut app = app(&server);
    app.config.scopes = vec![METRICS.into()];
    let made = adapter().subscribe(&app, &TOKEN.into(), &callback()).await.unwrap();
    assert_eq!(made, Subscriptions { kept: 0, made: 3 });
}
