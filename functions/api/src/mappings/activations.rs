//! Which version is active for whom, since when, and back again.

use axum::extract::State;
use axum::response::IntoResponse;
use axum::{Extension, Json};
use http::StatusCode;
use ohx_domain::{Activation, Canary, FIRST_SAVED_VERSION, MappingScope};
use ohx_link::Links;
use ohx_runtime::Problem;
use ohx_store::NewActivation;
use serde::Deserialize;
use serde_json::json;
use utoipa::{IntoParams, ToSchema};

use super::check::{self, Refused};
use super::refusal::Refusal;
use super::{aside, named};
use crate::access::Principal;
use crate::access::audit::Audited;
use crate::http::page::{self, narrowed};
use crate::http::{InBody, InPath, InQuery, Page, Paging};
use crate::store_problem;

/// How far back a rollback looks for what was there before: a pointer may be set to the same thing again and again.
const LOOK_BACK: u32 = 100;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewActivation)]
pub(super) struct ToActivate {
    scope: MappingScope,
    /// `null` leaves it to the next wider scope. It has to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    version: Option<u32>,
    canary: Option<Canary>,
    /// The `seq` of the activation that was looked at, 0 for none: another one in between is a conflict.
    expected_seq: Option<i64>,
}

/// Says which version a scope uses from now on. `expected_seq` refuses that where somebody else was faster.
#[utoipa::path(post, path = "/api/transformers/mappings/{provider}/{record}/activations/", operation_id = "activateMapping", tag = "transformers",
    params(("provider" = String, Path, description = "A type of provider"), ("record" = String, Path, description = "One of its records")), request_body = ToActivate, responses((status = 201, description = "The activation", body = Activation)))]
pub(super) async fn activate(
    State(links): State<Links>,
    principal: Principal,
    InPath((provider, record)): InPath<(String, String)>,
    InBody(to): InBody<ToActivate>,
) -> Result<impl IntoResponse, Refusal> {
    let mapping = named(&provider, &record)?;
    let ToActivate { scope, version, canary, expected_seq } = to;
    let new = NewActivation { mapping, scope, version, canary, by: principal.actor, expected_seq };
    let activation = point(&links, new).await?;
    Ok((StatusCode::CREATED, audited(&activation), Json(activation)))
}

fn audited(activation: &Activation) -> Extension<Audited> {
    let Activation { scope, version, canary, .. } = activation;
    Extension(Audited::detail(json!({"scope": scope, "version": version, "canary": canary})))
}

/// Moves a pointer, to what may be active only.
async fn point(links: &Links, new: NewActivation) -> Result<Activation, Refusal> {
    let parts = links.parts();
    if !check::scope_exists(&*parts.store, &new.scope).await? {
        return Err(Refused::Scope(new.scope).into());
    }
    for version in new.version.into_iter().chain(new.canary.map(|canary| canary.version)) {
        let saved = match version {
            FIRST_SAVED_VERSION.. => parts.store.mapping(&new.mapping, version).await?,
            _ => None,
        };
        let name = new.mapping.clone();
        aside(move || check::active(&name, version, saved.as_ref().map(|s| s.document.as_str()))).await??;
    }
    let done = parts.store.activate(&new, parts.clock.now()).await?;
    tracing::info!(
        mapping = done.mapping, scope = %done.scope, version = done.version, canary = ?done.canary, seq = done.seq,
        "a mapping is activated"
    );
    Ok(done)
}

/// Which activations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Listing {
    /// All that this scope has pointed to; without it, what each scope points to now.
    #[param(value_type = Option<MappingScope>)]
    scope: Option<String>,
    /// At most so many items: 1 to 1000, 100 where nothing is said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

/// What a scope has pointed to, newest first; without a scope, what each scope points to now.
#[utoipa::path(get, path = "/api/transformers/mappings/{provider}/{record}/activations/", operation_id = "listActivations", tag = "transformers",
    params(("provider" = String, Path, description = "A type of provider"), ("record" = String, Path, description = "One of its records"), Listing), responses((status = 200, description = "Activations", body = Page<Activation>)))]
pub(super) async fn history(
    State(links): State<Links>,
    InPath((provider, record)): InPath<(String, String)>,
    InQuery(listing): InQuery<Listing>,
) -> Result<Json<Page<Activation>>, Problem> {
    let name = named(&provider, &record)?;
    let store = &links.parts().store;
    let Some(scope) = narrowed::<MappingScope>("scope", listing.scope.as_deref())? else {
        let paging = Paging { limit: listing.limit, cursor: listing.cursor };
        let mut now = store.activations(Some(&name)).await.map_err(store_problem)?;
        now.sort_by_key(|activation| activation.scope.to_string());
        return Page::of("scopes", now, &paging, |a| a.scope.to_string()).map(Json);
    };
    let limit = page::limit(listing.limit)?;
    let before: Option<i64> = page::key("activations", listing.cursor.as_deref())?;
    let mut found = store.activation_history(&name, &scope, before, limit).await.map_err(store_problem)?;
    let next = found.last().filter(|last| found.len() == limit as usize && last.seq > 1);
    let next = next.map(|last| page::cursor("activations", &last.seq));
    found.truncate(limit as usize);
    Ok(Json(Page { items: found, next }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RollBack)]
pub(super) struct ToRollBack {
    scope: MappingScope,
}

/// Activates what the scope pointed to before.
#[utoipa::path(post, path = "/api/transformers/mappings/{provider}/{record}/roll-back/", operation_id = "rollBackMapping", tag = "transformers",
    params(("provider" = String, Path, description = "A type of provider"), ("record" = String, Path, description = "One of its records")), request_body = ToRollBack, responses((status = 201, description = "The activation", body = Activation)))]
pub(super) async fn roll_back(
    State(links): State<Links>,
    principal: Principal,
    InPath((provider, record)): InPath<(String, String)>,
    InBody(to): InBody<ToRollBack>,
) -> Result<impl IntoResponse, Refusal> {
    let mapping = named(&provider, &record)?;
    let ToRollBack { scope } = to;
    let known = links.parts().store.activation_history(&mapping, &scope, None, LOOK_BACK).await?;
    let Some((seq, (version, canary))) = before(&known) else {
        let detail = match known.first() {
            None => {
                format!("mapping {mapping} was never activated for {scope}: there is nothing to roll back")
            }
            Some(_) => format!("{scope} has always pointed to the same version of mapping {mapping}"),
        };
        return Err(Problem::new(StatusCode::CONFLICT, detail).into());
    };
    let expected_seq = Some(seq);
    let new = NewActivation { mapping, scope, version, canary, by: principal.actor, expected_seq };
    let activation = point(&links, new).await?;
    Ok((StatusCode::CREATED, audited(&activation), Json(activation)))
}

type Pointer = (Option<u32>, Option<Canary>);

/// The latest activation's `seq`, and what its scope pointed to before that: before the first one, to nothing.
fn before(newest_first: &[Activation]) -> Option<(i64, Pointer)> {
    let points = |a: &Activation| (a.version, a.canary);
    let current = newest_first.first()?;
    let other = newest_first.iter().map(points).find(|p| *p != points(current));
    // The oldest is at hand: before it there was nothing.
    let whole = newest_first.last().is_some_and(|oldest| oldest.seq == 1);
    let nothing = (whole && points(current) != (None, None)).then_some((None, None));
    Some((current.seq, other.or(nothing)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(pointers: &[Pointer]) -> Vec<Activation> {
        let count = i64::try_from(pointers.len()).unwrap();
        let one = |((version, canary), seq): (&Pointer, i64)| Activation {
            mapping: "withings/getmeas".into(),
            scope: MappingScope::Global,
            version: *version,
            canary: *canary,
            at: "2026-11-21T08:00:00Z".parse().unwrap(),
            by: "test".into(),
            seq,
        };
        pointers.iter().zip((1..=count).rev()).map(one).collect()
    }

    #[test]
    fn a_rollback_goes_to_what_was_there_before() {
        let (a, b) = ((Some(1000), None), (Some(1001), None));
        let canary = (Some(1000), Some(Canary { version: 1001, percent: 50 }));
        let (none, wider) = (vec![], (None, None));
        for (newest_first, expected) in [
            (none, None),
            // Before the first activation the next wider scope counted.
            (vec![a], Some(wider)),
            (vec![b, a], Some(a)),
            (vec![canary, a], Some(a)),
            (vec![b, canary, a], Some(canary)),
            // What is said again is not what was before.
            (vec![b, b, a], Some(a)),
            (vec![b, b], Some(wider)),
            (vec![wider, a], Some(a)),
            (vec![wider], None),
        ] {
            let known = history(&newest_first);
            let seq = i64::try_from(known.len()).unwrap();
            assert_eq!(before(&known), expected.map(|p| (seq, p)), "{newest_first:?}");
        }
        // The history goes on further back than was looked at.
        let mut cut = history(&[b, b, a]);
        cut.truncate(2);
        assert_eq!(before(&cut), None);
    }
}
