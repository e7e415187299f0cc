-- Dead letters have ids and say how they are replayed; links say since when and why they need a consent, and when their
-- tokens were last refreshed or refused.

ALTER TABLE dead_letters ADD COLUMN id TEXT COLLATE "C" NOT NULL DEFAULT '';
UPDATE dead_letters SET id = gen_random_uuid()::text;
ALTER TABLE dead_letters ADD COLUMN replayed_as TEXT; -- the request that asks again for what the letter stood for
ALTER TABLE dead_letters ADD COLUMN replayed_at BIGINT;
CREATE UNIQUE INDEX dead_letters_by_id ON dead_letters (id);
DROP INDEX dead_letters_by_time;
CREATE INDEX dead_letters_by_time ON dead_letters (at, id);
CREATE INDEX dead_letters_by_request ON dead_letters (request) WHERE request IS NOT NULL;
CREATE INDEX dead_letters_by_replay ON dead_letters (replayed_as) WHERE replayed_as IS NOT NULL;

ALTER TABLE links ADD COLUMN state_code TEXT; -- the reason of the state, for programs
ALTER TABLE links ADD COLUMN state_since BIGINT;
ALTER TABLE links ADD COLUMN refreshed_at BIGINT; -- when the present token pair was stored
ALTER TABLE links ADD COLUMN refused_since BIGINT; -- when the provider first refused the present pair as dead
ALTER TABLE links ADD COLUMN refused_at BIGINT; -- and when it last did
CREATE INDEX links_by_refresh ON links (provider, refreshed_at) WHERE refreshed_at IS NOT NULL;
CREATE INDEX links_by_refusal ON links (provider, refused_at) WHERE refused_at IS NOT NULL;

-- Provider apps that refuse many grants at once: taken for an outage until one of them is good again.
CREATE TABLE outages (
    app     TEXT PRIMARY KEY,
    since   BIGINT NOT NULL,
    look_at BIGINT NOT NULL -- when the next refresh may be tried
);

CREATE INDEX requests_by_link ON requests (link, record, id);
