//! Who may call: roles, and what a caller is confined to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::InvalidId;
use crate::{EhrName, Link};

/// What a caller of the API may do at most.
///
/// [`Role::Admin`] may everything that [`Role::Integrator`] may, and that one everything that the other two may; those two
/// are beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// An app that makes links for its patients, and sees no other links than its own.
    LinkCreator,
    /// A clinician who looks whether readings arrive, and changes nothing.
    ClinicianRead,
    /// Who sets up mappings and watches over the flow.
    Integrator,
    /// Who also says who may call, and reads the audit log.
    Admin,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 4] = [Self::LinkCreator, Self::ClinicianRead, Self::Integrator, Self::Admin];

    /// The role as stores, the API and tokens write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkCreator => "link-creator",
            Self::ClinicianRead => "clinician-read",
            Self::Integrator => "integrator",
            Self::Admin => "admin",
        }
    }

    /// The role that a text stands for.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == text)
    }

    /// Whether who has this role may do what is open to `least`.
    pub const fn covers(self, least: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Integrator => !matches!(least, Self::Admin),
            Self::ClinicianRead => matches!(least, Self::ClinicianRead),
            Self::LinkCreator => matches!(least, Self::LinkCreator),
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = InvalidId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "admin, integrator, clinician-read or link-creator";
        Self::parse(text).ok_or_else(|| InvalidId::new("a role", expected, text))
    }
}

/// Which links there are for a caller; every other one does not exist for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Confinement {
    /// Only those whose readings go to this EHR endpoint, and nowhere else.
    pub ehr: Option<EhrName>,
    /// Only those that this caller has made.
    pub created_by: Option<String>,
}

impl Confinement {
    /// Whether there is anything that it hides.
    pub const fn confines(&self) -> bool {
        self.ehr.is_some() || self.created_by.is_some()
    }

    /// Whether a link is there for the caller.
    pub fn allows(&self, link: &Link) -> bool {
        let at = self.ehr.as_ref().is_none_or(|ehr| link.destinations().all(|(name, _)| name == ehr));
        at && self.created_by.as_ref().is_none_or(|by| link.created_by.as_ref() == Some(by))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_cover_one_another_as_said() {
        use Role::{Admin, ClinicianRead, Integrator, LinkCreator};
        let covered =
            |role: Role| Role::ALL.into_iter().filter(|least| role.covers(*least)).collect::<Vec<_>>();
        assert_eq!(covered(LinkCreator), [LinkCreator]);
        assert_eq!(covered(ClinicianRead), [ClinicianRead]);
        assert_eq!(covered(Integrator), [LinkCreator, ClinicianRead, Integrator]);
        assert_eq!(covered(Admin), Role::ALL);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
