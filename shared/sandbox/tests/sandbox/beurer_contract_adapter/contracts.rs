//! Three contracts that differ in all that a contract can say.

use ohx_sandbox::beurer_contract::ORIGIN;
use serde_json::{Value, json};

/// Each patient's own token; a cursor; units that the records say in words of their own.
pub(super) fn first() -> Value {
    json!({
        "base_url": format!("{ORIGIN}/health/v7/"), "authorize_url": format!("{ORIGIN}/consent?market=eu"),
        "token_url": format!("{ORIGIN}/token"), "revoke_url": format!("{ORIGIN}/end"),
        "grant": "authorization_code", "scope": "read stay", "account": { "in_token_answer": true },
        "headers": { "X-Partner": "clinic {secret}" }, "overlap_hours": 48,
        "records": {
            "blood-pressure": {
                "url": "people/{account}/pressures", "query": { "from": "{start}", "to": "{end}", "sort": "asc" },
                "items": "/data/list", "paging": { "cursor": { "parameter": "after", "at": "/data/next" } },
                "time": { "at": "/when", "format": "rfc3339", "zone_at": "/place" }, "id": "/key",
                "device": { "id": "/by/serial", "model": "/by/name" },
                "values": {
                    "systolic": { "at": "/p/0s", "unit_at": "/p/u", "units": { "mm Hg": "mmHg" } },
                    "diastolic": { "at": "/p/0d", "unit_at": "/p/u", "units": { "mm Hg": "mmHg" } },
                    "pulse": { "at": "/hr", "unit": "bpm" } } },
            "weight": {
                "url": "weights", "query": { "from": "{start}", "to": "{end}" }, "items": "/rows",
                "paging": { "cursor": { "parameter": "after", "at": "/more" } },
                "time": { "at": "/t", "format": "rfc3339" },
                "values": { "weight": { "at": "/kg", "unit": "kg" }, "fat_percent": { "at": "/fat", "unit": "%" } } } },
        "webhook": { "header": "X-Proof", "algorithm": "hmac-sha256", "prefix": "sha256=", "events": "/events",
            "account": "/who", "topic": "/what", "records": { "PRESSURE": "blood-pressure" }, "revoked": ["GONE"] }
    })
}

/// The app's own token; counted items; wall clocks; what changed.
pub(super) fn second() -> Value {
    let record = |name: &str, values: Value| {
        json!({
            "url": format!("tenants/{{account}}/{name}"), "query": { "min": "{start}", "max": "{end}" },
            "changes": { "changed": "{since}" }, "time_parameter": "unix-seconds", "items": "/items",
            "paging": { "offset": { "parameter": "skip", "size": 3 } },
            "time": { "at": "/clock", "format": "%d.%m.%Y %H:%M:%S", "zone": "Europe/Berlin" }, "values": values })
    };
    json!({
        "base_url": format!("{ORIGIN}/api"), "authorize_url": format!("{ORIGIN}/ask"), "token_url": format!("{ORIGIN}/oauth"),
        "grant": "client_credentials", "client_auth": "basic", "scope": "all",
        "account": { "url": "claims/{code}", "at": "/person/id" },
        "records": {
            "blood-pressure": record("bp", json!({
                "systolic": { "at": "/s", "unit": "mmHg" }, "diastolic": { "at": "/d", "unit": "mmHg" }, "pulse": { "at": "/r", "unit": "/min" } })),
            "weight": record("kg", json!({ "weight": { "at": "/w", "unit": "kg" }, "fat_percent": { "at": "/f", "unit": "%" } })) },
        "webhook": { "header": "X-Hub", "algorithm": "hmac-sha1", "encoding": "base64", "account": "/id", "answer": 204 }
    })
}

/// Each patient's own token; counted pages; days; milliseconds.
pub(super) fn third() -> Value {
    let record = |name: &str, values: Value| {
        json!({
            "url": name, "query": { "day_from": "{start}", "day_to": "{end}" }, "time_parameter": "date", "items": "/list",
            "paging": { "offset": { "parameter": "page", "size": 4, "first": 1, "counts": "pages" } },
            "time": { "at": "/ms", "format": "unix-milliseconds", "zone": "Europe/Vienna" }, "id": "/id", "values": values })
    };
    json!({
        "base_url": format!("{ORIGIN}/"), "authorize_url": format!("{ORIGIN}/a"), "token_url": format!("{ORIGIN}/t"),
        "grant": "authorization_code", "pkce": false, "account": { "url": "me", "at": "/sub" },
        "records": {
            "blood-pressure": record("bp", json!({
                "systolic": { "at": "/s", "unit": "mmHg" }, "diastolic": { "at": "/d", "unit": "mmHg" }, "pulse": { "at": "/r", "unit": "/min" } })),
            "weight": record("kg", json!({ "weight": { "at": "/w", "unit": "kg" }, "fat_percent": { "at": "/f", "unit": "%" } })) },
        "webhook": { "header": "X-Shared", "algorithm": "shared-secret", "account": "/id" }
    })
}

pub(super) fn all() -> [Value; 3] {
    [first(), second(), third()]
}
