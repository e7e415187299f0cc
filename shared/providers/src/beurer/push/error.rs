//! What is wrong with a body, or with a reading of it. Texts name fields and never hold a value.

use crate::beurer::gatt::GattError;

/// Why a body is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// Larger than [`super::MAX_BODY_BYTES`].
    #[error("the body is larger than {limit} bytes: send fewer readings at once")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// No JSON object.
    #[error("the body is not a JSON object: line {line}, column {column}")]
    NotJson {
        /// Where the JSON ends to be JSON.
        line: usize,
        /// Where in that line.
        column: usize,
    },
    /// A field that the contract does not have.
    #[error("the contract has no field {0}: leave it out")]
    UnknownField(String),
    /// A field that has to be there.
    #[error("the field {0} is missing")]
    Missing(&'static str),
    /// A field that holds something else.
    #[error("the field {0} must be {1}")]
    Invalid(&'static str, &'static str),
    /// No zone of that name.
    #[error("the field zone must be an IANA name such as Europe/Berlin")]
    UnknownZone,
    /// More than [`super::MAX_READINGS`].
    #[error("more than {limit} readings: send fewer at once")]
    TooMany {
        /// The limit.
        limit: usize,
    },
}

impl PushError {
    /// A short name that stays the same, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too-large",
            Self::NotJson { .. } => "not-json",
            Self::UnknownField(_) => "unknown-field",
            Self::Missing(_) => "missing-field",
            Self::Invalid(..) => "invalid-field",
            Self::UnknownZone => "unknown-zone",
            Self::TooMany { .. } => "too-many",
        }
    }
}

/// Why a reading is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadingError {
    /// Not an object, or a field in it twice.
    #[error("a reading is an object in which no field comes twice")]
    NotAnObject,
    /// A field that the contract does not have.
    #[error("the contract has no field {0} here: leave it out")]
    UnknownField(String),
    /// A field that has to be there.
    #[error("the field {0} is missing")]
    Missing(String),
    /// A field that holds something else.
    #[error("the field {0} must be {1}")]
    Invalid(String, &'static str),
    /// A unit that this value is not taken in.
    #[error("the unit of {0} must be {1}")]
    Unit(String, &'static str),
    /// Values of one kind in two units.
    #[error("the values of a reading must all be in the same unit: {0} is not")]
    SeveralUnits(String),
    /// Neither the device nor the gateway says when.
    #[error("when it was measured is not known: the device does not say, so send `received`")]
    NoTime,
    /// The device says when by its own clock, and nobody says in which zone.
    #[error(
        "the device gives its wall clock: send `zone`, or `received` with the offset of the place (not Z)"
    )]
    NoZone,
    /// Later than now.
    #[error("it lies in the future: set the clock of the device or the gateway")]
    Future,
    /// Of another user of the device than the one whose readings are wanted.
    #[error("it is of another user of the device than this address is for")]
    OtherUser,
    /// Nobody says whose it is, and the device has several users.
    #[error(
        "it does not say which user of the device it is of, and this address is for one of them: send `user`"
    )]
    NoUser,
    /// The bytes of a characteristic are no reading.
    #[error("the characteristic: {0}")]
    Gatt(#[from] GattError),
}

impl ReadingError {
    /// A short name that stays the same, for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAnObject => "not-an-object",
            Self::UnknownField(_) => "unknown-field",
            Self::Missing(_) => "missing-field",
            Self::Invalid(..) => "invalid-field",
            Self::Unit(..) => "unknown-unit",
            Self::SeveralUnits(_) => "several-units",
            Self::NoTime => "no-time",
            Self::NoZone => "no-zone",
            Self::Future => "future",
            Self::OtherUser => "other-user",
            Self::NoUser => "no-user",
            Self::Gatt(error) => match error {
                GattError::TooShort => "too-short",
                GattError::TooLong => "too-long",
                GattError::NoValue => "no-value",
                GattError::Number => "impossible-number",
                GattError::Time => "impossible-time",
                GattError::NotValid => "not-valid",
                GattError::Clock => "clock-fault",
                GattError::NotAPatient => "not-a-patient",
                GattError::SeveralPackets => "several-packets",
                GattError::Reserved => "reserved-code",
                GattError::OtherContext => "other-context",
                GattError::NoContext => "no-context",
            },
        }
    }
}
