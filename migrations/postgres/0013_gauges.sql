-- So that counting gaps and letters reads little, however many requests have failed.
--
-- Kept in step with migrations/sqlite. Only adds.

CREATE INDEX requests_published ON requests (link, record, query_start) WHERE state = 'published';
CREATE INDEX dead_letters_by_function ON dead_letters (function, link);
