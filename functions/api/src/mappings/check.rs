//! What a document, a version and a scope have to fulfil before they count.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ohx_domain::{FIRST_SAVED_VERSION, MappingScope};
use ohx_mapping::{DocumentError, ExampleError, Mapping};
use ohx_store::{Store, StoreError};

/// Why something is not taken. Shows rules and made-up examples, no health data.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The document does not compile.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// One of its examples does not hold.
    #[error(transparent)]
    Example(#[from] ExampleError),
    /// No provider has such a record.
    #[error("no provider has the record {name}")]
    Name {
        /// What the document calls itself.
        name: String,
    },
    /// It has no example.
    #[error("mapping {name} has no example")]
    NoExample {
        /// The document's name.
        name: String,
    },
    /// A version that cannot be saved.
    #[error("version {version} of mapping {name} cannot be saved: {why}")]
    Version {
        /// The document's name.
        name: String,
        /// Its version.
        version: u32,
        /// Why.
        why: &'static str,
        /// The next free one, unless there is none.
        next: Option<u32>,
    },
    /// A version that is to be active, and that nobody has saved.
    #[error("version {version} of mapping {name} is not saved")]
    NotSaved {
        /// The mapping's name.
        name: String,
        /// The version.
        version: u32,
    },
    /// A version below 1000 that is not the program's own.
    #[error("version {version} of mapping {name} is not what this program has")]
    NotOwn {
        /// The mapping's name.
        name: String,
        /// The version.
        version: u32,
    },
    /// A saved version that does not fulfil the rules of this version of the program.
    #[error("version {version} of mapping {name} cannot be activated: {why}")]
    Unusable {
        /// The mapping's name.
        name: String,
        /// The version.
        version: u32,
        /// Why.
        why: Box<Refused>,
    },
    /// There is no such EHR endpoint, or no such link.
    #[error("the scope {0} does not exist")]
    Scope(MappingScope),
}

impl Refused {
    /// What to do about it; empty where nothing can be said.
    pub fn hint(&self) -> String {
        match self {
            Self::Document(error) => error.hint.clone(),
            Self::Example(_) => "mend the rule, or what the example expects of it".into(),
            Self::Name { .. } => format!("call it one of {}", names().join(", ")),
            Self::NoExample { .. } => {
                "add one under `examples`: a page, and what it is expected to become".into()
            }
            Self::Version { next: Some(next), .. } => format!("write `version: {next}`"),
            Self::Version { next: None, .. } => "no number is left".into(),
            Self::NotSaved { .. } => "save it first".into(),
            Self::NotOwn { name, .. } => {
                let own = own(name).map(|(version, _)| format!(", or {version} for the program's own"));
                format!(
                    "versions below {FIRST_SAVED_VERSION} are the program's own: give null to leave it to the next wider \
                     scope{}",
                    own.unwrap_or_default()
                )
            }
            Self::Unusable { why, .. } => why.hint(),
            Self::Scope(MappingScope::Link(_)) => "give the id of a link, as link:<id>".into(),
            Self::Scope(_) => "give global, or an EHR endpoint that is configured, as ehr:<name>".into(),
        }
    }
}

/// The names that a mapping can have: a type of provider and one of its records. In order.
pub fn names() -> Vec<String> {
    let names = ohx_providers::KINDS
        .iter()
        .filter(|kind| ohx_providers::mapped_as(kind.name) == kind.name)
        .flat_map(|kind| kind.records.iter().map(|record| format!("{}/{record}", kind.name)));
    let mut names: Vec<_> = names.collect();
    names.sort_unstable();
    names
}

/// Whether a mapping can have this name.
pub fn is_known(name: &str) -> bool {
    let of = name.split_once('/').filter(|(kind, _)| ohx_providers::mapped_as(kind) == *kind);
    of.and_then(|(kind, record)| ohx_providers::kind(kind).map(|kind| kind.records.contains(&record)))
        .unwrap_or(false)
}

/// The version and the text of the program's own document of that name.
pub fn own(name: &str) -> Option<(u32, &'static str)> {
    static OWN: LazyLock<BTreeMap<String, (u32, &'static str)>> = LazyLock::new(|| {
        let read = |(_, _, text): &(&str, &str, &'static str)| {
            let mapping = Mapping::parse(text).ok()?;
            Some((mapping.name().to_owned(), (mapping.version(), *text)))
        };
        ohx_mapping::BUILT_IN.iter().filter_map(read).collect()
    });
    OWN.get(name).copied()
}

/// Compiles a document and runs its examples, of which it must have one at least.
///
/// # Errors
/// [`Refused`].
pub fn document(text: &str) -> Result<Mapping, Refused> {
    let mapping = Mapping::parse(text)?;
    let name = mapping.name();
    if !is_known(name) {
        return Err(Refused::Name { name: name.to_owned() });
    }
    if mapping.examples().next().is_none() {
        return Err(Refused::NoExample { name: name.to_owned() });
    }
    mapping.check_examples()?;
    Ok(mapping)
}

/// Whether a document's version can be saved after `latest`, the newest saved one.
///
/// # Errors
/// [`Refused::Version`].
pub fn version(mapping: &Mapping, latest: Option<u32>) -> Result<(), Refused> {
    let version = mapping.version();
    let why = if version < FIRST_SAVED_VERSION {
        "those below 1000 are the program's own"
    } else if latest.is_some_and(|latest| latest >= version) {
        "there is a version with that number or a greater one already, and none ever changes"
    } else {
        return Ok(());
    };
    let next = latest.map_or(Some(FIRST_SAVED_VERSION), |latest| latest.checked_add(1));
    Err(Refused::Version { name: mapping.name().to_owned(), version, why, next })
}

/// Whether a version of `name` can be active: `saved` is the text that is saved under it.
///
/// # Errors
/// [`Refused`].
pub fn active(name: &str, version: u32, saved: Option<&str>) -> Result<(), Refused> {
    let name = name.to_owned();
    if version < FIRST_SAVED_VERSION {
        let ours = own(&name).is_some_and(|(own, _)| own == version);
        return if ours { Ok(()) } else { Err(Refused::NotOwn { name, version }) };
    }
    match saved.map(document) {
        None => Err(Refused::NotSaved { name, version }),
        Some(Ok(_)) => Ok(()),
        Some(Err(why)) => Err(Refused::Unusable { name, version, why: Box::new(why) }),
    }
}

/// Whether a scope exists.
///
/// # Errors
/// [`StoreError`].
pub async fn scope_exists(store: &dyn Store, scope: &MappingScope) -> Result<bool, StoreError> {
    match scope {
        MappingScope::Global => Ok(true),
        MappingScope::Ehr(name) => Ok(store.ehr(name).await?.is_some()),
        MappingScope::Link(id) => Ok(store.link(*id).await?.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_has_a_document_of_the_programs_own_that_fulfils_the_rules() {
        for name in names() {
            let (version, text) = own(&name).unwrap_or_else(|| panic!("no document for {name}"));
            let mapping = document(text).unwrap();
            assert_eq!((mapping.name(), mapping.version()), (name.as_str(), version));
            assert!(version < FIRST_SAVED_VERSION);
            active(&name, version, None).unwrap();
        }
    }

    #[test]
    fn a_new_version_is_above_every_other_and_the_hint_says_which() {
        let (_, text) = own("withings/getmeas").unwrap();
        let at = |version: u32| {
            Mapping::parse(&text.replacen("version: 1", &format!("version: {version}"), 1)).unwrap()
        };
        let refused = |new: u32, latest| version(&at(new), latest).err().map(|refused| refused.hint());
        let next = |n: u32| Some(format!("write `version: {n}`"));
        for (new, latest, expected) in [
            (1000, None, None),
            (4000, None, None),
            (1001, Some(1000), None),
            (1, None, next(1000)),
            (999, Some(1006), next(1007)),
            (1000, Some(1000), next(1001)),
            (1004, Some(1006), next(1007)),
            (u32::MAX, Some(u32::MAX), Some("no number is left".into())),
        ] {
            assert_eq!(refused(new, latest), expected, "{new} after {latest:?}");
        }
    }

    #[test]
    fn below_1000_only_the_programs_own_can_be_active() {
        let refused = active("withings/getmeas", 7, Some("whatever is saved")).unwrap_err();
        for part in ["version 7", "withings/getmeas", "not what this program has"] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
        assert!(refused.hint().contains("give null"), "{}", refused.hint());
    }
}
