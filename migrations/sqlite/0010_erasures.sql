-- What ending a link did and still has to do, step by step: the receipt's content. No value, token, account or patient.
--
-- Kept in step with migrations/postgres.

CREATE TABLE erasures (
    link         TEXT NOT NULL,
    seq          INTEGER NOT NULL, -- from 1: a link may be connected and ended again
    version      INTEGER NOT NULL, -- counts the changes
    report       TEXT NOT NULL, -- JSON
    sealed_grant BLOB, -- what the provider is told with, under the keyring; gone when it was told, or the term is over
    begun_at     INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    done_at      INTEGER, -- nothing more is to be done
    PRIMARY KEY (link, seq)
) STRICT;
CREATE INDEX erasures_open ON erasures (link, seq) WHERE done_at IS NULL;
