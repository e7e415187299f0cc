-- What a run of links has open: the nightly run reads it a page of links at a time.

CREATE INDEX requests_open_by_link ON requests (link) WHERE state IN ('requested', 'fetching', 'fetched');
