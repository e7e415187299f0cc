//! Mapping documents and activations in a configuration file.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use ohx_api::mappings::check::{self, Refused};
use ohx_domain::{Canary, EhrName, Instant, MappingScope};
use ohx_link::audit::note_in;
use ohx_store::{NewActivation, NewMapping, SharedStore};
use serde::Deserialize;
use serde_json::json;

/// Who saves and activates.
const BY: &str = "apply";

/// A document to save: a file, or the text itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppliedMapping {
    /// Relative to the configuration file.
    file: Option<PathBuf>,
    document: Option<String>,
    note: Option<String>,
}

/// What a scope points to.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AppliedActivation {
    mapping: String,
    scope: MappingScope,
    /// `null` leaves it to the next wider scope. It has to be said.
    #[serde(deserialize_with = "Option::deserialize")]
    version: Option<u32>,
    canary: Option<Canary>,
}

/// What is to be written, checked.
pub(super) struct Plan {
    save: Vec<(NewMapping, u32)>,
    activate: Vec<NewActivation>,
}

fn refused(of: &str, refused: &Refused) -> anyhow::Error {
    match refused {
        // They say what to do themselves.
        Refused::Document(error) => anyhow!("{of}: {error}"),
        other => anyhow!("{of}: {other}; {}", other.hint()),
    }
}

impl Plan {
    /// Checks everything, and finds out what is not so yet. Relative files are in `folder`; `ehrs` are endpoints that
    /// will be there.
    pub(super) async fn new(
        mappings: &[AppliedMapping],
        activations: &[AppliedActivation],
        folder: &Path,
        ehrs: &[EhrName],
        store: &SharedStore,
    ) -> anyhow::Result<Self> {
        let save = documents(mappings, folder, store).await?;
        let mut plan = Self { save, activate: Vec::new() };
        for (n, activation) in activations.iter().enumerate() {
            let of = format!("activations[{n}] ({} for {})", activation.mapping, activation.scope);
            let AppliedActivation { mapping, scope, .. } = activation;
            if activations.iter().take(n).any(|a| (&a.mapping, &a.scope) == (mapping, scope)) {
                bail!("{of}: the same mapping and scope stand above; keep one");
            }
            let new = plan.activation(activation, ehrs, store).await;
            plan.activate.extend(new.map_err(|e| e.context(of))?);
        }
        Ok(plan)
    }

    /// The activation, unless it is so already.
    async fn activation(
        &self,
        to: &AppliedActivation,
        ehrs: &[EhrName],
        store: &SharedStore,
    ) -> anyhow::Result<Option<NewActivation>> {
        let AppliedActivation { mapping, scope, version, canary } = to;
        let told = |why: Refused| anyhow!("{why}; {}", why.hint());
        if !check::is_known(mapping) {
            bail!(told(Refused::Name { name: mapping.clone() }));
        }
        let comes = matches!(scope, MappingScope::Ehr(name) if ehrs.contains(name));
        if !comes && !check::scope_exists(&**store, scope).await? {
            bail!(told(Refused::Scope(scope.clone())));
        }
        for version in version.iter().copied().chain(canary.map(|canary| canary.version)) {
            let comes = self.save.iter().find(|(new, v)| (&new.name, *v) == (mapping, version));
            let text = match comes {
                Some((new, _)) => Some(new.document.clone()),
                None => store.mapping(mapping, version).await?.map(|saved| saved.document),
            };
            check::active(mapping, version, text.as_deref()).map_err(told)?;
        }
        let now = store.activation_history(mapping, scope, None, 1).await?.into_iter().next();
        let points = now.as_ref().map_or((None, None), |a| (a.version, a.canary));
        Ok((points != (*version, *canary)).then(|| NewActivation {
            mapping: mapping.clone(),
            scope: scope.clone(),
            version: *version,
            canary: *canary,
            by: BY.to_owned(),
            expected_seq: Some(now.map_or(0, |a| a.seq)),
        }))
    }

    /// Writes it; gives how many documents and activations there were.
    pub(super) async fn write(
        self,
        store: &SharedStore,
        by: &str,
        at: Instant,
    ) -> anyhow::Result<(usize, usize)> {
        for (new, version) in &self.save {
            store.save_mapping(new, *version, at).await?;
            let (subject, detail) = (format!("mapping:{}", new.name), json!({"version": version}));
            note_in(store, at, by, "mapping.save", &subject, &detail).await?;
        }
        for new in &self.activate {
            store.activate(new, at).await?;
            let NewActivation { mapping, scope, version, canary, .. } = new;
            let detail = json!({"scope": scope, "version": version, "canary": canary});
            note_in(store, at, by, "mapping.activate", &format!("mapping:{mapping}"), &detail).await?;
        }
        Ok((self.save.len(), self.activate.len()))
    }
}

/// The documents that are not saved yet, in the order of their versions.
async fn documents(
    mappings: &[AppliedMapping],
    folder: &Path,
    store: &SharedStore,
) -> anyhow::Result<Vec<(NewMapping, u32)>> {
    let mut new = Vec::new();
    for (n, applied) in mappings.iter().enumerate() {
        let mut of = format!("mappings[{n}]");
        let document = match (&applied.file, &applied.document) {
            (Some(file), None) => {
                let file = folder.join(file);
                of = file.display().to_string();
                std::fs::read_to_string(&file).with_context(|| format!("{of} cannot be read"))?
            }
            (None, Some(document)) => document.clone(),
            _ => bail!("{of}: give a file, or the document itself"),
        };
        let mapping = check::document(&document).map_err(|e| refused(&of, &e))?;
        let (name, version) = (mapping.name().to_owned(), mapping.version());
        let saved = store.mapping(&name, version).await?;
        if saved.is_none_or(|saved| saved.document != document) {
            let (note, by) = (applied.note.clone(), BY.to_owned());
            new.push((of, mapping, NewMapping { name, document, note, by }));
        }
    }
    new.sort_by(|(_, a, _), (_, b, _)| (a.name(), a.version()).cmp(&(b.name(), b.version())));
    new.dedup_by(|(_, _, a), (_, _, b)| a.document == b.document);
    let mut save: Vec<(NewMapping, u32)> = Vec::new();
    for (of, mapping, new) in new {
        let latest = match save.last().filter(|(before, _)| before.name == new.name) {
            Some((_, version)) => Some(*version),
            None => store.latest_mapping_version(&new.name).await?,
        };
        check::version(&mapping, latest).map_err(|e| refused(&of, &e))?;
        save.push((new, mapping.version()));
    }
    Ok(save)
}

#[cfg(test)]
#[path = "mappings_tests.rs"]
mod tests;
