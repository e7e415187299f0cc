//! Codes and refresh tokens.

use super::*;

async fn refreshed(reply: Reply) -> Result<Grant, ProviderError> {
    let server = Server::new([reply]).await;
    adapter().refresh(&app(&server), &"0ldRefresh".into()).await
}

#[tokio::test]
async fn a_code_becomes_a_grant() {
    let server = Server::new([ok(GRANT)]).await;
    let grant =
        adapter().exchange_code(&app(&server), &"c0de".into(), &redirect(), &VERIFIER.into()).await.unwrap();
    assert_eq!(grant.access_token.expose_secret(), "a075f8c1");
    assert_eq!(grant.refresh_token.as_ref().unwrap().expose_secret(), "f631236f");
    assert_eq!(grant.expires_in, Duration::from_secs(10_800));
    assert_eq!(grant.scopes, ["user.info", "user.metrics"]);
    assert_eq!(grant.account.as_ref().map(|a| a.reveal().as_str()), Some("363"));
    assert!(!format!("{grant:?}").contains("363") && !format!("{grant:?}").contains("a075f8c1"));

    let seen = server.seen().remove(0);
    assert_eq!((seen.uri.as_str(), seen.authorization), ("/v2/oauth2", None));
    assert_eq!(seen.content_type, "application/x-www-form-urlencoded");
    let redirect = redirect();
    let expected = [
        ("action", "requesttoken"),
        ("grant_type", "authorization_code"),
        ("client_id", "abc123"),
        ("client_secret", SECRET),
        ("code", "c0de"),
        ("redirect_uri", redirect.as_str()),
    ];
    assert_eq!(seen.form, form(&expected));
}

#[tokio::test]
async fn a_refresh_token_becomes_the_next_pair() {
    let server = Server::new([ok(GRANT)]).await;
    adapter().refresh(&app(&server), &"0ldRefresh".into()).await.unwrap();
    let expected = [
        ("action", "requesttoken"),
        ("grant_type", "refresh_token"),
        ("client_id", "abc123"),
        ("client_secret", SECRET),
        ("refresh_token", "0ldRefresh"),
    ];
    assert_eq!(server.seen().remove(0).form, form(&expected));
}

#[tokio::test]
async fn a_grant_is_read_in_every_shape_it_has_been_seen_in() {
    // Numbers as text, text as numbers, no csrf_token, another content type.
    let odd = r#"{"status":"0","body":{"userid":363,"access_token":"a","refresh_token":"r","expires_in":"10800","scope":"user.info, user.metrics","token_type":"bearer","new":[1]}}"#;
    let odd = Reply(StatusCode::OK, &[("content-type", "text/html; charset=UTF-8")], odd.into());
    let grant = refreshed(odd).await.unwrap();
    assert_eq!(grant.account.map(|a| a.into_inner()), Some("363".to_owned()));
    assert_eq!(grant.scopes, ["user.info", "user.metrics"]);
    assert_eq!(grant.expires_in, Duration::from_secs(10_800));
    // The least there can be.
    let grant =
        refreshed(ok(r#"{"status":0,"body":{"access_token":"a","refresh_token":"r"}}"#)).await.unwrap();
    assert!(grant.account.is_none() && grant.scopes.is_empty());
    assert_eq!(grant.expires_in, ACCESS_TOKEN_DEFAULT);
}

const ACCESS_TOKEN_DEFAULT: Duration = Duration::from_secs(3 * 60 * 60);

#[tokio::test]
async fn only_a_dead_grant_asks_for_the_patient() {
    for status in [503, 342, 343, 303, 305, 100, 102, 200, 401] {
        let body = format!(r#"{{"status":{status},"body":{{}},"error":"XRequestID: 1 0ldRefresh is dead"}}"#);
        let error = refreshed(ok(body)).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Reauthorize, "{status}");
        assert!(error.to_string().contains(&format!("oauth2 requesttoken with status {status}:")), "{error}");
        discreet(&error);
    }
    let outages = [
        ok(r#"{"status":522}"#),
        ok(r#"{"status":"2556","body":[]}"#),
        ok("<html>maintenance</html>"),
        ok(""),
        ok(&GRANT[..90]),
        ok(r#"{"status":0}"#),
        ok(r#"{"status":0,"body":[]}"#),
        ok(r#"{"status":0,"body":{"access_token":"a075f8c1"}}"#),
        ok(r#"{"status":0,"body":{"access_token":["a075f8c1"],"refresh_token":"f631236f"}}"#),
        ok(r#"{"status":0,"body":{"access_token":"","refresh_token":"f631236f"}}"#),
        Reply(StatusCode::BAD_GATEWAY, &[], "<html>".into()),
        Reply(StatusCode::SERVICE_UNAVAILABLE, &[], r#"{"status":503}"#.into()),
        Reply(StatusCode::FORBIDDEN, &[], "no".into()),
        Reply(StatusCode::FOUND, &[("location", "https://elsewhere.example")], String::new()),
    ];
    for reply in outages {
        let what = reply.2.clone();
        let error = refreshed(reply).await.unwrap_err();
        assert!(matches!(error.remedy(), Remedy::Retry { .. }), "{what}: {error:?}");
        discreet(&error);
    }
    let pause = Remedy::SlowDown { after: Duration::from_secs(60) };
    for reply in [
        ok(r#"{"status":601}"#),
        ok(r#"{"status":602}"#),
        Reply(StatusCode::TOO_MANY_REQUESTS, &[], String::new()),
    ] {
        assert_eq!(refreshed(reply).await.unwrap_err().remedy(), pause);
    }
}
