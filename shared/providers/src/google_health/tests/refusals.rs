//! Errors: what each means, and what helps.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

async fn fetched(reply: Reply) -> ProviderError {
    let server = Server::new([ok(SETTINGS), reply]).await;
    read(&server, "weight", &window("2026-11-13T10:30:00Z", "2026-11-20T11:00:00Z")).await.unwrap_err()
}

#[tokio::test]
async fn a_refusal_says_what_helps() {
    let retry = Remedy::Retry { after: None };
    let minute = Remedy::SlowDown { after: Duration::from_secs(60) };
    let late = |reply: Reply, headers| Reply(reply.0, headers, reply.2);
    let cases = [
        (refusal(401, "UNAUTHENTICATED", ""), Remedy::Refresh),
        (Reply(StatusCode::UNAUTHORIZED, &[], String::new()), Remedy::Refresh),
        (refusal(400, "INVALID_ARGUMENT", "INVALID_TIME_RANGE"), Remedy::Permanent),
        (refusal(400, "INVALID_ARGUMENT", ""), Remedy::Permanent),
        (refusal(404, "NOT_FOUND", ""), Remedy::Permanent),
        (refusal(429, "RESOURCE_EXHAUSTED", "RATE_LIMIT_EXCEEDED"), minute),
        (refusal(403, "RESOURCE_EXHAUSTED", ""), minute),
        (
            late(refusal(429, "RESOURCE_EXHAUSTED", ""), &[("retry-after", "7")]),
            Remedy::SlowDown { after: Duration::from_secs(7) },
        ),
        (
            late(refusal(429, "RESOURCE_EXHAUSTED", ""), &[("retry-after", "999999")]),
            Remedy::SlowDown { after: Duration::from_secs(3600) },
        ),
        (refusal(500, "INTERNAL", ""), retry),
        (refusal(503, "UNAVAILABLE", ""), retry),
        (
            Reply(StatusCode::BAD_GATEWAY, &[("retry-after", "30")], "<html>".into()),
            Remedy::Retry { after: Some(Duration::from_secs(30)) },
        ),
        (Reply(StatusCode::FORBIDDEN, &[], "<html>".into()), retry),
        (Reply(StatusCode::FOUND, &[("location", "http://portal.example/")], String::new()), retry),
    ];
    for (reply, remedy) in cases {
        let (status, body) = (reply.0, reply.2.clone());
        let error = fetched(reply).await;
        assert!(matches!(error, ProviderError::Refused { .. }), "{error}");
        assert_eq!(error.remedy(), remedy, "{status} {body}: {error}");
        assert!(error.to_string().contains("weight list"), "{error}");
        discreet(&error);
    }
    let disabled = fetched(refusal(403, "PERMISSION_DENIED", "SERVICE_DISABLED")).await;
    assert_eq!(disabled.remedy(), Remedy::Permanent);
    assert!(disabled.to_string().contains("enable health.googleapis.com"), "{disabled}");
    for reason in ["ACCESS_TOKEN_SCOPE_INSUFFICIENT", ""] {
        let error = fetched(refusal(403, "PERMISSION_DENIED", reason)).await;
        assert!(matches!(error, ProviderError::NotGranted { .. }), "{error}");
        discreet(&error);
    }
    let unlinked = fetched(refusal(400, "FAILED_PRECONDITION", "ACCOUNT_NOT_LINKED")).await;
    assert!(matches!(unlinked, ProviderError::AccountNotLinked { .. }), "{unlinked}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_by_position_only() {
    let unreadable = [
        "<!DOCTYPE html><title>72100</title>",
        "",
        "[]",
        "null",
        r#"{"dataPoints":{"72100":1}}"#,
        r#"{"dataPoints":"72100"}"#,
        r#"{"dataPoints":[{"weight":72100]}"#,
        r#"{"dataPoints":[{"weight":72100},"#,
        r#"{"dataPoints":[],"nextPageToken":72100}"#,
        r#"{"error":{"code":500,"message":"72100"}}"#,
    ];
    for body in unreadable {
        let error = fetched(ok(body)).await;
        assert!(matches!(error, ProviderError::Malformed { .. }), "{body}: {error}");
        assert_eq!(error.remedy(), Remedy::Retry { after: None });
        discreet(&error);
    }
}

#[tokio::test]
async fn silence_is_an_error_without_an_address() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let app = app_at(&[("api", &format!("http://{}", listener.local_addr().unwrap()))]);
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let _ = socket.read(&mut [0; 4096]).await.unwrap();
        socket.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n{\"dataPoints\":[").await.unwrap();
    });
    let query = window("2026-11-13T10:30:00Z", "2026-11-20T11:00:00Z");
    let cut = page(&adapter(), &app, "weight", &query, None).await.unwrap_err();
    assert!(matches!(cut, ProviderError::Transport { .. }), "{cut}");
    discreet(&cut);
}
