//! Every route of the router is in the table, the table is in the docs, and each role gets what the table says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, StatusCode};
use ohx_domain::Role;
use tower::ServiceExt as _;

use crate::Rig;
use ohx_api::access::rules::{self, About, CHANGE_NOTHING, RULES};

const METHODS: [Method; 5] = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];

/// An address of a pattern, with names that are nothing's.
fn filled(pattern: &str) -> String {
    let nothing = |segment: &str| match segment {
        "{id}" => "019a0000-0000-7000-8000-000000000000".to_owned(),
        "{version}" => "1".to_owned(),
        name if name.starts_with('{') => "nothing".to_owned(),
        word => word.to_owned(),
    };
    pattern.split('/').map(nothing).collect::<Vec<_>>().join("/")
}

/// Every route that the router has: the addresses are those that it prints for debugging, and a method is there where the
/// answer to it is not that it is not.
async fn routes(rig: &Rig) -> BTreeSet<(String, String)> {
    let bare = ohx_api::routes(rig.links.clone()).with_state(rig.links.clone());
    let printed = format!("{bare:?}");
    let paths: BTreeSet<&str> = printed
        .split('"')
        .filter(|text| text.len() > 1 && text.starts_with('/') && !text.contains("{*"))
        .collect();
    assert!(paths.len() > 20 && paths.contains("/api/base/provider-links/{id}/"), "{paths:?}");
    let mut found = BTreeSet::new();
    for path in paths {
        for method in METHODS {
            let request = Request::builder().method(method.clone()).uri(filled(path));
            let response = bare.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            if response.status() != StatusCode::METHOD_NOT_ALLOWED {
                found.insert((path.to_owned(), method.to_string()));
            }
        }
    }
    found
}

#[tokio::test]
async fn every_route_has_a_rule_and_every_rule_a_route() {
    let rig = Rig::new().await;
    let ruled: BTreeSet<_> =
        RULES.iter().map(|rule| (rule.path.to_owned(), rule.method.to_string())).collect();
    assert_eq!(ruled.len(), RULES.len(), "a route has one rule");
    assert_eq!(routes(&rig).await, ruled, "a route needs a line in functions/api/src/access/rules.rs");
}

#[test]
fn whatever_changes_something_is_in_the_audit_log() {
    for rule in RULES {
        let quiet = rule.method == Method::GET || CHANGE_NOTHING.contains(&rule.path);
        assert!(quiet || rule.audit.is_some(), "{} {}", rule.method, rule.path);
        assert_eq!(rule.least.is_empty(), rule.about == About::Public, "{} {}", rule.method, rule.path);
    }
}

#[tokio::test]
async fn every_role_gets_what_the_table_says_on_every_route_and_nobody_gets_nothing() {
    let rig = Rig::new().await;
    let mut keys = BTreeMap::new();
    for role in Role::ALL {
        keys.insert(role, rig.key(role, None, false).await.1);
    }
    for rule in RULES {
        let path = filled(rule.path);
        let of = format!("{} {}", rule.method, rule.path);
        let public = rule.about == About::Public;
        // So that guessing is not too fast.
        rig.clock.advance(Duration::from_secs(60));
        for token in [None, Some("wrong"), Some("")] {
            let status = rig.call(rule.method.clone(), &path, token, None).await.0;
            assert_eq!(status == 401, !public, "{of}: {status}");
        }
        for (role, key) in &keys {
            let (status, body) = rig.call(rule.method.clone(), &path, Some(key), None).await;
            // A link creator is confined to its own links: what is about everything is not for it either way.
            let open = public || rule.least.iter().any(|least| role.covers(*least));
            assert_ne!(status, 401, "{of}");
            assert_eq!(status == 403, !open, "{of} as {role}: {status} {body}");
        }
    }
}

#[tokio::test]
async fn a_method_that_an_address_does_not_have_is_refused() {
    let rig = Rig::new().await;
    let key = rig.key(Role::Admin, None, false).await.1;
    let (status, body) = rig.call(Method::DELETE, "/api/base/providers/", Some(&key), None).await;
    assert_eq!(status, 405, "{body}");
    assert_eq!(rig.call(Method::GET, "/api/base/nothing/", Some(&key), None).await.0, 404);
    assert_eq!(rig.call(Method::HEAD, "/api/base/providers/", Some(&key), None).await.0, 200);
    assert_eq!(rig.call(Method::HEAD, "/api/base/providers/", None, None).await.0, 401);
}

#[test]
fn the_docs_show_the_table() {
    let docs = include_str!("../../../../docs/access.md");
    let table = rules::markdown();
    assert!(docs.contains(&table), "docs/access.md should hold this table:\n{table}");
}
