//! Sending Bundles, and reading what became of every entry.

use ohx_domain::{BundleKind, Identifier};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use tracing::warn;

use crate::batch::{Item, Op, Write, bundle};
use crate::client::{FHIR_JSON, TOO_SLOW};
use crate::plan::{Plan, Sending};
use crate::search::Kind;
use crate::wire::{Bundle, Issues, Response, is_id};
use crate::{EhrClient, EhrError, Outcome};

pub(crate) const CALL: &str = "a batch of writes";

/// What is said of a call that a smaller Bundle may spare the next one.
const TAKES_TOO_LONG: [&str; 3] = [TOO_SLOW, "HTTP 408", "HTTP 504"];

/// So many single entries are refused with 404, 405, 410 or 501 before the endpoint itself is blamed.
const MISFITS: usize = 3;

/// What became of one entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is settled.
    Done {
        outcome: Outcome,
        /// The resource's id at the server, where it is known.
        id: Option<String>,
    },
    /// Look it up again and decide again.
    Again(Why),
    /// The server does not let us (401, 403) or does not do that (405, 501). For a single entry this is a rejection.
    Refused { status: u16, outcome: Outcome },
}

/// Why an entry needs another round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// A conditional create met a resource that the lookup did not find: stored, but perhaps in another version.
    Exists,
    /// Created, but the server did not say under which id.
    NoId,
    /// Somebody else wrote at the same moment (409, 412).
    Conflict,
    /// The server is busy (408, 429, 5xx, or an issue code that says so).
    Busy(u16),
}

/// What a server said to a whole Bundle.
enum Reply {
    Entries(Vec<Response>),
    /// HTTP 4xx or 501, with the issues of its OperationOutcome.
    Refused(u16, Issues),
}

impl EhrClient {
    /// Writes entries, in as few requests as the server allows. A Bundle that is refused as a whole is halved until
    /// the entry that is to blame stands alone; one that is too large or takes too long makes the next ones smaller.
    ///
    /// # Errors
    /// Whatever concerns the endpoint and not an entry.
    pub(crate) async fn write(
        &self,
        plan: &Plan,
        kind: Kind,
        items: &[Item<'_>],
        writes: &[Write],
    ) -> Result<Vec<(usize, Fate)>, EhrError> {
        let Sending::Bundles(bundle) = plan.sending else {
            return self.write_singly(kind, items, writes).await;
        };
        let mut fates = Vec::with_capacity(writes.len());
        let mut stack = vec![writes];
        let (mut spoke, mut misfits) = (false, 0);
        while let Some(part) = stack.pop() {
            if part.is_empty() {
                continue;
            }
            let most = self.state.entries();
            if part.len() > most {
                let (first, rest) = part.split_at(most);
                stack.extend([rest, first]);
                continue;
            }
            let reply = match self.post(bundle, part).await {
                // It may have been carried out all the same: what is there is looked up before it is sent again, and
                // what has not been sent yet waits for that too.
                Err(EhrError::Unavailable { problem, retry_after: None, .. })
                    if part.len() > 1 && TAKES_TOO_LONG.contains(&problem.as_str()) =>
                {
                    self.state.too_slow(part.len());
                    warn!(ehr = %self.endpoint.name, entries = part.len(), problem, "a Bundle took too long: smaller ones \
                        are sent");
                    let left = stack.drain(..).chain([part]).flatten();
                    fates.extend(left.map(|write| (write.index, Fate::Again(Why::Busy(504)))));
                    break;
                }
                reply => reply?,
            };
            match (part, reply) {
                (_, Reply::Entries(responses)) => {
                    spoke = true;
                    self.state.answered(part.len());
                    fates.extend(self.settle(kind, items, part, &responses)?);
                }
                ([alone], Reply::Refused(status @ (409 | 412), _)) => {
                    fates.push((alone.index, judge(kind, items, alone, &Response::bare(status))));
                }
                ([alone], Reply::Refused(status, issues)) => {
                    let misfit = matches!(status, 404 | 405 | 410 | 501);
                    misfits += usize::from(misfit);
                    // Not one Bundle was understood: that is no matter of one reading.
                    if misfit && !spoke && (misfits == MISFITS || stack.is_empty()) {
                        let problem = format!(
                            "HTTP {status}: check that base_url is the FHIR base, and that the server accepts {} Bundles",
                            bundle.as_str()
                        );
                        return Err(self.not_fhir(CALL, problem));
                    }
                    fates.push((alone.index, done(rejected(kind, items, alone, status, &issues))));
                }
                (part, Reply::Refused(status, _)) => {
                    if status == 413 {
                        self.state.too_large(part.len());
                    }
                    let (first, second) = part.split_at(part.len() / 2);
                    stack.extend([second, first]);
                }
            }
        }
        Ok(fates)
    }

    async fn post(&self, kind: BundleKind, writes: &[Write]) -> Result<Reply, EhrError> {
        let request = self
            .http
            .post(self.url(&[]))
            .header(CONTENT_TYPE, FHIR_JSON)
            .header("prefer", "return=minimal")
            .body(bundle(kind, writes));
        let answer = self.send(CALL, request).await?;
        if !(200..300).contains(&answer.status) {
            return Ok(Reply::Refused(answer.status, Issues::read(&answer.body)));
        }
        let answered: Bundle = serde_json::from_str(&answer.body)
            .ok()
            .filter(|bundle: &Bundle| {
                bundle.resource_type == "Bundle"
                    && matches!(bundle.kind.as_str(), "batch-response" | "transaction-response")
            })
            .ok_or_else(|| {
                self.not_fhir(CALL, format!("its answer is no {}-response Bundle", kind.as_str()))
            })?;
        let (asked, got) = (writes.len(), answered.entry.len());
        if asked != got {
            return Err(self.not_fhir(CALL, format!("{got} entries came back for {asked}")));
        }
        let responses: Vec<_> = answered
            .entry
            .into_iter()
            .filter_map(|entry| entry.response.filter(|response| response.code().is_some()))
            .collect();
        if responses.len() != asked {
            return Err(self.not_fhir(CALL, "an entry of its answer has no status".into()));
        }
        Ok(Reply::Entries(responses))
    }

    /// Writes each entry in a request of its own.
    async fn write_singly(
        &self,
        kind: Kind,
        items: &[Item<'_>],
        writes: &[Write],
    ) -> Result<Vec<(usize, Fate)>, EhrError> {
        let mut responses = Vec::with_capacity(writes.len());
        for write in writes {
            let path: Vec<&str> = write.url.split('/').collect();
            let method = if write.method == "PUT" { Method::PUT } else { Method::POST };
            let mut request = self
                .http
                .request(method, self.url(&path))
                .header(CONTENT_TYPE, FHIR_JSON)
                .header("prefer", "return=minimal")
                .body(write.resource.clone());
            if let Some((name, value)) = &write.condition {
                let header = if *name == "ifNoneExist" { "if-none-exist" } else { "if-match" };
                request = request.header(header, value);
            }
            responses.push(match self.send(CALL, request).await {
                Ok(answer) => Response::alone(answer),
                // Everything but readings can be done without.
                Err(EhrError::Unauthorized { status, .. }) if kind != Kind::Observation => {
                    Response::bare(status)
                }
                Err(error) => return Err(error),
            });
        }
        self.settle(kind, items, writes, &responses)
    }

    fn settle(
        &self,
        kind: Kind,
        items: &[Item<'_>],
        writes: &[Write],
        responses: &[Response],
    ) -> Result<Vec<(usize, Fate)>, EhrError> {
        let mut fates: Vec<_> = writes
            .iter()
            .zip(responses)
            .map(|(write, response)| (write.index, judge(kind, items, write, response)))
            .collect();
        let doubled =
            responses.iter().zip(writes).filter(|(r, w)| w.op == Op::Post && r.code() == Some(412)).count();
        if doubled > 0 {
            warn!(ehr = %self.endpoint.name, kind = kind.as_str(), doubled, "the server has several resources with one \
                identifier: they are left as they are");
        }
        // When nothing at all is allowed, the readings are not to blame. Devices can be done without.
        let refused = |fate: &(usize, Fate)| match fate.1 {
            Fate::Refused { status, .. } => Some(status),
            _ => None,
        };
        if kind == Kind::Observation && fates.iter().all(|fate| refused(fate).is_some()) {
            match fates.first().and_then(refused) {
                Some(status @ (401 | 403)) => {
                    return Err(EhrError::Unauthorized {
                        ehr: self.endpoint.name.clone(),
                        call: CALL,
                        status,
                    });
                }
                Some(status) => {
                    return Err(self.unsupported(format!(
                        "it refuses every write with HTTP {status}: it may not accept ids that OHX assigns; set strategy \
                         to conditional-create, or allow update as create"
                    )));
                }
                None => {}
            }
        }
        for (_, fate) in &mut fates {
            if let Fate::Refused { outcome, .. } = fate {
                *fate = done(outcome.clone());
            }
        }
        Ok(fates)
    }
}

fn done(outcome: Outcome) -> Fate {
    Fate::Done { outcome, id: None }
}

/// What one entry's response means.
fn judge(kind: Kind, items: &[Item<'_>], write: &Write, response: &Response) -> Fate {
    let status = response.code().unwrap_or_default();
    let settled = |outcome| {
        let id = write.id.clone().or_else(|| id_in(response.location.as_deref()?, kind));
        Fate::Done { outcome, id }
    };
    match (status, write.op) {
        (201, Op::Post)
            if matches!(kind, Kind::Device | Kind::DeviceDefinition)
                && id_in(response.location.as_deref().unwrap_or(""), kind).is_none() =>
        {
            return Fate::Again(Why::NoId);
        }
        (201, Op::Put | Op::Post) => return settled(Outcome::Created),
        (200..=299 | 304, Op::Post) => return Fate::Again(Why::Exists),
        // A PUT that was to create and did not: another writer came first, and this is the next version.
        (200..=299 | 304, Op::Put | Op::Replace) => return settled(Outcome::Updated),
        // Several resources with this identifier: stored already.
        (412, Op::Post) => return done(Outcome::Unchanged),
        (409 | 412 | 423 | 425, _) => return Fate::Again(Why::Conflict),
        (408 | 429 | 500 | 502..=599, _) => return Fate::Again(Why::Busy(status)),
        _ => {}
    }
    let issues = response.outcome.as_ref().map(|outcome| Issues::read(outcome.get())).unwrap_or_default();
    if issues.transient() {
        return Fate::Again(Why::Busy(status));
    }
    let outcome = rejected(kind, items, write, status, &issues);
    if matches!(status, 401 | 403 | 405 | 501) { Fate::Refused { status, outcome } } else { done(outcome) }
}

fn rejected(kind: Kind, items: &[Item<'_>], write: &Write, status: u16, issues: &Issues) -> Outcome {
    let issue = if !issues.text.is_empty() {
        issues.text.as_str()
    } else if status == 413 {
        "too large for the server"
    } else {
        "without a reason"
    };
    let identifier = items.get(write.index).map(|item| &item.mapped.identifier);
    Outcome::Rejected {
        status: Some(status),
        reason: reason(kind, identifier, &format!("HTTP {status}, {issue}")),
    }
}

/// `Observation system|value: problem`.
pub(crate) fn reason(kind: Kind, identifier: Option<&Identifier>, problem: &str) -> String {
    let (system, value) = identifier.map_or(("", ""), |i| (i.system.as_str(), i.value.as_str()));
    format!("{} {system}|{value}: {problem}", kind.as_str())
}

/// The id in a location such as `https://ehr.example/fhir/Device/12/_history/1` or `Device/12`.
fn id_in(location: &str, kind: Kind) -> Option<String> {
    let parts: Vec<&str> = location.split(['/', '?', '#']).collect();
    let at = parts.iter().rposition(|part| *part == kind.as_str())?;
    parts.get(at + 1).filter(|id| is_id(id)).map(|id| (*id).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_in_any_location() {
        for location in [
            "Device/12",
            "Device/12/_history/3",
            "https://ehr.example/Device/Device/12/_history/1",
            "/fhir/Device/12?x",
        ] {
            assert_eq!(id_in(location, Kind::Device).as_deref(), Some("12"), "{location}");
        }
        for location in ["", "Device", "Device/", "Observation/12", "Device/a b"] {
            assert_eq!(id_in(location, Kind::Device), None, "{location}");
        }
    }
}
