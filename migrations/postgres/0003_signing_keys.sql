-- The keys that OHX signs assertions with.
--
-- Kept in step with migrations/sqlite.

CREATE TABLE signing_keys (
    kid        TEXT COLLATE "C" PRIMARY KEY, -- RFC 7638 thumbprint
    algorithm  TEXT COLLATE "C" NOT NULL, -- ES384 or RS384
    sealed_key BYTEA, -- PKCS #8; NULL once it was destroyed
    public_jwk TEXT NOT NULL, -- JSON
    created_at BIGINT NOT NULL,
    signs_from BIGINT NOT NULL,
    retired_at BIGINT
);
