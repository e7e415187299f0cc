-- Further EHR endpoints that a link's readings go to, and who a patient is there.
ALTER TABLE links ADD COLUMN also TEXT NOT NULL DEFAULT '[]'; -- JSON

-- A patient that is named by an identifier, as the EHR knows them.
CREATE TABLE resolved_patients (
    ehr         TEXT NOT NULL,
    patient     TEXT NOT NULL, -- as the link names them
    reference   TEXT NOT NULL, -- Patient/<id> at the EHR
    resolved_at INTEGER NOT NULL,
    PRIMARY KEY (ehr, patient)
) STRICT;
