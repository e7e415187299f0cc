-- What metrics are made of: it outlives processes that scale to zero. Neither a link nor a value is among what is counted.
--
-- Kept in step with migrations/postgres. Only adds; what stands in the tables already is taken over, so that a counter begins
-- with what there is.

ALTER TABLE coverage ADD COLUMN published_at INTEGER; -- when a request of it was last completed, by our clock
UPDATE coverage SET published_at =
    (SELECT MAX(r.updated_at) FROM requests r
     WHERE r.link = coverage.link AND r.record = coverage.record AND r.state = 'published');

-- What became of resources at EHRs since the beginning. Several rows a counter, so that writers do not wait for each other.
CREATE TABLE outcomes (
    provider TEXT NOT NULL,
    outcome  TEXT NOT NULL, -- created, updated, unchanged or rejected
    slot     INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    PRIMARY KEY (provider, outcome, slot)
) STRICT;
INSERT INTO outcomes (provider, outcome, slot, n)
SELECT provider, outcome, 0, SUM(n) FROM (
    SELECT l.provider, 'created' AS outcome, r.created AS n FROM requests r JOIN links l ON l.id = r.link
    UNION ALL SELECT l.provider, 'updated', r.updated FROM requests r JOIN links l ON l.id = r.link
    UNION ALL SELECT l.provider, 'unchanged', r.unchanged FROM requests r JOIN links l ON l.id = r.link
    UNION ALL SELECT l.provider, 'rejected', r.rejected FROM requests r JOIN links l ON l.id = r.link
) AS counted GROUP BY provider, outcome HAVING SUM(n) > 0;

-- The last nightly run, and what it predicted.
CREATE TABLE nights (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    started_at   INTEGER NOT NULL,
    completed_at INTEGER
) STRICT;
CREATE TABLE night_predictions (
    provider  TEXT PRIMARY KEY,
    calls     INTEGER NOT NULL,
    finish_at INTEGER NOT NULL
) STRICT;

-- What is out of order, until when it is taken to be so: an EHR endpoint that is left alone, a provider whose service is retired.
CREATE TABLE troubles (
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    ends_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT;

-- So that counting reads no more than it counts.
CREATE INDEX links_by_state ON links (state, id, provider);
CREATE INDEX coverage_by_age ON coverage (link, published_at);
CREATE INDEX requests_failed ON requests (link, record) WHERE state = 'failed';
