//! What every resource needs to be rewritten: members that go, lists whose items change, and what was lost on the way.

use ohx_domain::FhirVersion;
use serde_json::value::RawValue;

use super::VersionError;
use crate::splice::Object;

/// What became of an item of a list.
pub(super) enum Edit {
    Same,
    Changed,
    Gone,
}

impl From<bool> for Edit {
    fn from(changed: bool) -> Self {
        if changed { Self::Changed } else { Self::Same }
    }
}

/// The paths of what was left out, and the release on account of which it was.
pub(super) struct Loss {
    version: FhirVersion,
    paths: Vec<&'static str>,
}

impl Loss {
    pub(super) const fn new(version: FhirVersion) -> Self {
        Self { version, paths: Vec::new() }
    }

    pub(super) fn note(&mut self, path: &'static str) {
        if !self.paths.contains(&path) {
            self.paths.push(path);
        }
    }

    pub(super) fn into_paths(self) -> Vec<&'static str> {
        self.paths
    }

    pub(super) fn malformed(&self, path: impl Into<String>) -> VersionError {
        VersionError::Malformed { path: path.into(), version: self.version.as_str() }
    }

    pub(super) fn no_home(&self, path: impl Into<String>) -> VersionError {
        VersionError::NoHome { path: path.into(), version: self.version.as_str() }
    }

    pub(super) fn missing(&self, path: impl Into<String>) -> VersionError {
        VersionError::Missing { path: path.into(), version: self.version.as_str() }
    }

    /// JSON that was put together from JSON.
    pub(super) fn text(&self, json: String, path: &str) -> Result<Box<RawValue>, VersionError> {
        RawValue::from_string(json).map_err(|_| self.malformed(path))
    }

    /// Gives a member a value that was put together from JSON.
    pub(super) fn set(
        &self,
        object: &mut Object<'_>,
        path: &'static str,
        json: String,
    ) -> Result<(), VersionError> {
        object.set(last(path), json).map_err(|_| self.malformed(path))
    }
}

/// The member that a path ends in.
pub(super) fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// Takes members away that the release does not have, with their ids and extensions. Whether there were any.
pub(super) fn without(object: &mut Object<'_>, gone: &[&'static str], loss: &mut Loss) -> bool {
    object.retain(|name| {
        let bare = name.strip_prefix('_').unwrap_or(name);
        let path = gone.iter().find(|path| last(path) == bare);
        path.iter().for_each(|path| loss.note(path));
        path.is_none()
    })
}

/// The items of a list. None where there is no such member.
pub(super) fn items<'o>(
    object: &'o Object<'_>,
    path: &'static str,
    loss: &Loss,
) -> Result<Option<Vec<&'o RawValue>>, VersionError> {
    let list = object.get(last(path));
    list.map(|l| serde_json::from_str(l.get()).map_err(|_| loss.malformed(path))).transpose()
}

/// A value as an object.
pub(super) fn parse<'o>(
    value: &'o RawValue,
    path: &'static str,
    loss: &Loss,
) -> Result<Object<'o>, VersionError> {
    Object::parse(value).map_err(|_| loss.malformed(path))
}

/// Puts a list in a member's place; without items the member goes, because FHIR has no empty lists.
pub(super) fn put(
    object: &mut Object<'_>,
    path: &'static str,
    items: &[String],
    loss: &Loss,
) -> Result<(), VersionError> {
    if items.is_empty() {
        object.remove(last(path));
        return Ok(());
    }
    loss.set(object, path, format!("[{}]", items.join(",")))
}

/// Rewrites the objects of a list. Whether any changed.
pub(super) fn each(
    object: &mut Object<'_>,
    path: &'static str,
    loss: &mut Loss,
    mut rewrite: impl FnMut(&mut Object<'_>, &mut Loss) -> Result<Edit, VersionError>,
) -> Result<bool, VersionError> {
    let Some(list) = items(object, path, loss)? else { return Ok(false) };
    let mut changed = false;
    let mut texts = Vec::with_capacity(list.len());
    for item in list {
        let mut inner = parse(item, path, loss)?;
        match rewrite(&mut inner, loss)? {
            Edit::Same => texts.push(item.get().to_owned()),
            Edit::Changed if !inner.is_empty() => {
                changed = true;
                texts.push(inner.to_json());
            }
            Edit::Changed | Edit::Gone => changed = true,
        }
    }
    if changed {
        put(object, path, &texts, loss)?;
    }
    Ok(changed)
}
