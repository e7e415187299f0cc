//! Where what was written came from (FHIR R5 Provenance; the same elements exist in R4 and R4B).

use ohx_domain::{ContentDigest, Identifier, Instant, WriteStrategy};
use serde::Serialize;
use tracing::warn;

use crate::batch::{Op, Write};
use crate::plan::Plan;
use crate::publish::Outcome;
use crate::search::Kind;
use crate::write::Fate;
use crate::{EhrClient, EhrError};

/// The code system of what an agent did (THO `provenance-participant-type`).
const PARTICIPATION: &str = "http://terminology.hl7.org/CodeSystem/provenance-participant-type";

/// Resources that one Provenance speaks of at most.
const TARGETS: usize = 250;

/// Where readings come from and by which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The provider's name for people, such as `Withings`.
    pub provider: String,
    /// What was read there, such as `withings/getmeas`.
    pub source: String,
    /// The mapping document and its version, such as `withings/getmeas 3`.
    pub mapping: String,
    /// The synchronisation that brought them.
    pub sync: String,
    /// When they were written.
    pub recorded: Instant,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Provenance<'a> {
    resource_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    target: Vec<Reference<'a>>,
    recorded: String,
    agent: [Agent<'a>; 1],
    entity: [Entity<'a>; 2],
}

#[derive(Serialize)]
struct Reference<'a> {
    reference: &'a str,
}

#[derive(Serialize)]
struct Agent<'a> {
    #[serde(rename = "type")]
    kind: Concept,
    who: Named<'a>,
}

#[derive(Serialize)]
struct Concept {
    coding: [Coding; 1],
}

#[derive(Serialize)]
struct Coding {
    system: &'static str,
    code: &'static str,
}

#[derive(Serialize)]
struct Entity<'a> {
    role: &'static str,
    what: Named<'a>,
}

/// A reference to something that is no resource at the EHR.
#[derive(Serialize)]
struct Named<'a> {
    identifier: Token<'a>,
    display: String,
}

#[derive(Serialize)]
struct Token<'a> {
    system: String,
    value: &'a str,
}

/// The text of the Provenance of `targets` (references such as `Observation/12`).
fn text(
    base: &str,
    id: Option<&str>,
    targets: &[&str],
    origin: &Origin,
) -> Result<String, serde_json::Error> {
    let named = |system: &str, value, display: String| Named {
        identifier: Token { system: format!("{base}/{system}"), value },
        display,
    };
    serde_json::to_string(&Provenance {
        resource_type: "Provenance",
        id,
        target: targets.iter().map(|reference| Reference { reference }).collect(),
        recorded: origin.recorded.to_string(),
        agent: [Agent {
            kind: Concept { coding: [Coding { system: PARTICIPATION, code: "assembler" }] },
            who: named(
                "software",
                "open-health-exchange",
                format!("Open Health Exchange {}", env!("CARGO_PKG_VERSION")),
            ),
        }],
        entity: [
            Entity {
                role: "source",
                what: named("sync", &origin.sync, format!("{}: {}", origin.provider, origin.source)),
            },
            Entity {
                role: "source",
                what: named("mapping", &origin.mapping, format!("Mapping document {}", origin.mapping)),
            },
        ],
    })
}

impl EhrClient {
    /// Says of what was just written where it came from. The readings are there already and stay, whatever becomes of this:
    /// a failure is told and is none of theirs. Returns how many Provenances were written.
    pub(crate) async fn tell_provenance(
        &self,
        plan: &Plan,
        base: &str,
        targets: &[String],
        origin: &Origin,
    ) -> usize {
        if !self.endpoint.provenance || plan.without.contains(&Kind::Provenance) || targets.is_empty() {
            return 0;
        }
        match self.write_provenance(plan, base, targets, origin).await {
            Ok(written) => written,
            Err(error) => {
                warn!(ehr = %self.endpoint.name, %error, "no Provenance was written");
                0
            }
        }
    }

    async fn write_provenance(
        &self,
        plan: &Plan,
        base: &str,
        targets: &[String],
        origin: &Origin,
    ) -> Result<usize, EhrError> {
        let mut writes = Vec::new();
        for (index, some) in targets.chunks(TARGETS).enumerate() {
            let some: Vec<&str> = some.iter().map(String::as_str).collect();
            // A Provenance has no identifier: an id of ours, where the server takes those, keeps a repeated request harmless.
            let id = (plan.strategy == WriteStrategy::Update).then(|| {
                let mut digest = ContentDigest::new();
                digest.field(origin.sync.as_bytes());
                digest.field(origin.recorded.to_string().as_bytes());
                some.iter().for_each(|target| digest.field(target.as_bytes()));
                Identifier { system: format!("{base}/provenance"), value: digest.finish() }.resource_id()
            });
            let resource = text(base, id.as_deref(), &some, origin)
                .map_err(|_| self.unsupported("a Provenance cannot be written as JSON".into()))?;
            let (op, method, url) = match &id {
                Some(id) => (Op::Put, "PUT", format!("Provenance/{id}")),
                None => (Op::Post, "POST", "Provenance".to_owned()),
            };
            writes.push(Write { index, op, id, method, url, condition: None, resource });
        }
        let fates = self.write(plan, Kind::Provenance, &[], &writes).await?;
        let done =
            |fate: &Fate| matches!(fate, Fate::Done { outcome: Outcome::Created | Outcome::Updated, .. });
        let written = fates.iter().filter(|(_, fate)| done(fate)).count();
        if written < writes.len() {
            let reason = fates.iter().find_map(|(_, fate)| match fate {
                Fate::Done { outcome: Outcome::Rejected { reason, .. }, .. } => Some(reason.as_str()),
                _ => None,
            });
            warn!(
                ehr = %self.endpoint.name, missing = writes.len() - written, reason = reason.unwrap_or("the server was busy"),
                "a Provenance was not written"
            );
        }
        Ok(written)
    }
}
