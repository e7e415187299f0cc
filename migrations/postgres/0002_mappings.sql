-- Saved mapping documents, what points to them, and why readings were left out.
--
-- Kept in step with migrations/sqlite. A document holds made-up examples, never a patient's values.

-- Immutable: rows are added, never changed or removed.
CREATE TABLE mappings (
    name     TEXT COLLATE "C" NOT NULL,
    version  BIGINT NOT NULL, -- smaller ones are the program's own
    document TEXT NOT NULL,
    note     TEXT,
    saved_at BIGINT NOT NULL,
    saved_by TEXT NOT NULL,
    PRIMARY KEY (name, version),
    CHECK (version >= 1000)
);

-- Every activation there ever was.
CREATE TABLE mapping_activations (
    mapping        TEXT COLLATE "C" NOT NULL,
    scope          TEXT COLLATE "C" NOT NULL, -- global, ehr:<name>, link:<id>
    seq            BIGINT NOT NULL, -- from 1, without gaps
    version        BIGINT, -- NULL: the next wider scope decides
    canary_version BIGINT,
    canary_percent BIGINT,
    activated_at   BIGINT NOT NULL,
    activated_by   TEXT NOT NULL,
    PRIMARY KEY (mapping, scope, seq),
    CHECK ((canary_version IS NULL) = (canary_percent IS NULL)),
    CHECK (canary_percent BETWEEN 1 AND 100)
);

-- The activation that holds, for each mapping and scope: what is polled reads no history.
CREATE TABLE mapping_pointers (
    mapping TEXT COLLATE "C" NOT NULL,
    scope   TEXT COLLATE "C" NOT NULL,
    seq     BIGINT NOT NULL,
    PRIMARY KEY (mapping, scope),
    FOREIGN KEY (mapping, scope, seq) REFERENCES mapping_activations (mapping, scope, seq)
);

-- What the mapping left out of a request, by reason; requests.skipped is the sum.
CREATE TABLE request_skips (
    request TEXT COLLATE "C" NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    reason  TEXT COLLATE "C" NOT NULL,
    count   BIGINT NOT NULL,
    PRIMARY KEY (request, reason)
);
