-- What ending a link did and still has to do, step by step: the receipt's content. No value, token, account or patient.
--
-- Kept in step with migrations/sqlite.

CREATE TABLE erasures (
    link         TEXT COLLATE "C" NOT NULL,
    seq          BIGINT NOT NULL, -- from 1: a link may be connected and ended again
    version      BIGINT NOT NULL, -- counts the changes
    report       TEXT NOT NULL, -- JSON
    sealed_grant BYTEA, -- what the provider is told with, under the keyring; gone when it was told, or the term is over
    begun_at     BIGINT NOT NULL,
    updated_at   BIGINT NOT NULL,
    done_at      BIGINT, -- nothing more is to be done
    PRIMARY KEY (link, seq)
);
CREATE INDEX erasures_open ON erasures (link, seq) WHERE done_at IS NULL;
