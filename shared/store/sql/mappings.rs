//! Saved mapping documents and the pointers to them.
//!
//! A version, and a place in a history, are decided under a lock of their name: there is no row yet that could be locked.

use async_trait::async_trait;
use ohx_domain::{Activation, Canary, FIRST_SAVED_VERSION, Instant, MappingScope};
use ohx_store::{MappingFilter, MappingSummary, Mappings, NewActivation, NewMapping, Result, SavedMapping};

use super::columns::Columns;
use super::errors::{conflict, conflict_or_unavailable, not_found};
use super::values::{lock, micros, text};
use super::{Transaction, sql, unavailable};
use crate::{Db, Engine, dialect};

const TABLE: &str = "mappings";
const ACTIVATIONS: &str = "mapping_activations";

/// The columns that [`activation`] reads.
macro_rules! activation_columns {
    () => {
        "a.mapping, a.scope, a.seq, a.version, a.canary_version, a.canary_percent, a.activated_at, a.activated_by"
    };
}

fn activation(row: &Columns<'_>) -> Result<Activation> {
    let canary = row.count_optional("canary_version")?;
    Ok(Activation {
        mapping: row.get("mapping")?,
        scope: row.parse("scope")?,
        version: row.count_optional("version")?,
        canary: canary
            .map(|version| Ok(Canary { version, percent: row.count("canary_percent")? }))
            .transpose()?,
        at: row.instant("activated_at")?,
        by: row.get("activated_by")?,
        seq: row.get("seq")?,
    })
}

fn activations(rows: &[<Db as sqlx::Database>::Row]) -> Result<Vec<Activation>> {
    rows.iter().map(|row| activation(&Columns::new(row, ACTIVATIONS))).collect()
}

/// PostgreSQL refuses U+0000 in text. A document that is not kept as it was written would not be that document.
fn writable(what: &'static str, text: &str) -> Result<()> {
    if text.contains('\0') { Err(conflict(format!("{what} with a character U+0000"))) } else { Ok(()) }
}

/// The newest version of a name.
async fn latest(tx: &mut Transaction, name: &str) -> Result<Option<u32>> {
    let row = sql("SELECT MAX(version) AS version FROM mappings WHERE name = $1").bind(name);
    let row = row.fetch_one(&mut **tx).await.map_err(unavailable)?;
    Columns::new(&row, TABLE).count_optional("version")
}

/// The text that is saved under a version.
async fn saved_text(tx: &mut Transaction, name: &str, version: u32) -> Result<Option<String>> {
    let row = sql("SELECT document FROM mappings WHERE name = $1 AND version = $2")
        .bind(name)
        .bind(i64::from(version))
        .fetch_optional(&mut **tx)
        .await
        .map_err(unavailable)?;
    row.map(|row| Columns::new(&row, TABLE).get("document")).transpose()
}

/// The `seq` of the activation that holds, 0 where there is none.
async fn current_seq(tx: &mut Transaction, mapping: &str, scope: &str) -> Result<i64> {
    let row = sql("SELECT seq FROM mapping_pointers WHERE mapping = $1 AND scope = $2")
        .bind(mapping)
        .bind(scope)
        .fetch_optional(&mut **tx)
        .await
        .map_err(unavailable)?;
    row.map_or(Ok(0), |row| Columns::new(&row, "mapping_pointers").get("seq"))
}

/// Whether every version that has to be saved is saved. They are never removed, so it stays true.
async fn check_saved(tx: &mut Transaction, new: &NewActivation) -> Result<()> {
    for version in new.version.into_iter().chain(new.canary.map(|canary| canary.version)) {
        if version >= FIRST_SAVED_VERSION {
            let known = sql("SELECT version FROM mappings WHERE name = $1 AND version = $2")
                .bind(new.mapping.as_str())
                .bind(i64::from(version))
                .fetch_optional(&mut **tx)
                .await
                .map_err(unavailable)?;
            known.ok_or_else(|| not_found("mapping", format!("{} version {version}", new.mapping)))?;
        }
    }
    Ok(())
}

/// Adds to the history, and moves the pointer there.
async fn point(tx: &mut Transaction, to: &Activation) -> Result<()> {
    let scope = to.scope.to_string();
    sql("INSERT INTO mapping_activations
             (mapping, scope, seq, version, canary_version, canary_percent, activated_at, activated_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
    .bind(to.mapping.as_str())
    .bind(scope.as_str())
    .bind(to.seq)
    .bind(to.version.map(i64::from))
    .bind(to.canary.map(|canary| i64::from(canary.version)))
    .bind(to.canary.map(|canary| i64::from(canary.percent)))
    .bind(micros(to.at))
    .bind(to.by.as_str())
    .execute(&mut **tx)
    .await
    .map_err(conflict_or_unavailable("a canary whose percent is not 1 to 100"))?;
    sql("INSERT INTO mapping_pointers (mapping, scope, seq) VALUES ($1, $2, $3)
         ON CONFLICT (mapping, scope) DO UPDATE SET seq = excluded.seq")
    .bind(to.mapping.as_str())
    .bind(scope.as_str())
    .bind(to.seq)
    .execute(&mut **tx)
    .await
    .map_err(unavailable)?;
    Ok(())
}

#[async_trait]
impl Mappings for Engine {
    async fn save_mapping(&self, new: &NewMapping, version: u32, at: Instant) -> Result<()> {
        let name = &new.name;
        writable("a mapping name", name)?;
        writable("a mapping document", &new.document)?;
        if version < FIRST_SAVED_VERSION {
            return Err(conflict(format!(
                "version {version} of mapping {name} (below {FIRST_SAVED_VERSION} are the program's own)"
            )));
        }
        let mut tx = self.begin().await?;
        dialect::serialize(&mut tx, lock(&format!("mapping {name}"))).await?;
        match saved_text(&mut tx, name, version).await? {
            Some(text) if text == new.document => return Ok(()),
            Some(_) => {
                return Err(conflict(format!(
                    "version {version} of mapping {name} (saved with another text, which never changes: \
                     give it a new version)"
                )));
            }
            None => {}
        }
        if let Some(latest) = latest(&mut tx, name).await?.filter(|latest| *latest > version) {
            return Err(conflict(format!(
                "version {version} of mapping {name} (the latest is {latest}, and a new one must be greater)"
            )));
        }
        sql("INSERT INTO mappings (name, version, document, note, saved_at, saved_by)
             VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(name.as_str())
        .bind(i64::from(version))
        .bind(new.document.as_str())
        .bind(new.note.as_deref().map(text))
        .bind(micros(at))
        .bind(text(&new.by))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        tx.commit().await.map_err(unavailable)
    }

    async fn mapping(&self, name: &str, version: u32) -> Result<Option<SavedMapping>> {
        let row = sql("SELECT name, version, document, note, saved_at, saved_by FROM mappings
             WHERE name = $1 AND version = $2")
        .bind(text(name))
        .bind(i64::from(version))
        .fetch_optional(self.reader())
        .await
        .map_err(unavailable)?;
        row.map(|row| {
            let row = Columns::new(&row, TABLE);
            Ok(SavedMapping {
                name: row.get("name")?,
                version: row.count("version")?,
                document: row.get("document")?,
                note: row.get("note")?,
                saved_at: row.instant("saved_at")?,
                saved_by: row.get("saved_by")?,
            })
        })
        .transpose()
    }

    async fn mappings(&self, filter: &MappingFilter) -> Result<Vec<MappingSummary>> {
        let (after_name, after_version) = filter.after.as_ref().map(|(n, v)| (text(n), *v)).unzip();
        let rows = sql("SELECT name, version, note, saved_at, saved_by FROM mappings
             WHERE ($1 IS NULL OR name = $1)
                 AND ($2 IS NULL OR name > $2 OR (name = $2 AND version < $3))
             ORDER BY name, version DESC LIMIT $4")
        .bind(filter.name.as_deref().map(text))
        .bind(after_name)
        .bind(after_version.map(i64::from))
        .bind(i64::from(filter.limit.clamp(1, 1000)))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                let row = Columns::new(row, TABLE);
                Ok(MappingSummary {
                    name: row.get("name")?,
                    version: row.count("version")?,
                    note: row.get("note")?,
                    saved_at: row.instant("saved_at")?,
                    saved_by: row.get("saved_by")?,
                })
            })
            .collect()
    }

    async fn latest_mapping_version(&self, name: &str) -> Result<Option<u32>> {
        let row = sql("SELECT MAX(version) AS version FROM mappings WHERE name = $1").bind(text(name));
        let row = row.fetch_one(self.reader()).await.map_err(unavailable)?;
        Columns::new(&row, TABLE).count_optional("version")
    }

    async fn activate(&self, new: &NewActivation, at: Instant) -> Result<Activation> {
        let (mapping, scope) = (&new.mapping, new.scope.to_string());
        writable("a mapping name", mapping)?;
        let mut tx = self.begin().await?;
        dialect::serialize(&mut tx, lock(&format!("activation {mapping} {scope}"))).await?;
        let current = current_seq(&mut tx, mapping, &scope).await?;
        if let Some(expected) = new.expected_seq.filter(|expected| *expected != current) {
            return Err(conflict(format!(
                "an activation of mapping {mapping} for {scope} (meant to follow {expected}, but {current} is the \
                 latest: look again)"
            )));
        }
        check_saved(&mut tx, new).await?;
        let to = Activation {
            mapping: mapping.clone(),
            scope: new.scope.clone(),
            version: new.version,
            canary: new.canary,
            at,
            by: text(&new.by).into_owned(),
            seq: current + 1,
        };
        point(&mut tx, &to).await?;
        tx.commit().await.map_err(unavailable)?;
        Ok(to)
    }

    async fn activations(&self, mapping: Option<&str>) -> Result<Vec<Activation>> {
        let rows = sql(concat!(
            "SELECT ",
            activation_columns!(),
            " FROM mapping_pointers p
                 JOIN mapping_activations a ON a.mapping = p.mapping AND a.scope = p.scope AND a.seq = p.seq
             WHERE $1 IS NULL OR p.mapping = $1 ORDER BY p.mapping, p.scope"
        ))
        .bind(mapping.map(text))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        activations(&rows)
    }

    async fn activation_history(
        &self,
        mapping: &str,
        scope: &MappingScope,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Activation>> {
        let rows = sql(concat!(
            "SELECT ",
            activation_columns!(),
            " FROM mapping_activations a WHERE a.mapping = $1 AND a.scope = $2 AND a.seq < $3
             ORDER BY a.seq DESC LIMIT $4"
        ))
        .bind(text(mapping))
        .bind(scope.to_string())
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit.clamp(1, 1000)))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        activations(&rows)
    }
}
