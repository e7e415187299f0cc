-- What Open Health Exchange remembers. No health value is among it.
--
-- Kept in step with migrations/sqlite: the same tables and columns, so that both engines run the same statements.
--   * Instants are microseconds since 1970-01-01T00:00:00Z.
--   * Ids are UUIDs of version 7 as text: they sort by creation. COLLATE "C" makes text sort by its bytes, as in
--     SQLite, whatever the locale of the server.
--   * What is called sealed_ or data_key is ciphertext; the key to it is in the environment of the functions.

CREATE TABLE providers (
    name          TEXT COLLATE "C" PRIMARY KEY,
    config        TEXT NOT NULL, -- JSON
    sealed_secret BYTEA,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE ehrs (
    name          TEXT COLLATE "C" PRIMARY KEY,
    config        TEXT NOT NULL, -- JSON
    sealed_secret BYTEA,
    created_at    BIGINT NOT NULL,
    updated_at    BIGINT NOT NULL
);

CREATE TABLE links (
    id                TEXT COLLATE "C" PRIMARY KEY,
    provider          TEXT NOT NULL,
    ehr               TEXT NOT NULL,
    patient           TEXT NOT NULL,
    state             TEXT NOT NULL,
    state_reason      TEXT,
    backfill_days     BIGINT NOT NULL,
    sealed_account    BYTEA,
    account_digest    BYTEA, -- SHA-256
    scopes            TEXT NOT NULL, -- JSON
    history_start     BIGINT,
    push              TEXT NOT NULL, -- JSON
    data_key          BYTEA, -- wrapped by the keyring
    sealed_tokens     BYTEA,
    tokens_expire_at  BIGINT,
    token_version     BIGINT NOT NULL DEFAULT 0, -- goes on counting after a disconnection: a fencing token never repeats
    created_at        BIGINT NOT NULL,
    connected_at      BIGINT
);
CREATE INDEX links_active ON links (id) WHERE state = 'active';
CREATE INDEX links_by_patient ON links (patient, id);
CREATE INDEX links_by_provider ON links (provider, id);
CREATE INDEX links_by_account ON links (account_digest) WHERE account_digest IS NOT NULL;

CREATE TABLE tickets (
    digest     BYTEA PRIMARY KEY, -- SHA-256
    kind       TEXT NOT NULL,
    link       TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX tickets_by_expiry ON tickets (expires_at);

CREATE TABLE leases (
    name       TEXT PRIMARY KEY,
    holder     TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- The generic cell rate algorithm needs one instant for each bucket: when the next call would be due at an even pace.
CREATE TABLE quotas (
    bucket        TEXT PRIMARY KEY,
    due_at        BIGINT NOT NULL,
    drained_until BIGINT
);

CREATE TABLE requests (
    id           TEXT COLLATE "C" PRIMARY KEY,
    sync         TEXT NOT NULL,
    link         TEXT NOT NULL,
    record       TEXT NOT NULL,
    query_start  BIGINT NOT NULL, -- of a window, or the "since"
    query_end    BIGINT, -- of a window; NULL says "since"
    reason       TEXT NOT NULL,
    state        TEXT NOT NULL,
    note         TEXT,
    attempts     BIGINT NOT NULL DEFAULT 0,
    created      BIGINT NOT NULL DEFAULT 0,
    updated      BIGINT NOT NULL DEFAULT 0,
    unchanged    BIGINT NOT NULL DEFAULT 0,
    rejected     BIGINT NOT NULL DEFAULT 0,
    skipped      BIGINT NOT NULL DEFAULT 0,
    requested_at BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    CHECK (query_end > query_start)
);
CREATE INDEX requests_open ON requests (id) WHERE state IN ('requested', 'fetching', 'fetched');
CREATE INDEX requests_unbegun ON requests (link, record) WHERE state = 'requested';
CREATE INDEX requests_by_sync ON requests (sync, id);
CREATE INDEX requests_ended ON requests (updated_at) WHERE state IN ('published', 'failed');

-- A run that has read everything. A run that is still reading has no row, only its parts.
CREATE TABLE request_runs (
    request TEXT COLLATE "C" NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    run     TEXT COLLATE "C" NOT NULL,
    parts   BIGINT NOT NULL,
    until   BIGINT, -- the provider's clock when the run began
    PRIMARY KEY (request, run)
);

-- `pieces` is part of the key: a part that was cut anew into another number of pieces starts again.
CREATE TABLE request_acks (
    request TEXT COLLATE "C" NOT NULL REFERENCES requests (id) ON DELETE CASCADE,
    run     TEXT COLLATE "C" NOT NULL,
    part    BIGINT NOT NULL,
    pieces  BIGINT NOT NULL,
    piece   BIGINT NOT NULL,
    holes   TEXT NOT NULL, -- intervals
    PRIMARY KEY (request, run, part, pieces, piece),
    CHECK (part >= 0 AND piece >= 0 AND piece < pieces)
);

CREATE TABLE coverage (
    link      TEXT COLLATE "C" NOT NULL,
    record    TEXT COLLATE "C" NOT NULL,
    published TEXT NOT NULL DEFAULT '', -- intervals
    cursor    BIGINT,
    PRIMARY KEY (link, record)
);

CREATE TABLE dead_letters (
    key        TEXT COLLATE "C" NOT NULL,
    function   TEXT COLLATE "C" NOT NULL,
    event_type TEXT NOT NULL,
    link       TEXT,
    request    TEXT,
    reason     TEXT NOT NULL,
    attempts   BIGINT NOT NULL,
    at         BIGINT NOT NULL,
    PRIMARY KEY (key, function)
);
CREATE INDEX dead_letters_by_time ON dead_letters (at, key, function);
CREATE INDEX dead_letters_by_link ON dead_letters (link, at);
