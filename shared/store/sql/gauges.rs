//! What metrics are made of.
//!
//! What each question costs: `count_freshness` walks side by side along an index of the active links and one of their
//! coverage, and reads no table: a second or two of one core for a million links with five records each. `count_links` walks along
//! the former. `count_open` and `count_gaps` read what is open, failed and given up, each by an index of its own; of what
//! fails every night anew, one row is looked for among what was published. `count_letters` walks along an index of the letters;
//! `count_outcomes` reads a few rows.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use ohx_domain::{Instant, ProviderName};
use ohx_store::{FRESHNESS, Freshness, Gauges, Night, OpenWork, Outcomes, Prediction, Result, Trouble};

use super::columns::Columns;
use super::values::{count, duration, later, micros, text};
use super::{sql, unavailable};
use crate::Engine;

/// An end of a trouble that is told again within so many microseconds is not written again: many may find it out at once.
const AGAIN: i64 = 1_000_000;

#[async_trait]
impl Gauges for Engine {
    async fn count_freshness(&self, now: Instant) -> Result<Vec<Freshness>> {
        let rows = sql("SELECT provider, bucket, COUNT(*) AS links, CAST(COALESCE(SUM(age), 0) AS BIGINT) AS seconds FROM (
                 SELECT provider, CAST(CASE
                     WHEN newest >= $2 THEN 0 WHEN newest >= $3 THEN 1 WHEN newest >= $4 THEN 2 WHEN newest >= $5 THEN 3
                     WHEN newest >= $6 THEN 4 WHEN newest >= $7 THEN 5 WHEN newest >= $8 THEN 6 WHEN newest >= $9 THEN 7
                     ELSE 8 END AS BIGINT) AS bucket,
                     CASE WHEN newest <= $1 THEN ($1 - newest) / 1000000 ELSE 0 END AS age
                 FROM (SELECT l.provider, c.newest FROM links l
                       LEFT JOIN (SELECT link, MAX(published_at) AS newest FROM coverage GROUP BY link) AS c
                           ON c.link = l.id
                       WHERE l.state = 'active') AS links) AS ages
             GROUP BY provider, bucket ORDER BY provider, bucket");
        let bounds = FRESHNESS.map(|bound| micros(later(now, -duration(bound))));
        let rows = bounds.into_iter().fold(rows.bind(micros(now)), |rows, bound| rows.bind(bound));
        let rows = rows.fetch_all(self.reader()).await.map_err(unavailable)?;
        let mut all = BTreeMap::<ProviderName, Freshness>::new();
        for row in &rows {
            let row = Columns::new(row, "coverage");
            let provider: ProviderName = row.parse("provider")?;
            let new =
                Freshness { provider: provider.clone(), within: [0; 8], beyond: 0, sum: Duration::ZERO };
            let one = all.entry(provider).or_insert(new);
            let (bucket, links): (usize, u64) = (row.count("bucket")?, row.count("links")?);
            match one.within.get_mut(bucket) {
                Some(within) => *within = links,
                None => one.beyond = links,
            }
            one.sum += Duration::from_secs(row.count("seconds")?);
        }
        Ok(all.into_values().collect())
    }

    async fn count_gaps(&self, before: Instant) -> Result<Vec<(ProviderName, u64)>> {
        // Given up: a window counts as brought by what contains its beginning, because a plan asks for the rest of it apart,
        // and a question for changes by a later one. Refused: letters of resources, which go when the resource is taken.
        let rows = sql("SELECT l.provider, COUNT(*) AS links FROM links l WHERE l.state = 'active' AND l.id IN (
                 SELECT r.link FROM requests r
                 WHERE r.state IN ('requested', 'fetching', 'fetched') AND r.requested_at < $1
                 UNION
                 SELECT f.link FROM (
                     SELECT link, record, query_start, MAX(query_end) AS query_end, MAX(updated_at) AS updated_at
                     FROM requests WHERE state = 'failed'
                     GROUP BY link, record, query_start, CASE WHEN query_end IS NULL THEN 1 ELSE 0 END) AS f
                 WHERE NOT EXISTS (
                     SELECT 1 FROM requests g WHERE g.link = f.link AND g.record = f.record AND g.state = 'published'
                         AND ((f.query_end IS NULL AND g.query_end IS NULL AND g.updated_at >= f.updated_at)
                           OR (f.query_end IS NOT NULL AND g.query_start <= f.query_start
                               AND COALESCE(g.query_end, g.requested_at) > f.query_start)))
                 UNION
                 SELECT d.link FROM dead_letters d
                 WHERE d.link IS NOT NULL AND d.function = 'publish'
                     AND (d.request IS NULL OR substr(d.key, 1, 37) <> d.request || '.'))
             GROUP BY l.provider ORDER BY l.provider")
        .bind(micros(before))
        .fetch_all(self.reader())
        .await
        .map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "links");
            Ok((row.parse("provider")?, row.count("links")?))
        };
        rows.iter().map(one).collect()
    }

    async fn count_open(&self) -> Result<Vec<OpenWork>> {
        let rows = sql("SELECT l.provider, COUNT(*) AS requests, MIN(r.requested_at) AS oldest
             FROM requests r JOIN links l ON l.id = r.link
             WHERE r.state IN ('requested', 'fetching', 'fetched') GROUP BY l.provider ORDER BY l.provider");
        let rows = rows.fetch_all(self.reader()).await.map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "requests");
            Ok(OpenWork {
                provider: row.parse("provider")?,
                requests: row.count("requests")?,
                oldest: row.instant("oldest")?,
            })
        };
        rows.iter().map(one).collect()
    }

    async fn count_letters(&self) -> Result<Vec<(String, u64)>> {
        let rows =
            sql("SELECT function, COUNT(*) AS letters FROM dead_letters GROUP BY function ORDER BY function");
        let rows = rows.fetch_all(self.reader()).await.map_err(unavailable)?;
        let one = |row| {
            let row = Columns::new(row, "dead_letters");
            Ok((row.get("function")?, row.count("letters")?))
        };
        rows.iter().map(one).collect()
    }

    async fn count_outcomes(&self) -> Result<Vec<Outcomes>> {
        self.sum_outcomes().await
    }

    async fn begin_night(&self, started: Instant, predicted: &[Prediction]) -> Result<()> {
        let mut tx = self.begin().await?;
        // The row is the lock: of two runs that begin together, the predictions of one stay, whole.
        sql("INSERT INTO nights (id, started_at) VALUES (1, $1)
             ON CONFLICT (id) DO UPDATE SET started_at = excluded.started_at")
        .bind(micros(started))
        .execute(&mut *tx)
        .await
        .map_err(unavailable)?;
        sql("DELETE FROM night_predictions").execute(&mut *tx).await.map_err(unavailable)?;
        for one in predicted {
            sql("INSERT INTO night_predictions (provider, calls, finish_at) VALUES ($1, $2, $3)")
                .bind(one.provider.as_str())
                .bind(count(one.calls))
                .bind(micros(one.finish))
                .execute(&mut *tx)
                .await
                .map_err(unavailable)?;
        }
        tx.commit().await.map_err(unavailable)
    }

    async fn end_night(&self, completed: Instant) -> Result<()> {
        sql("UPDATE nights SET completed_at = $1 WHERE id = 1")
            .bind(micros(completed))
            .execute(self.writer())
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    async fn last_night(&self) -> Result<Option<Night>> {
        let row = sql("SELECT started_at, completed_at FROM nights WHERE id = 1");
        let Some(row) = row.fetch_optional(self.reader()).await.map_err(unavailable)? else {
            return Ok(None);
        };
        let row = Columns::new(&row, "nights");
        let rows = sql("SELECT provider, calls, finish_at FROM night_predictions ORDER BY provider");
        let rows = rows.fetch_all(self.reader()).await.map_err(unavailable)?;
        let predicted = |row| {
            let row = Columns::new(row, "night_predictions");
            Ok(Prediction {
                provider: row.parse("provider")?,
                calls: row.count("calls")?,
                finish: row.instant("finish_at")?,
            })
        };
        Ok(Some(Night {
            started: row.instant("started_at")?,
            completed: row.instant_optional("completed_at")?,
            predicted: rows.iter().map(predicted).collect::<Result<_>>()?,
        }))
    }

    async fn note_trouble(&self, trouble: Trouble, name: &str, ends: Instant) -> Result<()> {
        sql("INSERT INTO troubles AS t (kind, name, ends_at) VALUES ($1, $2, $3)
             ON CONFLICT (kind, name) DO UPDATE SET ends_at = excluded.ends_at
             WHERE ABS(t.ends_at - excluded.ends_at) >= $4")
        .bind(trouble.as_str())
        .bind(text(name))
        .bind(micros(ends))
        .bind(AGAIN)
        .execute(self.writer())
        .await
        .map_err(unavailable)?;
        Ok(())
    }

    async fn troubles(&self, trouble: Trouble, now: Instant) -> Result<Vec<String>> {
        let rows = sql("SELECT name FROM troubles WHERE kind = $1 AND ends_at > $2 ORDER BY name")
            .bind(trouble.as_str())
            .bind(micros(now))
            .fetch_all(self.reader())
            .await
            .map_err(unavailable)?;
        rows.iter().map(|row| Columns::new(row, "troubles").get("name")).collect()
    }
}
