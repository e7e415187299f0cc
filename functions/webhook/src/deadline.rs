//! Answering in time, whatever the database and the broker do.
//!
//! Withings waits two seconds for an answer, Fitbit five, and both give an address up that is late too often. What counts is the
//! ledger: once it has what the notification asks for, a lost event is a hole that is seen and asked for again. So the call
//! is answered when that much is done or the time is up, and the rest goes on by itself.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::StatusCode;
use ohx_runtime::Problem;
use ohx_runtime::metrics::NOTIFICATIONS;
use ohx_runtime::trace::{here, within};
use tracing::Instrument as _;

/// How long a provider waits for its answer, at most: half of the shortest deadline that any of them has.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(1);
/// When a provider may come again where nothing could be written down.
const AGAIN: Duration = Duration::from_secs(10);

/// The answer, from when on the ledger has all that the notification asks for.
#[derive(Clone, Default)]
pub(crate) struct Entered(Arc<OnceLock<StatusCode>>);

impl Entered {
    /// Everything is in the ledger: `answer` may be given.
    pub(crate) fn all(&self, answer: StatusCode) {
        // A second time says the same.
        let _ = self.0.set(answer);
    }
}

/// Does `work`, and gives its answer or, when the time is up, what is certain by then. The work goes on to its end.
///
/// # Errors
/// Those of `work`; 503 where nothing is certain in time.
pub(crate) async fn in_time<F>(entered: Entered, work: F) -> Result<StatusCode, Problem>
where
    F: Future<Output = Result<StatusCode, Problem>> + Send + 'static,
{
    let mut work = ohx_runtime::serve::spawn(within(here(), work).in_current_span());
    tokio::select! {
        done = &mut work => done.unwrap_or_else(|_| {
            Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the function failed; please send it again"))
        }),
        () = tokio::time::sleep(ANSWER_WITHIN) => match entered.0.get() {
            Some(answer) => {
                tracing::warn!("the broker is slow: the notification was answered before its event was out");
                NOTIFICATIONS.with_label_values(&["any", "early"]).inc();
                Ok(*answer)
            }
            None => {
                NOTIFICATIONS.with_label_values(&["any", "late"]).inc();
                let detail = "the database is slow; please send it again";
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(Some(AGAIN)))
            }
        },
    }
}
