//! Consent, tokens and identity.

use super::*;

const GRANT: &str = r#"{"access_token":"ya29.acc3ssT0ken","expires_in":3599,"refresh_token":"1//r3fresh","scope":"https://www.googleapis.com/auth/googlehealth.sleep.readonly https://www.googleapis.com/auth/googlehealth.settings.readonly","token_type":"Bearer","refresh_token_expires_in":604799}"#;
const IDENTITY: &str =
    r#"{"name":"users/me/identity","healthUserId":"111111256096816351","legacyUserId":"A1B2C3"}"#;

async fn exchange(server: &Server) -> Result<Grant, ProviderError> {
    adapter().exchange_code(&app(server), &"4/c0de".into(), &redirect(), &VERIFIER.into()).await
}

#[test]
fn the_patient_is_sent_to_the_consent_page() {
    let url = adapter().authorize_url(&app_at(&[]), &redirect(), "st/ate", &VERIFIER.into()).unwrap();
    assert_eq!(url.as_str().split('?').next(), Some("https://accounts.google.com/o/oauth2/v2/auth"));
    let prefix = "https://www.googleapis.com/auth/googlehealth.";
    let scopes = ["activity_and_fitness", "health_metrics_and_measurements", "sleep", "ecg", "settings"]
        .map(|scope| format!("{prefix}{scope}.readonly"))
        .join(" ");
    let expected = map(&[
        ("client_id", "123.apps.googleusercontent.com"),
        ("redirect_uri", redirect().as_str()),
        ("response_type", "code"),
        ("scope", &scopes),
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("state", "st/ate"),
        // RFC 7636, appendix B.
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
    ]);
    assert_eq!(url.query_pairs().into_owned().collect::<BTreeMap<_, _>>(), expected);

    // Only what is read is asked for, unless the app says otherwise.
    let mut app = app_at(&[("accounts", "https://sim.example/google/")]);
    app.config.records = vec!["weight".parse().unwrap()];
    let scope = |app: &App| {
        let url = adapter().authorize_url(app, &redirect(), "s", &VERIFIER.into()).unwrap();
        assert!(url.as_str().starts_with("https://sim.example/google/o/oauth2/v2/auth?"), "{url}");
        url.query_pairs().find(|(k, _)| k == "scope").unwrap().1.into_owned()
    };
    assert_eq!(
        scope(&app),
        format!("{prefix}health_metrics_and_measurements.readonly {prefix}settings.readonly")
    );
    app.config.scopes = vec!["openid".into(), "email".into()];
    assert_eq!(scope(&app), "openid email");
}

#[tokio::test]
async fn a_code_becomes_tokens_of_a_person_who_is_known_at_both_services() {
    let server = Server::new([ok(GRANT), ok(IDENTITY)]).await;
    let grant = exchange(&server).await.unwrap();
    use secrecy::ExposeSecret as _;
    assert_eq!(grant.access_token.expose_secret(), TOKEN);
    assert_eq!(grant.refresh_token.unwrap().expose_secret(), "1//r3fresh");
    assert_eq!(grant.expires_in, Duration::from_secs(3599));
    assert_eq!(grant.account.unwrap().reveal(), "111111256096816351");
    let (kind, former) = grant.former.unwrap();
    assert_eq!((kind, former.reveal().as_str()), ("fitbit-legacy", "A1B2C3"));
    assert_eq!(grant.scopes.len(), 2);
    let seen = server.seen();
    assert_eq!(
        (seen[0].path.as_str(), &seen[0].authorization),
        ("/token", &None),
        "the secret goes in the body"
    );
    assert_eq!(
        seen[0].form,
        map(&[
            ("grant_type", "authorization_code"),
            ("code", "4/c0de"),
            ("client_id", "123.apps.googleusercontent.com"),
            ("client_secret", SECRET),
            ("redirect_uri", redirect().as_str()),
            ("code_verifier", VERIFIER),
        ])
    );
    assert_eq!(seen[1].path, "/v4/users/me/identity");
    assert_eq!(seen[1].authorization.as_deref(), Some("Bearer ya29.acc3ssT0ken"));

    let newcomer = Server::new([ok(GRANT), ok(r#"{"healthUserId":7}"#)]).await;
    let grant = exchange(&newcomer).await.unwrap();
    assert_eq!((grant.account.unwrap().reveal().as_str(), grant.former), ("7", None));
}

#[tokio::test]
async fn an_account_without_a_profile_is_told_where_to_sign_up() {
    let server = Server::new([ok(GRANT), refusal(400, "FAILED_PRECONDITION", "ACCOUNT_NOT_LINKED")]).await;
    let error = exchange(&server).await.unwrap_err();
    assert!(matches!(error, ProviderError::AccountNotLinked { .. }), "{error}");
    assert!(error.to_string().contains("https://fitbit.google.com/auth/signup"), "{error}");
    assert_eq!(error.remedy(), Remedy::Reauthorize);
    discreet(&error);
}

#[tokio::test]
async fn a_refresh_brings_no_refresh_token() {
    let server = Server::new([ok(
        r#"{"access_token":"ya29.next","expires_in":3599,"scope":"a b","token_type":"Bearer"}"#,
    )])
    .await;
    let grant = adapter().refresh(&app(&server), &"1//r3fresh".into()).await.unwrap();
    assert!(grant.refresh_token.is_none() && grant.account.is_none());
    assert_eq!(grant.scopes, ["a", "b"]);
    assert_eq!(
        server.seen()[0].form,
        map(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", "1//r3fresh"),
            ("client_id", "123.apps.googleusercontent.com"),
            ("client_secret", SECRET),
        ])
    );
}

#[tokio::test]
async fn what_helps_against_a_refused_refresh() {
    let cases = [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
            Remedy::Reauthorize,
        ),
        (
            401,
            r#"{"error":"invalid_client","error_description":"The OAuth client was not found."}"#,
            Remedy::Permanent,
        ),
        (503, "<html>", Remedy::Retry { after: None }),
    ];
    for (status, body, remedy) in cases {
        let server = Server::new([Reply(StatusCode::from_u16(status).unwrap(), &[], body.into())]).await;
        let error = adapter().refresh(&app(&server), &"1//r3fresh".into()).await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{error}");
        discreet(&error);
    }
}

#[tokio::test]
async fn a_grant_is_ended_and_a_dead_one_is_as_good() {
    for reply in [ok(""), Reply(StatusCode::BAD_REQUEST, &[], r#"{"error":"invalid_token"}"#.into())] {
        let server = Server::new([reply]).await;
        assert!(adapter().revoke(&app(&server), &TOKEN.into(), &"1//r3fresh".into()).await.unwrap());
        let seen = server.seen().remove(0);
        assert_eq!((seen.path.as_str(), seen.form), ("/revoke", map(&[("token", "1//r3fresh")])));
    }
    let server = Server::new([Reply(StatusCode::BAD_GATEWAY, &[], String::new())]).await;
    let error = adapter().revoke(&app(&server), &TOKEN.into(), &"1//r3fresh".into()).await.unwrap_err();
    assert_eq!(error.remedy(), Remedy::Retry { after: None });
}

#[test]
fn records_follow_what_was_granted() {
    let granted = |scopes: &[&str], named: &[&str]| -> Vec<String> {
        let mut app = app_at(&[]);
        app.config.records = named.iter().map(|name| name.parse().unwrap()).collect();
        let prefix = "https://www.googleapis.com/auth/googlehealth.";
        let scopes: Vec<String> = scopes.iter().map(|s| format!("{prefix}{s}.readonly")).collect();
        adapter().records(&app.config, &scopes).iter().map(|spec| spec.record.to_string()).collect()
    };
    assert_eq!(granted(&[], &[]).len(), 23, "all but the three of samples");
    assert_eq!(granted(&["sleep", "settings"], &[]), ["sleep"]);
    assert_eq!(granted(&["ecg"], &[]), ["electrocardiogram"]);
    let vo2 = ["daily-vo2-max", "run-vo2-max", "vo2-max"];
    assert_eq!(granted(&["activity_and_fitness"], &vo2), vo2);
    assert_eq!(granted(&["health_metrics_and_measurements"], &vo2), vo2);
    assert_eq!(granted(&["sleep"], &vo2), [""; 0]);
    assert_eq!(granted(&["health_metrics_and_measurements"], &["heart-rate", "steps"]), ["heart-rate"]);
    assert_eq!(granted(&["nutrition"], &[]), [""; 0]);
}

#[tokio::test]
async fn devices_are_listed_over_all_pages() {
    let first = r#"{"pairedDevices":[{"name":"users/111111256096816351/pairedDevices/123","deviceType":"TRACKER","deviceVersion":"Charge 6","batteryStatus":"High","batteryLevel":84,"lastSyncTime":"2026-11-20T21:14:03Z","macAddress":"AABBCCDDEEFF","features":["STEPS"]},{"name":7}],"nextPageToken":"p2"}"#;
    let second = r#"{"pairedDevices":[{"name":"users/1/pairedDevices/9","batteryLevel":"101","lastSyncTime":"lately"}],"nextPageToken":""}"#;
    let server = Server::new([ok(first), ok(second)]).await;
    let devices = adapter().devices(&app(&server), &TOKEN.into()).await.unwrap();
    assert_eq!(
        devices,
        [
            PairedDevice {
                id: "123".into(),
                reading_id: Some("Charge 6".into()),
                kind: Some("TRACKER".into()),
                model: Some("Charge 6".into()),
                battery_percent: Some(84),
                last_sync: Some("2026-11-20T21:14:03Z".parse().unwrap()),
                ..PairedDevice::default()
            },
            PairedDevice { id: "9".into(), ..PairedDevice::default() },
        ]
    );
    let seen = server.seen();
    assert_eq!(
        (seen[0].path.as_str(), &seen[0].query),
        ("/v4/users/me/pairedDevices", &map(&[("pageSize", "100")]))
    );
    assert_eq!(seen[1].query, map(&[("pageSize", "100"), ("pageToken", "p2")]));
    let server = Server::new([ok("{}")]).await;
    assert!(adapter().devices(&app(&server), &TOKEN.into()).await.unwrap().is_empty());
}

#[tokio::test]
async fn base_urls_that_cannot_work_are_named() {
    for (name, url) in
        [("apu", "https://x.example"), ("api", "ftp://x.example"), ("keyset", "mailto:a@x.example")]
    {
        let error = adapter().refresh(&app_at(&[(name, url)]), &"r".into()).await.unwrap_err();
        assert!(error.to_string().contains(&format!("base_urls.{name}")), "{error}");
        assert_eq!(error.remedy(), Remedy::Permanent);
    }
}
