-- Who may call the API, who did what, and where a patient is sent after a consent.
--
-- Kept in step with migrations/postgres.

CREATE TABLE api_keys (
    id           TEXT PRIMARY KEY,
    name         TEXT NOT NULL,
    digest       BLOB NOT NULL UNIQUE, -- SHA-256 of the key
    role         TEXT NOT NULL, -- admin, integrator, clinician-read or link-creator
    ehr          TEXT, -- the only endpoint that it sees links of
    own_links    INTEGER NOT NULL, -- 1: it sees only the links that it has made
    created_by   TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER, -- to the minute
    revoked_at   INTEGER
) STRICT;

-- Only ever added to. Each hash is over the one before it and the row's own fields (shared/store/src/audit.rs).
CREATE TABLE audit_log (
    seq      INTEGER PRIMARY KEY,
    at       INTEGER NOT NULL,
    actor    TEXT NOT NULL,
    action   TEXT NOT NULL,
    subject  TEXT NOT NULL,
    detail   TEXT NOT NULL, -- JSON
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL
) STRICT;
CREATE INDEX audit_log_by_subject ON audit_log (subject, seq);

-- The newest entry, noted apart: one that is cut off leaves it standing.
CREATE TABLE audit_head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

ALTER TABLE links ADD COLUMN created_by TEXT; -- who, as the audit log names callers
ALTER TABLE links ADD COLUMN success_url TEXT; -- where the patient's browser is sent after a consent
ALTER TABLE links ADD COLUMN error_url TEXT; -- and where none came of it
CREATE INDEX links_by_creator ON links (created_by, id) WHERE created_by IS NOT NULL;
