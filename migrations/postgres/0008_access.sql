-- Who may call the API, who did what, and where a patient is sent after a consent.
--
-- Kept in step with migrations/sqlite.

CREATE TABLE api_keys (
    id           TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT NOT NULL,
    digest       BYTEA NOT NULL UNIQUE, -- SHA-256 of the key
    role         TEXT COLLATE "C" NOT NULL, -- admin, integrator, clinician-read or link-creator
    ehr          TEXT COLLATE "C", -- the only endpoint that it sees links of
    own_links    BIGINT NOT NULL, -- 1: it sees only the links that it has made
    created_by   TEXT COLLATE "C" NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    last_used_at BIGINT, -- to the minute
    revoked_at   BIGINT
);

-- Only ever added to. Each hash is over the one before it and the row's own fields (shared/store/src/audit.rs).
CREATE TABLE audit_log (
    seq      BIGINT PRIMARY KEY,
    at       BIGINT NOT NULL,
    actor    TEXT COLLATE "C" NOT NULL,
    action   TEXT COLLATE "C" NOT NULL,
    subject  TEXT COLLATE "C" NOT NULL,
    detail   TEXT NOT NULL, -- JSON
    previous BYTEA NOT NULL,
    hash     BYTEA NOT NULL
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, seq);

-- The newest entry, noted apart: one that is cut off leaves it standing.
CREATE TABLE audit_head (
    id   BIGINT PRIMARY KEY CHECK (id = 1),
    seq  BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

ALTER TABLE links ADD COLUMN created_by TEXT COLLATE "C"; -- who, as the audit log names callers
ALTER TABLE links ADD COLUMN success_url TEXT; -- where the patient's browser is sent after a consent
ALTER TABLE links ADD COLUMN error_url TEXT; -- and where none came of it
CREATE INDEX links_by_creator ON links (created_by, id) WHERE created_by IS NOT NULL;
