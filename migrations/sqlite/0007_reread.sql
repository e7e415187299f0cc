-- Up to when, by our clock, a night has read again what may have come late; for records whose provider cannot say what changed.
ALTER TABLE coverage ADD COLUMN reread INTEGER;
