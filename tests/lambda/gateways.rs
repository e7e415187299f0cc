//! Each way by which AWS hands HTTP to a function, with what differs: paths, queries, cookies, bodies.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use ohx_tests::deployment::{API_KEY, Deployment, Shape};
use ohx_tests::outside::Outside;
use ohx_tests::process::Process;
use ohx_tests::runtime_api::{RuntimeApi, Seen};
use serde_json::{Value, json};

/// As AWS documents the events: "Working with AWS Lambda proxy integrations for HTTP APIs" (payload 2.0; function URLs have the
/// same), "Lambda proxy integrations in API Gateway" (REST APIs), "Lambda functions as targets" (load balancers).
#[derive(Debug, Clone, Copy)]
enum Gateway {
    HttpApi,
    RestApi,
    LoadBalancer,
}

struct Ask<'a> {
    method: &'a str,
    path: &'a str,
    query: &'a [(&'a str, &'a str)],
    cookies: &'a [String],
    body: Option<&'a str>,
}

impl Gateway {
    fn event(self, ask: &Ask<'_>) -> Value {
        let mut headers = json!({ "host": "ohx.test", "origin": "https://ohx.test", "accept": "text/html" });
        if ask.body.is_some() {
            headers["content-type"] = "application/x-www-form-urlencoded".into();
        }
        let body = ask.body.map(|body| BASE64.encode(body.as_bytes()));
        let query: BTreeMap<_, _> = ask.query.iter().copied().collect();
        let mut event = match self {
            Self::HttpApi => {
                let raw: Vec<_> = ask.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
                json!({
                    "version": "2.0", "routeKey": "$default", "rawPath": format!("/prod{}", ask.path),
                    "rawQueryString": raw.join("&"), "cookies": ask.cookies, "headers": headers,
                    "requestContext": {
                        "accountId": "0", "apiId": "x", "domainName": "ohx.test", "requestId": "x", "stage": "prod",
                        "http": { "method": ask.method, "path": format!("/prod{}", ask.path), "protocol": "HTTP/1.1",
                            "sourceIp": "203.0.113.7", "userAgent": "" },
                        "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1_767_225_600_000_u64,
                    },
                })
            }
            Self::RestApi => {
                headers["cookie"] = ask.cookies.join("; ").into();
                json!({
                    "resource": "/{proxy+}", "path": ask.path, "httpMethod": ask.method, "headers": headers,
                    "multiValueHeaders": many(&headers), "queryStringParameters": query,
                    "multiValueQueryStringParameters": many(&json!(query)), "pathParameters": {}, "stageVariables": null,
                    "requestContext": {
                        "accountId": "0", "apiId": "x", "resourceId": "x", "resourcePath": "/{proxy+}", "httpMethod": ask.method,
                        "path": format!("/prod{}", ask.path), "protocol": "HTTP/1.1", "requestId": "x", "stage": "prod",
                        "requestTimeEpoch": 1_767_225_600_000_u64, "identity": { "sourceIp": "203.0.113.7", "userAgent": "" },
                    },
                })
            }
            Self::LoadBalancer => {
                headers["cookie"] = ask.cookies.join("; ").into();
                headers["x-forwarded-for"] = "203.0.113.7".into();
                json!({
                    "httpMethod": ask.method, "path": ask.path, "multiValueHeaders": many(&headers),
                    "multiValueQueryStringParameters": many(&json!(query)),
                    "requestContext": { "elb": { "targetGroupArn": "arn:aws:elasticloadbalancing:eu-central-1:0:targetgroup/x/y" } },
                })
            }
        };
        event["isBase64Encoded"] = body.is_some().into();
        event["body"] = body.into();
        event
    }

    /// The cookies that an answer sets, as a browser would send them back.
    fn cookies(self, answer: &Value) -> Vec<String> {
        let set = match self {
            Self::HttpApi => &answer["cookies"],
            Self::RestApi | Self::LoadBalancer => &answer["multiValueHeaders"]["set-cookie"],
        };
        let set = set.as_array().unwrap_or_else(|| panic!("{self:?} sets no cookie: {answer}"));
        set.iter().map(|cookie| cookie.as_str().unwrap().split(';').next().unwrap().to_owned()).collect()
    }
}

fn many(single: &Value) -> Value {
    let single = single.as_object().into_iter().flatten();
    single.map(|(name, value)| (name.clone(), json!([value]))).collect::<serde_json::Map<_, _>>().into()
}

/// Hands over one invocation; its answer.
async fn ask(runtime: &RuntimeApi, gateway: Gateway, what: &Ask<'_>) -> Value {
    // It has asked for this one already, or will: its last word was an answer, or nothing.
    let before = runtime.answers();
    runtime.invoke(gateway.event(what));
    match runtime.answer(before).await {
        Seen::Answer(_, answer) => answer,
        other => panic!("{gateway:?}: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_by_every_gateway() {
    let outside = Outside::start().await;
    let deployment = Deployment::start(Shape::OneProcess, &outside).await;
    let runtime = RuntimeApi::start(Duration::from_secs(30)).await;
    let mut environment: BTreeMap<String, String> = runtime.environment().into();
    environment.insert("OHX_API_URL".into(), deployment.api().to_owned());
    environment.insert("OHX_PUBLIC_URL".into(), "https://ohx.test/prod".into());
    let folder = tempfile::tempdir().unwrap();
    let console = Process::start("ohx-console", &[], &environment, folder.path());

    for gateway in [Gateway::HttpApi, Gateway::RestApi, Gateway::LoadBalancer] {
        let asked = Ask {
            method: "GET",
            path: "/console/sign-in/",
            query: &[("note", "ended")],
            cookies: &[],
            body: None,
        };
        let page = ask(&runtime, gateway, &asked).await;
        assert_eq!(page["statusCode"], 200, "{gateway:?}: {page}: {}", console.log());
        let html = page["body"].as_str().unwrap();
        assert!(html.contains("Your sign-in has ended"), "{gateway:?}: the query: {html}");
        let token = html.split_once("name=\"token\" value=\"").unwrap().1.split('"').next().unwrap();
        let cookies = gateway.cookies(&page);

        let form = format!("token={token}&key={API_KEY}");
        let asked = Ask { method: "POST", query: &[], cookies: &cookies, body: Some(&form), ..asked };
        let inside = ask(&runtime, gateway, &asked).await;
        assert_eq!(inside["statusCode"], 303, "{gateway:?}: {inside}: {}", console.log());

        // With a cookie of somebody else's beside it.
        let mut cookies = gateway.cookies(&inside);
        cookies.insert(0, "theme=dark".to_owned());
        let asked = Ask { method: "GET", path: "/console/", query: &[], cookies: &cookies, body: None };
        let overview = ask(&runtime, gateway, &asked).await;
        assert_eq!(overview["statusCode"], 200, "{gateway:?}: {overview}: {}", console.log());
        assert!(overview["body"].as_str().unwrap().contains("Overview"), "{gateway:?}: {overview}");
    }
}
