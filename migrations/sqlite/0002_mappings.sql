-- Saved mapping documents, what points to them, and why readings were left out.
--
-- Kept in step with migrations/postgres. A document holds made-up examples, never a patient's values.

-- Immutable: rows are added, never changed or removed.
CREATE TABLE mappings (
    name     TEXT NOT NULL,
    version  INTEGER NOT NULL, -- smaller ones are the program's own
    document TEXT NOT NULL,
    note     TEXT,
    saved_at INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    PRIMARY KEY (name, version),
    CHECK (version >= 1000)
) STRICT;

-- Every activation there ever was.
CREATE TABLE mapping_activations (
    mapping        TEXT NOT NULL,
    scope          TEXT NOT NULL, -- global, ehr:<name>, link:<id>
    seq            INTEGER NOT NULL, -- from 1, without gaps
    version        INTEGER, -- NULL: the next wider scope decides
    canary_version INTEGER,
    canary_percent INTEGER,
    activated_at   INTEGER NOT NULL,
    activated_by   TEXT NOT NULL,
    PRIMARY KEY (mapping, scope, seq),
    CHECK ((canary_version IS NULL) = (canary_percent IS NULL)),
    CHECK (canary_percent BETWEEN 1 AND 100)
) STRICT;

-- The activation that holds, for each mapping and scope: what is polled reads no history.
CREATE TABLE mapping_pointers (
    mapping TEXT NOT NULL,
    scope   TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    PRIMARY KEY (mapping, scope),
    FOREIGN KEY (mapping, scope, seq) REFERENCES mapping_activations (mapping, scope, seq)
) STRICT;

-- What the mapping left out of a request, by reason; requests.skipped is the sum.
CREATE TABLE request_skips (
    request TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    reason  TEXT NOT NULL,
    count   INTEGER NOT NULL,
    PRIMARY KEY (request, reason)
) STRICT;
