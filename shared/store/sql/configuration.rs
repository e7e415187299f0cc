//! Provider apps and EHR endpoints. Both are a name, a JSON document and a sealed secret.

use async_trait::async_trait;
use ohx_domain::{EhrEndpoint, EhrName, Instant, ProviderApp, ProviderName};
use ohx_store::{Configuration, Result};
use serde::de::DeserializeOwned;

use super::columns::Columns;
use super::values::{json, micros};
use super::{sql, unavailable};
use crate::Engine;

/// The statements of one of the two tables.
struct Table {
    name: &'static str,
    put: &'static str,
    one: &'static str,
    all: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            name: $name,
            // A secret that is not given stays: an app's scopes can be changed without knowing its secret.
            put: concat!(
                "INSERT INTO ",
                $name,
                " AS t (name, config, sealed_secret, created_at, updated_at)
                 VALUES ($1, $2, $3, $4, $4)
                 ON CONFLICT (name) DO UPDATE SET config = excluded.config,
                     sealed_secret = COALESCE(excluded.sealed_secret, t.sealed_secret),
                     updated_at = excluded.updated_at"
            ),
            one: concat!("SELECT config, sealed_secret FROM ", $name, " WHERE name = $1"),
            all: concat!("SELECT config FROM ", $name, " ORDER BY name"),
        }
    };
}

const PROVIDERS: Table = table!("providers");
const EHRS: Table = table!("ehrs");

impl Engine {
    async fn put_document(
        &self,
        table: &Table,
        name: &str,
        config: String,
        sealed_secret: Option<&[u8]>,
        at: Instant,
    ) -> Result<()> {
        let put = sql(table.put).bind(name).bind(config).bind(sealed_secret).bind(micros(at));
        put.execute(self.writer()).await.map_err(unavailable)?;
        Ok(())
    }

    async fn document<T: DeserializeOwned>(
        &self,
        table: &Table,
        name: &str,
    ) -> Result<Option<(T, Option<Vec<u8>>)>> {
        let row = sql(table.one).bind(name).fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| {
            let columns = Columns::new(&row, table.name);
            Ok((columns.json("config")?, columns.get("sealed_secret")?))
        })
        .transpose()
    }

    async fn documents<T: DeserializeOwned>(&self, table: &Table) -> Result<Vec<T>> {
        let rows = sql(table.all).fetch_all(self.reader()).await.map_err(unavailable)?;
        rows.iter().map(|row| Columns::new(row, table.name).json("config")).collect()
    }
}

#[async_trait]
impl Configuration for Engine {
    async fn migrate(&self) -> Result<()> {
        self.migrate_schema().await
    }

    async fn ping(&self) -> Result<()> {
        sql("SELECT 1").execute(self.reader()).await.map_err(unavailable)?;
        Ok(())
    }

    async fn put_provider(&self, app: &ProviderApp, sealed_secret: Option<&[u8]>, at: Instant) -> Result<()> {
        let config = json(app, PROVIDERS.name, "config")?;
        self.put_document(&PROVIDERS, app.name.as_str(), config, sealed_secret, at).await
    }

    async fn provider(&self, name: &ProviderName) -> Result<Option<(ProviderApp, Option<Vec<u8>>)>> {
        self.document(&PROVIDERS, name.as_str()).await
    }

    async fn providers(&self) -> Result<Vec<ProviderApp>> {
        self.documents(&PROVIDERS).await
    }

    async fn put_ehr(&self, ehr: &EhrEndpoint, sealed_secret: Option<&[u8]>, at: Instant) -> Result<()> {
        let config = json(ehr, EHRS.name, "config")?;
        self.put_document(&EHRS, ehr.name.as_str(), config, sealed_secret, at).await
    }

    async fn ehr(&self, name: &EhrName) -> Result<Option<(EhrEndpoint, Option<Vec<u8>>)>> {
        self.document(&EHRS, name.as_str()).await
    }

    async fn ehrs(&self) -> Result<Vec<EhrEndpoint>> {
        self.documents(&EHRS).await
    }
}
