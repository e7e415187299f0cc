-- ETags of configuration, and the first answers to calls that carry a key of idempotency.

-- Grows with every change; never the same again for one name, also where it was removed and made anew.
ALTER TABLE providers ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE providers SET revision = updated_at;
ALTER TABLE ehrs ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
UPDATE ehrs SET revision = updated_at;

CREATE TABLE idempotency (
    digest      BLOB PRIMARY KEY, -- SHA-256 of the caller and the key
    fingerprint BLOB NOT NULL, -- SHA-256 of the key and the call
    holder      TEXT NOT NULL, -- who works on it
    until       INTEGER NOT NULL, -- when it may be begun anew, where there is no answer
    answer      BLOB, -- sealed; NULL: under way
    expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
