//! Provenance.

use super::VersionError;
use super::edit::{Edit, Loss, each, items, parse, put, without};
use crate::splice::{Object, quote};

const GONE: &[&str] = &["Provenance.basedOn", "Provenance.patient", "Provenance.encounter"];

/// Rewrites a Provenance. Whether anything changed.
pub(super) fn rewrite(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    if object.get("recorded").is_none() {
        return Err(loss.missing("Provenance.recorded"));
    }
    let mut changed = without(object, GONE, loss);
    changed |= reasons(object, loss)?;
    changed |= each(object, "Provenance.entity", loss, |entity, loss| {
        if entity.get_str("role").as_deref() != Some("instantiates") {
            return Ok(Edit::Same);
        }
        // The wider word, which HL7's own converter takes too.
        loss.set(entity, "Provenance.entity.role", quote("derivation"))?;
        Ok(Edit::Changed)
    })?;
    Ok(changed)
}

/// `authorization` becomes `reason`, as far as it is concepts.
fn reasons(object: &mut Object<'_>, loss: &mut Loss) -> Result<bool, VersionError> {
    const PATH: &str = "Provenance.authorization";
    let Some(list) = items(object, PATH, loss)? else { return Ok(false) };
    let (mut reasons, mut more) = (Vec::with_capacity(list.len()), false);
    for item in list {
        let mut both = parse(item, PATH, loss)?;
        reasons.extend(both.get("concept").map(|c| c.get().to_owned()));
        more |= both.retain(|name| name == "concept");
    }
    if more {
        loss.note(PATH);
    }
    object.rename("authorization", "reason");
    put(object, "Provenance.reason", &reasons, loss)?;
    Ok(true)
}
