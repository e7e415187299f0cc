//! Who lives in the demo, and what they own.

use ohx_sandbox::{Reading, google_health, omron, withings};

use super::export::Export;
use crate::sandbox::World;

/// An account, or a device without one.
#[derive(Clone, Copy)]
pub(crate) enum Account {
    /// A Withings account, by its user id.
    Withings(u64),
    /// A Google account with a Fitbit or a Pixel Watch, by its health user id.
    Fitbit(u64),
    /// An Omron account, by its user id.
    Omron(&'static str),
    /// Beurer's app on a phone, which exports files.
    Beurer,
}

/// A patient.
pub(crate) struct Person {
    pub(crate) name: &'static str,
    pub(crate) patient: &'static str,
    pub(crate) zone: &'static str,
    pub(crate) accounts: &'static [Account],
}

/// The people of the demo: one for each provider, and one with two scales whose readings come by three ways.
pub(crate) const PEOPLE: [Person; 5] = [
    Person {
        name: "Ada Sandberg",
        patient: "Patient/demo-1001",
        zone: "Europe/Vienna",
        accounts: &[Account::Withings(1001)],
    },
    Person {
        name: "Ben Okafor",
        patient: "Patient/demo-1002",
        zone: "America/New_York",
        accounts: &[Account::Fitbit(1002)],
    },
    Person {
        name: "Chiyo Mori",
        patient: "Patient/demo-1003",
        zone: "Asia/Tokyo",
        accounts: &[Account::Omron("7d1b0a6e-4b7e-4c29-9d0a-4f1f6f1f1003")],
    },
    Person {
        name: "Dana Kowalski",
        patient: "Patient/demo-1004",
        zone: "Europe/Berlin",
        accounts: &[Account::Beurer],
    },
    Person {
        name: "Eli Brandt",
        patient: "Patient/demo-1005",
        zone: "Europe/Berlin",
        accounts: &[Account::Withings(1005), Account::Beurer, Account::Fitbit(1005)],
    },
];

/// The patient whose readings come by several ways.
pub(crate) const ELI: &Person = &PEOPLE[4];

impl Account {
    /// The provider app that it is connected through.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::Withings(_) => "withings",
            Self::Fitbit(_) => "fitbit",
            Self::Omron(_) => "omron",
            Self::Beurer => "beurer",
        }
    }

    /// What is typed into the provider's consent page; nothing where there is none.
    pub(crate) fn user(self) -> Option<String> {
        match self {
            Self::Withings(id) | Self::Fitbit(id) => Some(id.to_string()),
            Self::Omron(id) => Some(id.to_owned()),
            Self::Beurer => None,
        }
    }

    /// The records of it that are compared, in the order of the table.
    pub(crate) const fn records(self) -> &'static [&'static str] {
        match self {
            Self::Withings(_) => &withings::USUAL,
            Self::Fitbit(_) => &google_health::USUAL,
            Self::Omron(_) => &omron::USUAL,
            Self::Beurer => &["blood-pressure", "weight"],
        }
    }

    /// What the provider has of it, and a correct consumer delivers.
    pub(crate) fn readings(self, world: &World, export: &Export) -> anyhow::Result<Vec<Reading>> {
        Ok(match self {
            Self::Withings(id) => world.withings.readings(id, self.records())?,
            Self::Fitbit(id) => world.fitbit.readings(id, self.records())?,
            Self::Omron(id) => world.omron.readings(id, self.records())?,
            Self::Beurer => export.readings()?,
        })
    }
}
