//! What every simulated cloud can be told and asked alike, from a program and through its control interface.

use std::fmt::Display;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A simulated cloud, for its control interface. Made by [`steered!`].
pub(crate) trait Steered: Clone + Send + Sync + 'static {
    type Fault: DeserializeOwned + Send;
    type Stats: Serialize;

    fn register(&self, uri: &str);
    fn fault(&self, fault: Option<Self::Fault>);
    fn happened(&self) -> Self::Stats;
}

/// What the simulators' types have in common, each around an `Arc<Inner>` of its own.
macro_rules! steered {
    ($simulator:ident, $fault:ty, $stats:ty) => {
        impl $simulator {
            /// Registers one more redirect URL for the client, such as one whose port was not known before.
            pub fn register_redirect(&self, uri: &str) {
                let mut state = self.state();
                if !state.redirects.iter().any(|known| known == uri) {
                    state.redirects.push(uri.to_owned());
                }
            }

            /// What has happened so far.
            pub fn stats(&self) -> $stats {
                self.state().stats.clone()
            }

            /// Switches a fault on.
            pub fn inject(&self, fault: $fault) {
                self.state().faults.inject(fault);
            }

            /// Switches every fault off.
            pub fn clear_faults(&self) {
                self.state().faults = Default::default();
            }

            /// Completes when no notification is on its way, retries included.
            pub async fn idle(&self) {
                // An error would mean that the sender is gone, and it lives as long as `self`.
                let _ = self.0.in_flight.subscribe().wait_for(|count| *count == 0).await;
            }

            fn state(&self) -> std::sync::MutexGuard<'_, State> {
                // A panic elsewhere must not stop a simulator whose state is only data.
                self.0.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
            }

            fn now(&self) -> ohx_domain::Instant {
                self.0.clock.now()
            }
        }

        impl crate::steer::Steered for $simulator {
            type Fault = $fault;
            type Stats = $stats;

            fn register(&self, uri: &str) {
                self.register_redirect(uri);
            }

            fn fault(&self, fault: Option<$fault>) {
                fault.map_or_else(|| self.clear_faults(), |fault| self.inject(fault));
            }

            fn happened(&self) -> $stats {
                self.stats()
            }
        }

        impl std::fmt::Debug for $simulator {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($simulator)).finish_non_exhaustive()
            }
        }
    };
}

pub(crate) use steered;

/// `/redirects`, `/faults` and `/stats`.
pub(crate) fn routes<S: Steered>() -> Router<S> {
    Router::new()
        .route("/redirects", post(redirect::<S>))
        .route("/faults", post(inject::<S>).delete(clear::<S>))
        .route("/stats", get(stats::<S>))
}

#[derive(Deserialize)]
struct Redirect {
    uri: String,
}

async fn redirect<S: Steered>(Shared(sim): Shared<S>, Json(redirect): Json<Redirect>) -> Json<Value> {
    sim.register(&redirect.uri);
    done()
}

async fn inject<S: Steered>(Shared(sim): Shared<S>, Json(fault): Json<S::Fault>) -> Json<Value> {
    sim.fault(Some(fault));
    done()
}

async fn clear<S: Steered>(Shared(sim): Shared<S>) -> Json<Value> {
    sim.fault(None);
    done()
}

async fn stats<S: Steered>(Shared(sim): Shared<S>) -> Json<S::Stats> {
    Json(sim.happened())
}

/// What an order is answered with that has no answer of its own.
pub(crate) fn done() -> Json<Value> {
    Json(json!({ "done": true }))
}

/// Why an order was not carried out.
pub(crate) fn refused(status: StatusCode, why: &impl Display) -> Response {
    (status, Json(json!({ "error": why.to_string() }))).into_response()
}

/// A past to make: so many days of it.
#[derive(Deserialize)]
pub(crate) struct Past {
    #[serde(default = "month")]
    pub(crate) days: u32,
}

/// The days of a past where it is not said how many.
pub(crate) fn month() -> u32 {
    30
}
