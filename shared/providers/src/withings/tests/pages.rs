//! Pages of getmeas.

use super::*;

async fn getmeas(server: &Server, page: Option<&PageToken>) -> Result<Page, ProviderError> {
    adapter().fetch(&app(server), &TOKEN.into(), &GETMEAS.parse().unwrap(), &window(), page).await
}

async fn fetched(reply: Reply) -> Result<Page, ProviderError> {
    getmeas(&Server::new([reply]).await, None).await
}

const PAGE: &str = r#"{"status":0,"body":{
 "updatetime":1704770000,"timezone":"Europe/Amsterdam","more":1,"offset":300,
 "measuregrps":[
  {"grpid":5149666502,"attrib":0,"date":1704769719,"created":1704769835,"modified":1704769835,"category":1,
   "deviceid":"51e8d0e7d16da9ff673accf10958ca94fea55d6e",
   "measures":[{"value":95854,"type":1,"unit":-3,"algo":218235904,"fm":3},{"value":72.10,"type":99,"unit":0}],
   "modelid":18,"model":"Body Comp","comment":null},
  {"grpid":2144622999,"attrib":2,"date":1704600000,"measures":[]}]}}"#;

#[tokio::test]
async fn a_page_is_asked_for_and_passes_through_as_text() {
    let last = r#"{"status":0,"body":{"updatetime":"1704770001","timezone":"Europe/Amsterdam","measuregrps":[{"grpid":1}]}}"#;
    let server = Server::new([ok(PAGE), ok(last)]).await;
    let first = getmeas(&server, None).await.unwrap();
    assert_eq!((first.records, first.parts.len()), (2, 1));
    assert_eq!(first.next, Some(PageToken("300".into())));
    assert_eq!(first.as_of, Instant::from_second(1_704_770_000).ok());
    let text = first.parts[0].text.reveal().get();
    let group = &PAGE[PAGE.find(r#"{"grpid":5149"#).unwrap()..PAGE.find(r#"]}}"#).unwrap()];
    let head = r#"{"status":0,"body":{"updatetime":1704770000,"timezone":"Europe/Amsterdam","measuregrps":["#;
    let without_layout = |text: &str| text.replace(",\n  {\"grpid\":2144622999", ",{\"grpid\":2144622999");
    assert_eq!(text, without_layout(&format!("{head}{group}]}}}}")));
    assert!(text.contains("72.10"));
    assert!(!format!("{first:?}").contains("95854"));

    let second = getmeas(&server, first.next.as_ref()).await.unwrap();
    assert_eq!((second.records, second.next), (1, None));
    assert_eq!(second.as_of, Instant::from_second(1_704_770_001).ok());

    let seen = server.seen();
    assert_eq!(seen[0].uri, "/measure", "nothing secret in an address");
    assert_eq!(seen[0].authorization.as_deref(), Some("Bearer acc3ssT0ken"));
    let asked =
        [("action", "getmeas"), ("category", "1"), ("startdate", "1704599999"), ("enddate", "1704800000")];
    assert_eq!(seen[0].form, form(&asked));
    assert_eq!(seen[1].form, form(&[&asked[..], &[("offset", "300")]].concat()));
}

#[tokio::test]
async fn changes_are_asked_for_by_the_providers_clock() {
    let server = Server::new([ok(r#"{"status":0,"body":{"updatetime":1,"measuregrps":[]}}"#)]).await;
    let query = Query::Since { since: Instant::from_second(1_704_770_000).unwrap() };
    adapter().fetch(&app(&server), &TOKEN.into(), &GETMEAS.parse().unwrap(), &query, None).await.unwrap();
    let asked = [("action", "getmeas"), ("category", "1"), ("lastupdate", "1704769999")];
    assert_eq!(server.seen()[0].form, form(&asked));
}

#[tokio::test]
async fn a_page_is_read_in_every_shape_it_has_been_seen_in() {
    let empty = [
        r#"{"status":0,"body":{"updatetime":1,"timezone":"Europe/Paris","measuregrps":[]}}"#,
        r#"{"status":"0","body":{"updatetime":"1","more":0,"offset":0}}"#,
        r#"{"body":{"updatetime":1,"more":false,"measuregrps":null,"timezone":null},"status":0}"#,
        r#"{"status":0,"body":{"updatetime":1,"more":"0","offset":null,"new":{"a":[]}},"new":1}"#,
    ];
    for body in empty {
        let page = fetched(ok(body)).await.unwrap();
        assert!(page.parts.is_empty() && page.records == 0 && page.next.is_none(), "{body}");
        assert_eq!(page.as_of.map(|t| t.as_second()), Some(1), "{body}");
    }
    let page = fetched(ok(r#"{"status":0,"body":[]}"#)).await.unwrap();
    assert!(page.parts.is_empty() && page.as_of.is_none());

    for more in ["1", "true", "\"1\"", "\"true\""] {
        let body =
            format!(r#"{{"status":0,"body":{{"more":{more},"offset":"50","measuregrps":[{{"grpid":1}}]}}}}"#);
        let page = fetched(ok(body)).await.unwrap();
        assert_eq!(page.next, Some(PageToken("50".into())), "{more}");
        assert_eq!(page.parts[0].text.reveal().get(), r#"{"status":0,"body":{"measuregrps":[{"grpid":1}]}}"#);
    }
}

#[tokio::test]
async fn a_full_page_is_cut_into_parts() {
    let groups: Vec<_> = (0..250).map(|n| format!(r#"{{"grpid":{n}}}"#)).collect();
    let page = fetched(ok(format!(r#"{{"status":0,"body":{{"measuregrps":[{}]}}}}"#, groups.join(","))))
        .await
        .unwrap();
    assert_eq!((page.records, page.parts.len()), (250, 3));
}

#[tokio::test]
async fn an_offset_that_stands_still_ends_the_loop() {
    for (offset, asked) in [("300", "300"), ("\"299\"", "300"), ("0", "0"), ("-5", "0")] {
        let body = format!(
            r#"{{"status":0,"body":{{"more":true,"offset":{offset},"measuregrps":[{{"grpid":1}}]}}}}"#
        );
        let server = Server::new([ok(body)]).await;
        let error = getmeas(&server, Some(&PageToken(asked.into()))).await.unwrap_err();
        assert!(error.to_string().contains("offset does not advance"), "{error}");
    }
    let error = fetched(ok(r#"{"status":0,"body":{"more":1,"measuregrps":[]}}"#)).await.unwrap_err();
    assert!(error.to_string().contains("no offset"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_position_only() {
    let unreadable = [
        ok("<!DOCTYPE html><title>Sign in 363</title>"),
        ok(""),
        ok("null"),
        ok("[]"),
        ok(r#"{"body":{"measuregrps":[]}}"#),
        ok(r#"{"status":"fine 363"}"#),
        ok(r#"{"status":null,"body":{}}"#),
        ok(r#"{"status":0}"#),
        ok(r#"[0,{"measuregrps":[]}]"#),
        ok(r#"{"status":0,"body":[95854]}"#),
        ok(r#"{"status":0,"body":"95854"}"#),
        ok(r#"{"status":0,"body":{"measuregrps":{"95854":1}}}"#),
        ok(r#"{"status":0,"body":{"measuregrps":[],"more":"95854x"}}"#),
        ok(PAGE.get(..PAGE.len() / 2).unwrap()),
        ok(PAGE.replace("95854", "95854x")),
        ok("{".repeat(5000)),
    ];
    for reply in unreadable {
        let what = reply.2.clone();
        let error = fetched(reply).await.unwrap_err();
        assert!(matches!(error, ProviderError::Malformed { .. }), "{what}: {error}");
        assert!(error.to_string().contains("measure getmeas"), "{error}");
        discreet(&error);
    }
    let error = fetched(ok(format!("{{\"status\":0,\"body\":\"{}\"}}", " ".repeat(crate::wire::MAX_ANSWER))))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("larger than"), "{error}");
}

#[tokio::test]
async fn a_refusal_says_what_helps() {
    let cases = [
        (
            ok(r#"{"status":401,"body":{},"error":"XRequestID: x The access token acc3ssT0ken is invalid"}"#),
            Remedy::Refresh,
        ),
        (ok(r#"{"status":"100"}"#), Remedy::Refresh),
        (Reply(StatusCode::UNAUTHORIZED, &[], r#"{"status":401}"#.into()), Remedy::Refresh),
        (Reply(StatusCode::UNAUTHORIZED, &[], String::new()), Remedy::Refresh),
        (ok(r#"{"status":601,"body":[]}"#), Remedy::SlowDown { after: Duration::from_secs(60) }),
        (
            Reply(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "30")], String::new()),
            Remedy::SlowDown { after: Duration::from_secs(30) },
        ),
        (ok(r#"{"status":522}"#), Remedy::Retry { after: None }),
        (ok(r#"{"status":503}"#), Remedy::Permanent),
        (ok(r#"{"status":424242}"#), Remedy::Retry { after: None }),
        (
            Reply(StatusCode::BAD_GATEWAY, &[("retry-after", "soon")], "<html>".into()),
            Remedy::Retry { after: None },
        ),
        (
            Reply(StatusCode::NOT_FOUND, &[], r#"{"status":0,"body":{"measuregrps":[]}}"#.into()),
            Remedy::Permanent,
        ),
    ];
    for (reply, remedy) in cases {
        let error = fetched(reply).await.unwrap_err();
        assert_eq!(error.remedy(), remedy, "{error}");
        assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
        discreet(&error);
    }
}
