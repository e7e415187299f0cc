//! The client of SQS, made when it is first used.

use std::error::Error as _;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::StalledStreamProtectionConfig;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use ohx_bus::BusError;
use tokio::sync::OnceCell;

use crate::Place;

/// How long SQS can wait for a message, in seconds.
pub(crate) const MAX_WAIT: u64 = 20;

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);

/// How long a call may take that SQS answers at once.
const ATTEMPT: Duration = Duration::from_secs(10);

/// How often a call is tried, by the SDK, before its caller is told.
const ATTEMPTS: u32 = 3;

/// How much of what SQS says goes into an error, in characters.
const MAX_SAID: usize = 300;

/// The codes by which SQS says that a message is not ours any more.
const NOT_OURS: [&str; 3] =
    ["ReceiptHandleIsInvalid", "AWS.SimpleQueueService.MessageNotInflight", "MessageNotInflight"];

/// SQS at a place.
pub(crate) struct Sqs {
    pub(crate) place: Place,
    clients: OnceCell<Clients>,
}

struct Clients {
    commands: Client,
    waiting: Client,
}

impl Sqs {
    /// Reads nothing and connects to nothing yet: a function that publishes nothing never pays for it.
    pub(crate) fn new(place: &Place) -> Self {
        Self { place: place.clone(), clients: OnceCell::new() }
    }

    /// For calls that SQS answers at once.
    pub(crate) async fn commands(&self) -> &Client {
        &self.clients().await.commands
    }

    /// For calls that wait up to [`MAX_WAIT`] for messages.
    pub(crate) async fn waiting(&self) -> &Client {
        &self.clients().await.waiting
    }

    async fn clients(&self) -> &Clients {
        self.clients
            .get_or_init(async || {
                // Credentials come from where AWS's own tools look for them; they are read when the first call is made.
                let shared = aws_config::defaults(BehaviorVersion::latest())
                    .region(Region::new(self.place.region.clone()))
                    .endpoint_url(&self.place.endpoint)
                    .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                    .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                    .load()
                    .await;
                let within = |attempt: Duration| {
                    let times = TimeoutConfig::builder()
                        .connect_timeout(CONNECT)
                        .operation_attempt_timeout(attempt)
                        .build();
                    let config = aws_sdk_sqs::config::Builder::from(&shared).timeout_config(times).build();
                    Client::from_conf(config)
                };
                Clients {
                    commands: within(ATTEMPT),
                    waiting: within(Duration::from_secs(MAX_WAIT) + ATTEMPT),
                }
            })
            .await
    }
}

/// What a call came to that did not succeed.
#[derive(Debug)]
pub(crate) struct Refused {
    /// SQS's own code; empty where it did not answer.
    pub(crate) code: String,
    /// What happened, for a person. SQS's texts name queues and who may do what; never a body.
    pub(crate) text: String,
}

impl Refused {
    /// Whether the message is somebody else's now, or gone.
    pub(crate) fn not_ours(&self) -> bool {
        is_not_ours(&self.code)
    }

    /// Whether the queue is not there.
    pub(crate) fn no_queue(&self) -> bool {
        self.code.ends_with("NonExistentQueue") || self.code == "QueueDoesNotExist"
    }
}

/// Whether a code says that the message is somebody else's now, or gone.
pub(crate) fn is_not_ours(code: &str) -> bool {
    NOT_OURS.contains(&code)
}

impl<E: ProvideErrorMetadata> From<SdkError<E>> for Refused {
    fn from(error: SdkError<E>) -> Self {
        let code = error.code().unwrap_or_default().to_owned();
        let text = match &error {
            SdkError::ServiceError(refusal) => {
                let said: String =
                    refusal.err().message().unwrap_or_default().chars().take(MAX_SAID).collect();
                if code.is_empty() {
                    format!("HTTP {}", refusal.raw().status().as_u16())
                } else if said.is_empty() {
                    code.clone()
                } else {
                    format!("{code}: {said}")
                }
            }
            SdkError::TimeoutError(_) => "no answer in time".to_owned(),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => "no connection in time".to_owned(),
            SdkError::DispatchFailure(failure) => failure.as_connector_error().map_or_else(
                || "the request could not be sent".to_owned(),
                |error| innermost("no connection", error.source()),
            ),
            SdkError::ConstructionFailure(_) => {
                "the request could not be made: are there credentials?".to_owned()
            }
            // What the SDK quotes here may be the answer, which may be an event.
            _ => "the answer could not be read".to_owned(),
        };
        Self { code, text }
    }
}

impl From<Refused> for BusError {
    fn from(refused: Refused) -> Self {
        let hint = if refused.no_queue() { " (ohx migrate --queues makes the queues)" } else { "" };
        Self::Unavailable(format!("SQS: {}{hint}", refused.text))
    }
}

/// `what`, and the cause at the bottom of a chain.
fn innermost(what: &str, mut cause: Option<&(dyn std::error::Error + 'static)>) -> String {
    while let Some(deeper) = cause.and_then(|e| e.source()) {
        cause = Some(deeper);
    }
    cause.map_or_else(|| what.to_owned(), |cause| format!("{what}: {cause}"))
}

/// As SQS takes times: whole seconds, rounded up, because nothing may come early.
pub(crate) fn seconds(wait: Duration, most: u64) -> i32 {
    let whole = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    i32::try_from(whole.min(most)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_seconds_and_never_shorter() {
        for (milliseconds, expected) in
            [(0, 0), (1, 1), (1000, 1), (1001, 2), (899_001, 900), (1_000_000, 900)]
        {
            assert_eq!(seconds(Duration::from_millis(milliseconds), 900), expected);
        }
    }

    #[test]
    fn a_missing_queue_is_told_with_what_to_do() {
        let refused = Refused { code: "AWS.SimpleQueueService.NonExistentQueue".into(), text: "gone".into() };
        assert!(refused.no_queue() && !refused.not_ours());
        assert!(BusError::from(refused).to_string().contains("ohx migrate --queues"));
        assert!(is_not_ours("ReceiptHandleIsInvalid"));
    }
}
