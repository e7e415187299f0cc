-- What Open Health Exchange remembers. No health value is among it.
--
-- Kept in step with migrations/postgres: the same tables and columns, so that both engines run the same statements.
--   * Instants are microseconds since 1970-01-01T00:00:00Z.
--   * Ids are UUIDs of version 7 as text: they sort by creation.
--   * STRICT tables: a value of another type than its column is refused, as on PostgreSQL.
--   * What is called sealed_ or data_key is ciphertext; the key to it is in the environment of the functions.

CREATE TABLE providers (
    name          TEXT PRIMARY KEY,
    config        TEXT NOT NULL, -- JSON
    sealed_secret BLOB,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE ehrs (
    name          TEXT PRIMARY KEY,
    config        TEXT NOT NULL, -- JSON
    sealed_secret BLOB,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE links (
    id                TEXT PRIMARY KEY,
    provider          TEXT NOT NULL,
    ehr               TEXT NOT NULL,
    patient           TEXT NOT NULL,
    state             TEXT NOT NULL,
    state_reason      TEXT,
    backfill_days     INTEGER NOT NULL,
    sealed_account    BLOB,
    account_digest    BLOB, -- SHA-256
    scopes            TEXT NOT NULL, -- JSON
    history_start     INTEGER,
    push              TEXT NOT NULL, -- JSON
    data_key          BLOB, -- wrapped by the keyring
    sealed_tokens     BLOB,
    tokens_expire_at  INTEGER,
    token_version     INTEGER NOT NULL DEFAULT 0, -- goes on counting after a disconnection: a fencing token never repeats
    created_at        INTEGER NOT NULL,
    connected_at      INTEGER
) STRICT;
CREATE INDEX links_active ON links (id) WHERE state = 'active';
CREATE INDEX links_by_patient ON links (patient, id);
CREATE INDEX links_by_provider ON links (provider, id);
CREATE INDEX links_by_account ON links (account_digest) WHERE account_digest IS NOT NULL;

CREATE TABLE tickets (
    digest     BLOB PRIMARY KEY, -- SHA-256
    kind       TEXT NOT NULL,
    link       TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

-- The generic cell rate algorithm needs one instant for each bucket: when the next call would be due at an even pace.
CREATE TABLE quotas (
    bucket        TEXT PRIMARY KEY,
    due_at        INTEGER NOT NULL,
    drained_until INTEGER
) STRICT;

CREATE TABLE requests (
    id           TEXT PRIMARY KEY,
    sync         TEXT NOT NULL,
    link         TEXT NOT NULL,
    record       TEXT NOT NULL,
    query_start  INTEGER NOT NULL, -- of a window, or the "since"
    query_end    INTEGER, -- of a window; NULL says "since"
    reason       TEXT NOT NULL,
    state        TEXT NOT NULL,
    note         TEXT,
    attempts     INTEGER NOT NULL DEFAULT 0,
    created      INTEGER NOT NULL DEFAULT 0,
    updated      INTEGER NOT NULL DEFAULT 0,
    unchanged    INTEGER NOT NULL DEFAULT 0,
    rejected     INTEGER NOT NULL DEFAULT 0,
    skipped      INTEGER NOT NULL DEFAULT 0,
    requested_at INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    CHECK (query_end > query_start)
) STRICT;
CREATE INDEX requests_open ON requests (id) WHERE state IN ('requested', 'fetching', 'fetched');
CREATE INDEX requests_unbegun ON requests (link, record) WHERE state = 'requested';
CREATE INDEX requests_by_sync ON requests (sync, id);
CREATE INDEX requests_ended ON requests (updated_at) WHERE state IN ('published', 'failed');

-- A run that has read everything. A run that is still reading has no row, only its parts.
CREATE TABLE request_runs (
    request TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    run     TEXT NOT NULL,
    parts   INTEGER NOT NULL,
    until   INTEGER, -- the provider's clock when the run began
    PRIMARY KEY (request, run)
) STRICT;

-- `pieces` is part of the key: a part that was cut anew into another number of pieces starts again.
CREATE TABLE request_acks (
    request TEXT NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    run     TEXT NOT NULL,
    part    INTEGER NOT NULL,
    pieces  INTEGER NOT NULL,
    piece   INTEGER NOT NULL,
    holes   TEXT NOT NULL, -- intervals
    PRIMARY KEY (request, run, part, pieces, piece),
    CHECK (part >= 0 AND piece >= 0 AND piece < pieces)
) STRICT;

CREATE TABLE coverage (
    link      TEXT NOT NULL,
    record    TEXT NOT NULL,
    published TEXT NOT NULL DEFAULT '', -- intervals
    cursor    INTEGER,
    PRIMARY KEY (link, record)
) STRICT;

CREATE TABLE dead_letters (
    key        TEXT NOT NULL,
    function   TEXT NOT NULL,
    event_type TEXT NOT NULL,
    link       TEXT,
    request    TEXT,
    reason     TEXT NOT NULL,
    attempts   INTEGER NOT NULL,
    at         INTEGER NOT NULL,
    PRIMARY KEY (key, function)
) STRICT;
CREATE INDEX dead_letters_by_time ON dead_letters (at, key, function);
CREATE INDEX dead_letters_by_link ON dead_letters (link, at);
