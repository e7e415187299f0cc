-- ETags of configuration, and the first answers to calls that carry a key of idempotency.

-- Grows with every change; never the same again for one name, also where it was removed and made anew.
ALTER TABLE providers ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
UPDATE providers SET revision = updated_at;
ALTER TABLE ehrs ADD COLUMN revision BIGINT NOT NULL DEFAULT 0;
UPDATE ehrs SET revision = updated_at;

CREATE TABLE idempotency (
    digest      BYTEA PRIMARY KEY, -- SHA-256 of the caller and the key
    fingerprint BYTEA NOT NULL, -- SHA-256 of the key and the call
    holder      TEXT NOT NULL, -- who works on it
    until       BIGINT NOT NULL, -- when it may be begun anew, where there is no answer
    answer      BYTEA, -- sealed; NULL: under way
    expires_at  BIGINT NOT NULL
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);
