//! Reading rows: what cannot be read says which column, never what stood in it.

use std::str::FromStr;

use ohx_domain::Instant;
use ohx_store::{Result, StoreError};
use serde::de::DeserializeOwned;
use sqlx::{Decode, Row, Type};

use crate::Db;

type DbRow = <Db as sqlx::Database>::Row;

/// A row of a table.
pub(crate) struct Columns<'r> {
    row: &'r DbRow,
    table: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) const fn new(row: &'r DbRow, table: &'static str) -> Self {
        Self { row, table }
    }

    const fn corrupt(&self, column: &'static str) -> StoreError {
        StoreError::Corrupt { table: self.table, column }
    }

    /// A value as the driver gives it.
    pub(crate) fn get<T: Decode<'r, Db> + Type<Db>>(&self, column: &'static str) -> Result<T> {
        self.row.try_get(column).map_err(|_| self.corrupt(column))
    }

    /// A text that `read` understands.
    pub(crate) fn read<T>(&self, column: &'static str, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        read(self.get::<&str>(column)?).ok_or_else(|| self.corrupt(column))
    }

    /// An id or name.
    pub(crate) fn parse<T: FromStr>(&self, column: &'static str) -> Result<T> {
        self.read(column, |text| text.parse().ok())
    }

    /// An id or name, where there is one.
    pub(crate) fn parse_optional<T: FromStr>(&self, column: &'static str) -> Result<Option<T>> {
        let text: Option<&str> = self.get(column)?;
        text.map(|t| t.parse().map_err(|_| self.corrupt(column))).transpose()
    }

    /// A JSON text.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T> {
        self.read(column, |text| serde_json::from_str(text).ok())
    }

    /// An instant.
    pub(crate) fn instant(&self, column: &'static str) -> Result<Instant> {
        self.instant_optional(column)?.ok_or_else(|| self.corrupt(column))
    }

    /// An instant, where there is one.
    pub(crate) fn instant_optional(&self, column: &'static str) -> Result<Option<Instant>> {
        let micros: Option<i64> = self.get(column)?;
        micros.map(|m| Instant::from_microsecond(m).map_err(|_| self.corrupt(column))).transpose()
    }

    /// A SHA-256.
    pub(crate) fn digest(&self, column: &'static str) -> Result<[u8; 32]> {
        self.get::<Vec<u8>>(column)?.try_into().map_err(|_| self.corrupt(column))
    }

    /// A number that is never negative.
    pub(crate) fn count<T: TryFrom<i64>>(&self, column: &'static str) -> Result<T> {
        T::try_from(self.get(column)?).map_err(|_| self.corrupt(column))
    }

    /// A number that is never negative, where there is one.
    pub(crate) fn count_optional<T: TryFrom<i64>>(&self, column: &'static str) -> Result<Option<T>> {
        let number: Option<i64> = self.get(column)?;
        number.map(|n| T::try_from(n).map_err(|_| self.corrupt(column))).transpose()
    }
}
