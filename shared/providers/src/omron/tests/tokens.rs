//! Consent, codes, refresh tokens and their end.

use super::*;

fn grant(id_token: &str) -> String {
    format!(
        r#"{{"id_token":"{id_token}","access_token":"n3wAccess","expires_in":"7200","token_type":"Bearer","refresh_token":"n3wRefresh"}}"#
    )
}

fn claims(rest: &str) -> String {
    jwt(&format!(r#"{{"sub":"{SUB}"{rest}}}"#))
}

async fn exchanged(reply: Reply) -> Result<Grant, ProviderError> {
    let server = scripted([reply]).await;
    adapter().exchange_code(&app(&server), &"c0de".into(), &redirect(), &VERIFIER.into()).await
}

#[test]
fn the_patient_is_sent_to_the_consent_page() {
    let url = |app: &App| {
        adapter().authorize_url(app, &redirect(), "st/ate", &VERIFIER.into()).map(|url| {
            let pairs: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
            (url.as_str().split('?').next().unwrap().to_owned(), pairs)
        })
    };
    let (page, pairs) = url(&app_with(&[], &[])).unwrap();
    assert_eq!(page, "https://prd-oauth-website.ohiomron.com/connect/authorize");
    let redirect = redirect();
    let plain = [
        ("response_type", "code"),
        ("client_id", "abc123"),
        ("redirect_uri", redirect.as_str()),
        ("scope", "bloodpressure weight activity openid offline_access"),
        ("state", "st/ate"),
    ];
    let challenge = challenge(&VERIFIER.into());
    let pkce = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
    assert_eq!(pairs, form(&[&plain[..], &pkce[..]].concat()));
    let (page, pairs) =
        url(&app_with(&[("authorize", "https://stg-oauth-website.ohiomron.com")], &[("pkce", "off")]))
            .unwrap();
    assert_eq!(page, "https://stg-oauth-website.ohiomron.com/connect/authorize");
    assert_eq!(pairs, form(&plain));

    let mut app = app_with(&[], &[]);
    app.config.records = vec!["oxygen".parse().unwrap(), "temperature".parse().unwrap()];
    assert_eq!(url(&app).unwrap().1["scope"], "temperature oxygen openid offline_access");
    app.config.scopes = vec!["openid".into(), "oxygen".into()];
    assert_eq!(url(&app).unwrap().1["scope"], "openid oxygen offline_access");
    for options in [("pkce", "yes"), ("overlap-days", "0"), ("overlap-days", "a"), ("overlap-days", "91")] {
        let error = url(&app_with(&[], &[options])).unwrap_err();
        assert!(
            matches!(error, ProviderError::Configuration { .. }) && error.to_string().contains(options.0)
        );
    }
    let error = url(&app_with(&[("consent", "https://elsewhere.example")], &[])).unwrap_err();
    assert!(error.to_string().contains("authorize and api"), "{error}");
}

#[tokio::test]
async fn a_code_becomes_a_grant() {
    let server = scripted([ok(grant(&claims(r#","aud":"abc123","exp":1791100000"#))), ok(grant(""))]).await;
    let app = app(&server);
    let got = adapter().exchange_code(&app, &"c0de".into(), &redirect(), &VERIFIER.into()).await.unwrap();
    assert_eq!(got.account.as_ref().map(|a| a.reveal().as_str()), Some(SUB));
    assert_eq!(got.access_token.expose_secret(), "n3wAccess");
    assert_eq!(got.refresh_token.as_ref().unwrap().expose_secret(), "n3wRefresh");
    assert_eq!(got.expires_in, Duration::from_secs(7200));
    assert!(got.scopes.is_empty() && got.former.is_none());
    assert!(!format!("{got:?}").contains(SUB) && !format!("{got:?}").contains("n3wAccess"));

    adapter().refresh_at(&app, &"0ldRefresh".into(), &redirect()).await.unwrap();
    let [exchange, refresh] = &server.seen()[..] else { panic!() };
    assert_eq!((exchange.uri.as_str(), &exchange.authorization), ("/stg/connect/token", &None));
    assert_eq!(exchange.content_type, "application/x-www-form-urlencoded");
    let redirect = redirect();
    let client = [("client_id", "abc123"), ("client_secret", SECRET), ("redirect_uri", redirect.as_str())];
    let code = [
        ("grant_type", "authorization_code"),
        ("code", "c0de"),
        ("code_verifier", VERIFIER),
        ("scope", "bloodpressure weight activity openid offline_access"),
    ];
    assert_eq!(exchange.form, form(&[&client[..], &code[..]].concat()));
    let token = [("grant_type", "refresh_token"), ("refresh_token", "0ldRefresh")];
    assert_eq!(refresh.form, form(&[&client[..], &token[..]].concat()));
}

#[tokio::test]
async fn who_it_is_stands_in_a_token() {
    let account = |grant: Grant| grant.account.unwrap().into_inner();
    let good = [
        claims(""),
        claims(r#","aud":["else","abc123"]"#),
        claims(r#","exp":"1791100000""#),
        // A clock that is a little ahead.
        claims(&format!(r#","exp":{}"#, at(NOW).as_second() - 299)),
    ];
    for token in good {
        assert_eq!(account(exchanged(ok(grant(&token))).await.unwrap()), SUB);
    }
    let by_access = |claims: &str| {
        let access = jwt(claims);
        ok(format!(r#"{{"access_token":"{access}","refresh_token":"r","expiresIn":60,"id_token":"opaque"}}"#))
    };
    let cognito = format!(r#"{{"custom:userId":"{SUB}"}}"#);
    let grant_of = exchanged(by_access(&cognito)).await.unwrap();
    assert_eq!((account(grant_of.clone()), grant_of.expires_in), (SUB.to_owned(), Duration::from_secs(60)));
    let both = format!(r#"{{"custom:userId":"other","sub":"{SUB}"}}"#);
    assert_eq!(account(exchanged(by_access(&both)).await.unwrap()), SUB);

    let bad = [
        claims(r#","aud":"else""#),
        claims(r#","aud":["else"]"#),
        claims(&format!(r#","exp":{}"#, at(NOW).as_second() - 301)),
        jwt(r#"{"sub":""}"#),
        jwt("[]"),
        "a.b".into(),
        "a.b.c.d".into(),
        String::new(),
    ];
    for token in bad {
        let error = exchanged(ok(grant(&token))).await.unwrap_err();
        assert!(matches!(error, ProviderError::Malformed { .. }), "{token}: {error}");
        discreet(&error);
    }
}

#[tokio::test]
async fn a_refresh_is_never_spoilt_by_what_it_says_of_the_patient() {
    let replies =
        [grant("a.b.c"), grant(&claims(r#","aud":"else","exp":1"#)), r#"{"access_token":"a"}"#.into()];
    for (n, reply) in replies.into_iter().enumerate() {
        let server = scripted([ok(reply)]).await;
        let grant = adapter().refresh_at(&app(&server), &"0ldRefresh".into(), &redirect()).await.unwrap();
        assert_eq!(grant.refresh_token.is_some(), n < 2, "without one, the one before stays good");
        assert!(n < 2 || grant.expires_in == Duration::from_secs(3600));
    }
}

#[tokio::test]
async fn only_a_dead_grant_asks_for_the_patient() {
    let refused =
        |status: u16, body: &str| Reply(StatusCode::from_u16(status).unwrap(), &[], body.to_owned());
    let error = exchanged(refused(400, r#"{"error":"invalid_grant"}"#)).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Reauthorize);
    let error = exchanged(refused(400, r#"{"error":"invalid_client"}"#)).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Permanent);
    for (status, body) in [(500, ""), (403, "<html>"), (200, "<html>"), (200, "{}"), (200, "")] {
        let error = exchanged(refused(status, body)).await.unwrap_err();
        assert!(matches!(error.remedy(), Remedy::Retry { .. }), "{status} {body}: {error}");
        discreet(&error);
    }
}

#[tokio::test]
async fn a_grant_is_ended_as_far_as_that_can_be() {
    let empty = Reply(StatusCode::OK, &[], String::new());
    let server = scripted([empty.clone(), empty]).await;
    let revoke =
        async |server: &Server| adapter().revoke(&app(server), &TOKEN.into(), &"0ldRefresh".into()).await;
    assert!(revoke(&server).await.unwrap());
    let seen = server.seen();
    assert_eq!(seen[0].uri, "/stg/connect/revocation");
    let client = [("client_id", "abc123"), ("client_secret", SECRET)];
    let refresh = [("token", "0ldRefresh"), ("token_type_hint", "refresh_token")];
    assert_eq!(seen[0].form, form(&[&client[..], &refresh[..]].concat()));
    let access = [("token", TOKEN), ("token_type_hint", "access_token")];
    assert_eq!(seen[1].form, form(&[&client[..], &access[..]].concat()));
    for gone in [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED] {
        assert!(!revoke(&scripted([Reply(gone, &[], "x".into())]).await).await.unwrap());
    }
    let error = revoke(&scripted([Reply(StatusCode::BAD_GATEWAY, &[], "x".into())]).await).await.unwrap_err();
    discreet(&error);
}
