//! Withings' numbers: integers on the wire, strings in the schema, booleans where other services send integers.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// An integer, however it is written: `7`, `"7"`, `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(pub(super) i64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Loose;

        impl Visitor<'_> for Loose {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer, as a number or as text")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Number, E> {
                Ok(Number(value))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
                i64::try_from(value)
                    .map(Number)
                    .map_err(|_| E::invalid_value(Unexpected::Other("a large number"), &self))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<Number, E> {
                Ok(Number(i64::from(value)))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Number, E> {
                match value.trim() {
                    "true" => Ok(Number(1)),
                    "false" | "" => Ok(Number(0)),
                    // The text itself stays out of the error.
                    text => text
                        .parse()
                        .map(Number)
                        .map_err(|_| E::invalid_value(Unexpected::Other("text"), &self)),
                }
            }
        }

        deserializer.deserialize_any(Loose)
    }
}

/// Text, also where it is written as a number: user ids.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Loose;

        impl Visitor<'_> for Loose {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, or an integer")
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<Text, E> {
                Ok(Text(value.to_string()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Text, E> {
                Ok(Text(value.to_owned()))
            }
        }

        deserializer.deserialize_any(Loose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_many_clothes() {
        let cases = [
            ("7", 7),
            ("\"7\"", 7),
            ("\" 7 \"", 7),
            ("true", 1),
            ("false", 0),
            ("\"\"", 0),
            ("-1", -1),
            ("\"true\"", 1),
        ];
        for (text, expected) in cases {
            assert_eq!(serde_json::from_str::<Number>(text).unwrap(), Number(expected), "{text}");
        }
        for text in ["1.5", "\"7a\"", "null", "[]", "{}", "18446744073709551615"] {
            assert!(serde_json::from_str::<Number>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_user_id_is_text() {
        for text in ["363", "\"363\""] {
            assert_eq!(serde_json::from_str::<Text>(text).unwrap().0, "363");
        }
    }
}
