-- The keys that OHX signs assertions with.
--
-- Kept in step with migrations/postgres.

CREATE TABLE signing_keys (
    kid        TEXT PRIMARY KEY, -- RFC 7638 thumbprint
    algorithm  TEXT NOT NULL, -- ES384 or RS384
    sealed_key BLOB, -- PKCS #8; NULL once it was destroyed
    public_jwk TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    signs_from INTEGER NOT NULL,
    retired_at INTEGER
) STRICT;
