//! Provider apps and EHR endpoints. Both are a name, a JSON document and a sealed secret.

use async_trait::async_trait;
use ohx_domain::{EhrEndpoint, EhrName, Instant, ProviderApp, ProviderName};
use ohx_store::{Configuration, Configured, Configuring, Kept, Result, Revision, SecretChange, Seen, Uses};
use serde::de::DeserializeOwned;

use super::columns::Columns;
use super::errors::not_found;
use super::values::{json, micros};
use super::{sql, unavailable};
use crate::Engine;

/// The statements of one of the two tables.
struct Table {
    name: &'static str,
    put: &'static str,
    one: &'static str,
    all: &'static str,
    kept: &'static str,
    all_kept: &'static str,
    add: &'static str,
    locked: &'static str,
    change: &'static str,
    remove: &'static str,
}

macro_rules! table {
    ($name:literal) => {
        Table {
            name: $name,
            // A secret that is not given stays: an app's scopes can be changed without knowing its secret.
            put: concat!(
                "INSERT INTO ",
                $name,
                " AS t (name, config, sealed_secret, created_at, updated_at, revision)
                 VALUES ($1, $2, $3, $4, $4, $4)
                 ON CONFLICT (name) DO UPDATE SET config = excluded.config,
                     sealed_secret = COALESCE(excluded.sealed_secret, t.sealed_secret),
                     updated_at = excluded.updated_at, revision = ",
                greatest!(),
                "(t.revision + 1, excluded.revision)"
            ),
            one: concat!("SELECT config, sealed_secret FROM ", $name, " WHERE name = $1"),
            all: concat!("SELECT config FROM ", $name, " ORDER BY name"),
            kept: concat!("SELECT config, sealed_secret IS NOT NULL AS secret, revision FROM ", $name, " WHERE name = $1"),
            all_kept: concat!(
                "SELECT config, sealed_secret IS NOT NULL AS secret, revision FROM ",
                $name,
                " ORDER BY name"
            ),
            add: concat!(
                "INSERT INTO ",
                $name,
                " (name, config, sealed_secret, created_at, updated_at, revision)
                 VALUES ($1, $2, $3, $4, $4, $4) ON CONFLICT (name) DO NOTHING"
            ),
            locked: concat!("SELECT revision FROM ", $name, " WHERE name = $1", for_update!()),
            change: concat!(
                "UPDATE ",
                $name,
                " SET config = $2, sealed_secret = CASE WHEN $5 THEN sealed_secret ELSE $3 END, updated_at = $4,
                      revision = $6 WHERE name = $1"
            ),
            remove: concat!("DELETE FROM ", $name, " WHERE name = $1"),
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

    async fn close(&self) {
        // The engine's own, which goes before the trait's.
        Self::close(self).await;
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

/// The links that keep something from being removed: those that have not ended.
const USES_PROVIDER: &str =
    "SELECT COUNT(*) AS links FROM links WHERE provider = $1 AND state <> 'disconnected'";
/// An EHR's name has no character that means something in a pattern, or that JSON escapes.
const USES_EHR: &str = "SELECT COUNT(*) AS links FROM links
    WHERE (ehr = $1 OR also LIKE '%\"ehr\":\"' || $1 || '\"%') AND state <> 'disconnected'";

fn kept<T: DeserializeOwned>(row: &Columns<'_>) -> Result<Kept<T>> {
    let (has_secret, revision) = (row.get("secret")?, Revision(row.get("revision")?));
    Ok(Kept { config: row.json("config")?, has_secret, revision })
}

impl Engine {
    async fn kept<T: DeserializeOwned>(&self, table: &Table, name: &str) -> Result<Option<Kept<T>>> {
        let row = sql(table.kept).bind(name).fetch_optional(self.reader()).await.map_err(unavailable)?;
        row.map(|row| kept(&Columns::new(&row, table.name))).transpose()
    }

    async fn all_kept<T: DeserializeOwned>(&self, table: &Table) -> Result<Vec<Kept<T>>> {
        let rows = sql(table.all_kept).fetch_all(self.reader()).await.map_err(unavailable)?;
        rows.iter().map(|row| kept(&Columns::new(row, table.name))).collect()
    }

    async fn put_seen(
        &self,
        table: &Table,
        name: &str,
        config: String,
        secret: SecretChange<'_>,
        seen: Seen,
        at: Instant,
    ) -> Result<Option<Revision>> {
        let (keep, sealed) = match secret {
            SecretChange::Keep => (true, None),
            SecretChange::Set(sealed) => (false, Some(sealed)),
            SecretChange::Clear => (false, None),
        };
        let mut tx = self.begin().await?;
        let done = match seen {
            Seen::Absent => {
                let added = sql(table.add).bind(name).bind(config).bind(sealed).bind(micros(at));
                let added = added.execute(&mut *tx).await.map_err(unavailable)?;
                (added.rows_affected() == 1).then_some(Revision(micros(at)))
            }
            Seen::At(revision) if locked(&mut tx, table, name).await? == Some(revision) => {
                let next = Revision(micros(at).max(revision.0.saturating_add(1)));
                let change = sql(table.change).bind(name).bind(config).bind(sealed);
                let change = change.bind(micros(at)).bind(keep).bind(next.0);
                change.execute(&mut *tx).await.map_err(unavailable)?;
                Some(next)
            }
            Seen::At(_) => None,
        };
        tx.commit().await.map_err(unavailable)?;
        Ok(done)
    }
}

async fn locked(tx: &mut super::Transaction, table: &Table, name: &str) -> Result<Option<Revision>> {
    let row = sql(table.locked).bind(name).fetch_optional(&mut **tx).await.map_err(unavailable)?;
    row.map(|row| Columns::new(&row, table.name).get("revision").map(Revision)).transpose()
}

#[async_trait]
impl Configuring for Engine {
    async fn kept_provider(&self, name: &ProviderName) -> Result<Option<Kept<ProviderApp>>> {
        self.kept(&PROVIDERS, name.as_str()).await
    }

    async fn kept_ehr(&self, name: &EhrName) -> Result<Option<Kept<EhrEndpoint>>> {
        self.kept(&EHRS, name.as_str()).await
    }

    async fn kept_providers(&self) -> Result<Vec<Kept<ProviderApp>>> {
        self.all_kept(&PROVIDERS).await
    }

    async fn kept_ehrs(&self) -> Result<Vec<Kept<EhrEndpoint>>> {
        self.all_kept(&EHRS).await
    }

    async fn put_provider_seen(
        &self,
        app: &ProviderApp,
        secret: SecretChange<'_>,
        seen: Seen,
        at: Instant,
    ) -> Result<Option<Revision>> {
        let config = json(app, PROVIDERS.name, "config")?;
        self.put_seen(&PROVIDERS, app.name.as_str(), config, secret, seen, at).await
    }

    async fn put_ehr_seen(
        &self,
        ehr: &EhrEndpoint,
        secret: SecretChange<'_>,
        seen: Seen,
        at: Instant,
    ) -> Result<Option<Revision>> {
        let config = json(ehr, EHRS.name, "config")?;
        self.put_seen(&EHRS, ehr.name.as_str(), config, secret, seen, at).await
    }

    async fn remove_configured(&self, which: Configured<'_>, seen: Revision) -> Result<Uses> {
        let (table, what, name, uses) = match which {
            Configured::Provider(name) => (&PROVIDERS, "provider app", name.as_str(), USES_PROVIDER),
            Configured::Ehr(name) => (&EHRS, "EHR endpoint", name.as_str(), USES_EHR),
        };
        let mut tx = self.begin().await?;
        let known = locked(&mut tx, table, name).await?.ok_or_else(|| not_found(what, name))?;
        if known != seen {
            return Ok(Uses::Changed);
        }
        let used = sql(uses).bind(name).fetch_one(&mut *tx).await.map_err(unavailable)?;
        let links: u64 = Columns::new(&used, "links").count("links")?;
        if links > 0 {
            return Ok(Uses::Links(links));
        }
        sql(table.remove).bind(name).execute(&mut *tx).await.map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)?;
        Ok(Uses::Removed)
    }
}
