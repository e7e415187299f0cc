use std::time::Duration;

use super::super::guarded;
use super::*;

fn reach(text: &str) -> Reach {
    text.parse().unwrap()
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

#[test]
fn what_is_not_public_is_refused_however_it_is_written() {
    for refused in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://0.0.0.0/",
        "http://10.0.0.1/",
        "http://100.100.100.200/",
        "http://169.254.169.254/latest/meta-data/",
        "http://172.31.255.255/",
        "http://192.168.1.1/",
        "http://198.18.0.1/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::127.0.0.1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[64:ff9b::a9fe:a9fe]/",
        "http://[2002:7f00:1::]/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://[ff02::1]/",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
    ] {
        assert!(Reach::default().check(&url(refused)).is_err(), "{refused}");
    }
    for good in [
        "https://wbsapi.withings.net/",
        "https://8.8.8.8/",
        "https://172.32.0.1/",
        "https://[2606:4700::1111]/",
        "https://[2002:0808:0808::]/",
        "https://localhost.example/",
    ] {
        assert!(Reach::default().check(&url(good)).is_ok(), "{good}");
    }
}

#[test]
fn what_is_permitted_is_reached_and_nothing_beside_it() {
    let some = reach("10.1.0.0/16, 192.168.7.9 fhir.internal FD00::/64");
    for good in ["http://10.1.2.3/", "http://192.168.7.9/", "http://[fd00::1]/", "http://[::ffff:10.1.2.3]/"]
    {
        assert_eq!(some.check(&url(good)), Ok(()), "{good}");
    }
    for refused in
        ["http://10.2.0.1/", "http://192.168.7.10/", "http://[fd00:0:0:1::1]/", "http://127.0.0.1/"]
    {
        assert!(some.check(&url(refused)).is_err(), "{refused}");
    }
    let to = |text: &str| vec![SocketAddr::new(text.parse().unwrap(), 0)];
    assert!(some.judge("fhir.internal", to("10.9.9.9").into_iter()).is_ok(), "the name is permitted");
    assert!(some.judge("FHIR.internal.", to("10.9.9.9").into_iter()).is_ok());
    assert!(some.judge("other.internal", to("10.9.9.9").into_iter()).is_err());
    assert!(some.judge("other.internal", to("10.1.9.9").into_iter()).is_ok(), "its network is");
    // A name with an address of each kind leads to the public one only.
    let both = [to("8.8.8.8"), to("169.254.169.254")].concat();
    assert_eq!(some.judge("rebinding.example", both.into_iter()), Ok(to("8.8.8.8")));
    for wrong in ["10.1.0.0/33", "10.1.0", "http://fhir.internal", "*"] {
        let error = Reach::from_settings(&Settings::from_pairs([(NAME, wrong)])).unwrap_err();
        assert!(error.to_string().starts_with("OHX_OUTBOUND_PRIVATE is wrong"), "{error}");
    }
}

#[test]
fn the_environments_proxies_are_permitted_by_being_there() {
    let set =
        [("HTTPS_PROXY", "proxy.internal:3128"), ("http_proxy", "http://10.0.0.9:3128"), ("NO_PROXY", "a")];
    let reach = Reach::from_settings(&Settings::from_pairs(set)).unwrap();
    assert!(reach.takes_name("proxy.internal") && reach.takes("10.0.0.9".parse().unwrap()));
    assert_eq!(reach.proxies.len(), 2);
    assert!(guarded(Duration::from_secs(1), &reach).is_ok());
}

/// The words of an error and of everything that led to it.
fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(chain).unwrap_or_default();
    format!("{error} {source}")
}

#[tokio::test]
async fn a_connection_is_not_made_to_what_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepted = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = accepted.clone();
    let app = axum::Router::new().route(
        "/",
        axum::routing::get(move || async move {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }),
    );
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let refusing = guarded(Duration::from_secs(5), &Reach::default()).unwrap();
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "localhost", "2130706433"] {
        let error = refusing.get(format!("http://{host}:{port}/")).send().await.unwrap_err();
        assert!(error.is_connect(), "{host}: {}", chain(&error));
    }
    let error = refusing.get(format!("http://localhost:{port}/")).send().await.unwrap_err();
    assert!(chain(&error).contains("not public"), "{}", chain(&error));
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 0);
    for permitted in ["127.0.0.0/8", "localhost"] {
        let client = guarded(Duration::from_secs(5), &reach(permitted)).unwrap();
        assert!(client.get(format!("http://localhost:{port}/")).send().await.is_ok(), "{permitted}");
    }
    let client = guarded(Duration::from_secs(5), &reach("127.0.0.0/8")).unwrap();
    assert!(client.get(format!("http://127.0.0.1:{port}/")).send().await.is_ok());
    assert_eq!(accepted.load(std::sync::atomic::Ordering::SeqCst), 3);
    serving.abort();
}
