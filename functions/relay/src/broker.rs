//! The dead-letter sink behind a Knative broker: what the broker has given up is kept, so that it can be seen and replayed
//! like what the relay itself gives up.
//!
//! The broker posts the event as it was, with three extensions (Knative Eventing, "Handling delivery failure"):
//! `knativeerrordest`, the subscriber's address; `knativeerrorcode`, its last HTTP status; and `knativeerrordata`, its last
//! answer in base64, of which the broker keeps the beginning only.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::routing::post;
use cloudevents::AttributesReader as _;
use cloudevents::event::ExtensionValue;
use data_encoding::BASE64;
use ohx_bus::Bury as _;
use ohx_bus::deliver::what_a_problem_says;
use ohx_events::envelope::without_data;
use ohx_events::{Event, Function, subscribers};
use ohx_runtime::bury::StoreBury;
use ohx_runtime::{CloudEvent, EventFailure, EventReply};
use url::Url;

/// The extension with the subscriber's address.
const DESTINATION: &str = "knativeerrordest";
/// The extension with its HTTP status.
const CODE: &str = "knativeerrorcode";
/// The extension with the beginning of its answer.
const DATA: &str = "knativeerrordata";

/// How much of [`DATA`] is read, in characters: four times of what Knative carries.
const MAX_DATA: usize = 4096;
/// The largest body, in bytes: the largest event of ours in structured mode, with room.
const MAX_BODY: usize = 1024 * 1024;

/// The sink's routes: one dead letter at `/`. Answers 204 when it is kept, 422 where it is nobody's of ours, 503 where the
/// store is away.
pub fn router(bury: Arc<StoreBury>) -> Router {
    Router::new().route("/", post(handle)).layer(DefaultBodyLimit::max(MAX_BODY)).with_state(bury)
}

async fn handle(State(bury): State<Arc<StoreBury>>, CloudEvent(event): CloudEvent) -> EventReply {
    let result = keep(&bury, &event).await;
    EventReply::of("relay", &event, result)
}

async fn keep(bury: &StoreBury, event: &Event) -> Result<(), EventFailure> {
    let functions = given_up_by(event);
    if functions.is_empty() {
        return Err(EventFailure::reject(
            "the dead letter names no function of ours, and none listens to its type",
        ));
    }
    let (bare, reason) = (without_data(event), reason(event));
    for function in functions {
        // The broker does not say how often it tried: what counts is how often it has given up.
        bury.bury(function, &bare, &reason, 1).await?;
    }
    Ok(())
}

/// Who could not do it: the function at the subscriber's address or, where that tells nothing, all that listen to the type.
fn given_up_by(event: &Event) -> Vec<Function> {
    match extension(event, DESTINATION).as_deref().and_then(function_at) {
        Some(function) => vec![function],
        None => subscribers(event.ty()).to_vec(),
    }
}

/// The function that has an address: its host is a service or a revision of it, such as `fetch.ohx.svc.cluster.local` or
/// `ohx-fetch-00001.ohx`.
fn function_at(address: &str) -> Option<Function> {
    let url: Url = address.parse().ok()?;
    let service = url.host_str()?.split('.').next()?.to_owned();
    let named = |function: &Function| service.split('-').any(|word| word == function.as_str());
    Function::ALL.into_iter().find(named)
}

/// What happened, on one line, in our own words or in those of a problem document; nothing else of an answer is kept.
fn reason(event: &Event) -> String {
    let code = extension(event, CODE).and_then(|text| text.parse::<u16>().ok()).filter(|code| *code > 0);
    let happened = match code {
        Some(code) => format!("HTTP {code}"),
        None => "no answer".to_owned(),
    };
    match extension(event, DATA).and_then(|text| said(&text)) {
        Some(said) => format!("the broker gave up after {happened}: {said}"),
        None => format!("the broker gave up after {happened}"),
    }
}

/// What the problem document in [`DATA`] says. One that was cut off is read as far as it goes.
fn said(data: &str) -> Option<String> {
    let data = data.get(..data.len().min(MAX_DATA))?;
    // Base64 that was cut off decodes in whole groups of four.
    let whole = data.get(..data.len() - data.len() % 4)?;
    let bytes = BASE64.decode(whole.as_bytes()).unwrap_or_else(|_| data.as_bytes().to_vec());
    what_a_problem_says(&bytes).or_else(|| what_a_problem_says(&mended(&bytes)?))
}

/// A JSON object that was cut off within a text, ended there.
fn mended(cut: &[u8]) -> Option<Vec<u8>> {
    let valid = match std::str::from_utf8(cut) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(cut.get(..error.valid_up_to())?).ok()?,
    };
    // Not within an escape, the longest of which is `\uXXXX`.
    let text = match valid.rfind('\\') {
        Some(at) if at + 6 > valid.len() => valid.get(..at)?.trim_end_matches('\\'),
        _ => valid,
    };
    Some(format!("{text}\"}}").into_bytes())
}

fn extension(event: &Event, name: &str) -> Option<String> {
    Some(match event.extension(name)? {
        ExtensionValue::String(text) => text.clone(),
        ExtensionValue::Integer(number) => number.to_string(),
        ExtensionValue::Boolean(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_the_function() {
        for (address, function) in [
            ("http://fetch.ohx.svc.cluster.local/", Some(Function::Fetch)),
            ("http://fetch.ohx.svc.cluster.local", Some(Function::Fetch)),
            ("http://fetch-00001.ohx.svc.cluster.local/", Some(Function::Fetch)),
            ("http://ohx-publish-00017-private.ohx/", Some(Function::Publish)),
            ("https://devices/", Some(Function::Devices)),
            ("http://fetcher.ohx/", None),
            ("http://broker-filter.knative-eventing.svc.cluster.local/triggers/ohx/fetch/1", None),
            ("http://10.0.0.7:8080/", None),
            ("fetch", None),
            ("", None),
        ] {
            assert_eq!(function_at(address), function, "{address}");
        }
    }

    #[test]
    fn only_a_problem_document_speaks() {
        let problem =
            br#"{"status":503,"title":"Service Unavailable","detail":"the store is \"away\" \u00e4"}"#;
        assert_eq!(said(&BASE64.encode(problem)).as_deref(), Some("the store is \"away\" ä"));
        assert_eq!(said(std::str::from_utf8(problem).unwrap()).as_deref(), Some("the store is \"away\" ä"));
        for other in ["", "weight 72.10", "<html>72.10</html>", "[72.10]", "72.10", "{\"value\":72.10}"] {
            assert_eq!(said(other), None, "{other}");
            assert_eq!(said(&BASE64.encode(other.as_bytes())), None, "{other}");
        }
    }

    #[test]
    fn an_answer_that_was_cut_off_is_read_as_far_as_it_goes() {
        let problem =
            r#"{"status":422,"title":"no","detail":"ä link \"x\" \\ \u00e4\u00e4 is not there, and so on"}"#;
        let whole = BASE64.encode(problem.as_bytes());
        let from = problem.find("link").unwrap();
        for end in 0..whole.len() {
            let told = said(&whole[..end]);
            if end * 3 / 4 > from + 8 {
                assert!(told.as_ref().is_some_and(|t| t.starts_with("ä link")), "{end}: {told:?}");
            }
        }
    }
}
