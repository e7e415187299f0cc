//! What a contract must be, beyond its shape. A message says the place and what should stand there.

use http::HeaderName;
use ohx_domain::ProviderApp;
use url::Url;

use super::document::{Algorithm, Contract, GrantKind, Paging, RecordAt, TimeAt, ValueAt, Webhook};
use crate::beurer::push::values;
use crate::beurer::{Kind, RECORDS, zone};

type Checked = Result<(), String>;

fn must(holds: bool, place: &str, should: &str) -> Checked {
    if holds { Ok(()) } else { Err(format!("{place} should {should}")) }
}

pub(super) fn check(contract: &Contract, app: &ProviderApp) -> Checked {
    let named = [
        ("base_url", Some(&contract.base_url)),
        ("authorize_url", Some(&contract.authorize_url)),
        ("token_url", Some(&contract.token_url)),
        ("revoke_url", contract.revoke_url.as_ref()),
    ];
    for (place, url) in named {
        url.map_or(Ok(()), |url| must(is_address(url), place, "be an http or https URL without a password"))?;
    }
    must(contract.base_url.query().is_none(), "base_url", "have no query")?;
    must(
        (60..=31_536_000).contains(&contract.token_lifetime_seconds),
        "token_lifetime_seconds",
        "be 60 to 31536000",
    )?;
    must((1..=2160).contains(&contract.overlap_hours), "overlap_hours", "be 1 to 2160")?;
    must((1..=366).contains(&contract.max_window_days), "max_window_days", "be 1 to 366")?;
    // A secret that is not there yet is found out by the first call.
    contract.headers(Some("s"))?;
    account(contract)?;
    must(!contract.records.is_empty(), "records", &format!("name at least one of {}", RECORDS.join(", ")))?;
    for (name, record) in &contract.records {
        let place = format!("records.{name}");
        let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == name);
        let kind = kind.ok_or_else(|| format!("{place} is unknown: records are {}", RECORDS.join(", ")))?;
        self::record(&place, kind, record, contract)?;
    }
    if let Some(lacking) = app.records.iter().find(|wanted| !contract.records.contains_key(wanted.as_str())) {
        return Err(format!("records should have {lacking}, which the app's records name"));
    }
    contract.webhook.as_ref().map_or(Ok(()), webhook)
}

fn is_address(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none()
}

fn account(contract: &Contract) -> Checked {
    let account = &contract.account;
    match (&account.url, &account.at, account.in_token_answer) {
        (None, None, true) => must(
            contract.grant == GrantKind::AuthorizationCode,
            "account.in_token_answer",
            "be left out with grant client_credentials: such a token is nobody's",
        ),
        (Some(url), Some(at), false) => {
            let code = contract.grant == GrantKind::ClientCredentials;
            path("account.url", url, if code { &["code"] } else { &[] })?;
            must(
                url.contains("{code}") == code,
                "account.url",
                "have {code} with grant client_credentials, and only then",
            )?;
            pointer("account.at", at)
        }
        _ => Err("account should have either url and at, or in_token_answer: true".into()),
    }
}

fn record(place: &str, kind: Kind, record: &RecordAt, contract: &Contract) -> Checked {
    path(&format!("{place}.url"), &record.url, &["account"])?;
    for (name, value) in &record.query {
        placeholders(&format!("{place}.query.{name}"), value, &["account", "start", "end"])?;
    }
    for (name, value) in record.changes.iter().flatten() {
        placeholders(&format!("{place}.changes.{name}"), value, &["account", "since"])?;
    }
    if let Some(changes) = &record.changes {
        must(
            changes.values().any(|value| value.contains("{since}")),
            &format!("{place}.changes"),
            "have {since} in a parameter",
        )?;
    }
    if contract.grant == GrantKind::ClientCredentials {
        // Else every patient would be sent the same readings.
        let in_all = |query: &std::collections::BTreeMap<String, String>| {
            record.url.contains("{account}") || query.values().any(|value| value.contains("{account}"))
        };
        must(
            in_all(&record.query) && record.changes.as_ref().is_none_or(in_all),
            place,
            "say whose readings are asked for, with {account} in its url or its parameters: with grant \
             client_credentials the token does not",
        )?;
    }
    pointer(&format!("{place}.items"), &record.items)?;
    match &record.paging {
        Paging::None => {}
        Paging::Cursor { parameter, at } => {
            must(!parameter.is_empty(), &format!("{place}.paging.cursor.parameter"), "have a name")?;
            pointer(&format!("{place}.paging.cursor.at"), at)?;
        }
        Paging::Offset { parameter, size, .. } => {
            must(!parameter.is_empty(), &format!("{place}.paging.offset.parameter"), "have a name")?;
            let size_is = (1..=10_000).contains(size);
            must(size_is, &format!("{place}.paging.offset.size"), "be 1 to 10000")?;
        }
    }
    time(&format!("{place}.time"), &record.time)?;
    let device = record.device.as_ref();
    let pointers = [
        ("id", record.id.as_ref()),
        ("manual", record.manual.as_ref()),
        ("device.id", device.map(|d| &d.id)),
        ("device.model", device.and_then(|d| d.model.as_ref())),
    ];
    for (name, at) in pointers {
        at.map_or(Ok(()), |at| pointer(&format!("{place}.{name}"), at))?;
    }
    let (known, needed) = values::table(kind);
    for name in needed {
        must(record.values.contains_key(*name), &format!("{place}.values"), &format!("have {name}"))?;
    }
    must(!record.values.is_empty(), &format!("{place}.values"), "have at least one value")?;
    for (name, value) in &record.values {
        let place = format!("{place}.values.{name}");
        let Some((_, quantity)) = known.iter().find(|(known, _)| known == name) else {
            let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            return Err(format!("{place} is unknown: {kind} has {}", names.join(", ")));
        };
        self::value(&place, value, *quantity)?;
    }
    Ok(())
}

fn value(place: &str, value: &ValueAt, quantity: values::Quantity) -> Checked {
    pointer(&format!("{place}.at"), &value.at)?;
    let (units, words, _) = quantity.units();
    let is_unit = |unit: &str| units.iter().any(|(word, _)| *word == unit);
    match (&value.unit, &value.unit_at) {
        (Some(unit), None) => {
            must(is_unit(unit), &format!("{place}.unit"), &format!("be {words}"))?;
            must(value.units.is_empty(), &format!("{place}.units"), "be left out: unit says it already")
        }
        (None, Some(at)) => {
            pointer(&format!("{place}.unit_at"), at)?;
            let wrong = value.units.iter().find(|(_, ours)| !is_unit(ours));
            wrong.map_or(Ok(()), |(theirs, _)| Err(format!("{place}.units.{theirs} should be {words}")))
        }
        _ => Err(format!("{place} should have either unit ({words}) or unit_at")),
    }
}

fn time(place: &str, time: &TimeAt) -> Checked {
    pointer(&format!("{place}.at"), &time.at)?;
    let known = ["rfc3339", "unix-seconds", "unix-milliseconds", "local"];
    must(
        known.contains(&time.format.as_str()) || time.format.contains('%'),
        &format!("{place}.format"),
        &format!("be one of {}, or a pattern such as %d.%m.%Y %H:%M", known.join(", ")),
    )?;
    if let Some(at) = &time.zone_at {
        pointer(&format!("{place}.zone_at"), at)?;
    }
    if let Some(name) = &time.zone {
        let is_zone = zone::named(name).is_some();
        must(is_zone, &format!("{place}.zone"), "be an IANA name such as Europe/Berlin")?;
    }
    must(
        !(time.is_local() && time.zone.is_none() && time.zone_at.is_none()),
        place,
        "have zone or zone_at: this format is a wall clock's",
    )
}

fn webhook(webhook: &Webhook) -> Checked {
    must(webhook.header.parse::<HeaderName>().is_ok(), "webhook.header", "be the name of an HTTP header")?;
    if webhook.algorithm == Algorithm::SharedSecret {
        must(
            webhook.encoding == super::document::Encoding::Hex,
            "webhook.encoding",
            "be left out: a shared secret is sent as it is",
        )?;
    }
    pointer("webhook.account", &webhook.account)?;
    for (name, at) in [("events", &webhook.events), ("topic", &webhook.topic)] {
        at.as_ref().map_or(Ok(()), |at| pointer(&format!("webhook.{name}"), at))?;
    }
    for (theirs, ours) in &webhook.records {
        let place = format!("webhook.records.{theirs}");
        must(RECORDS.contains(&ours.as_str()), &place, &format!("be one of {}", RECORDS.join(", ")))?;
    }
    let has_words = !webhook.records.is_empty() || !webhook.revoked.is_empty();
    must(
        webhook.topic.is_some() || !has_words,
        "webhook.topic",
        "say where the words of records and revoked are",
    )?;
    must(matches!(webhook.answer, 200 | 201 | 202 | 204), "webhook.answer", "be 200, 201, 202 or 204")
}

/// RFC 6901: empty, or segments that each begin with a slash.
fn pointer(place: &str, text: &str) -> Checked {
    let escaped = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    must(
        (text.is_empty() || text.starts_with('/')) && escaped,
        place,
        "be a JSON pointer such as /data/items",
    )
}

/// A path below `base_url`, with placeholders: never to another host, and never upwards.
fn path(place: &str, text: &str, known: &[&str]) -> Checked {
    let inside = !text.contains(['?', '#', '\\', ':', '%'])
        && !text.starts_with('/')
        && !text.ends_with('/')
        && text.split('/').all(|segment| !matches!(segment, "" | "." | ".."));
    must(
        inside,
        place,
        "be a path below base_url without a slash at its ends, such as users/{account}/weights",
    )?;
    placeholders(place, text, known)
}

fn placeholders(place: &str, text: &str, known: &[&str]) -> Checked {
    for piece in text.split('{').skip(1) {
        let name = piece.split('}').next().filter(|_| piece.contains('}')).unwrap_or_default();
        if !known.contains(&name) {
            let names: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
            let names = if names.is_empty() { "no placeholder".into() } else { names.join(", ") };
            return Err(format!("{place} should have no other placeholder than {names}"));
        }
    }
    Ok(())
}
