-- What retention needs: statistics in packed form and their means over time, what is known of each feed apart from its
-- batches, the verdict apart from the iterations, blobs that nobody names, and versions whose parents may go.

-- The statistics that a twin's iterations know, numbered, so that an iteration holds numbers alone.
CREATE TABLE series (
    twin    INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    series  INTEGER NOT NULL CHECK (series >= 0),
    name    TEXT    NOT NULL,
    verdict TEXT    NOT NULL,
    feature TEXT,
    PRIMARY KEY (twin, series)
) STRICT, WITHOUT ROWID;

-- Statistics as daemon/statistics.h packs them. Iterations of schema 1 keep their JSON in `statistics`.
ALTER TABLE iterations ADD COLUMN packed BLOB;
CREATE INDEX iterations_time ON iterations (twin, time);

-- Sums over the iterations of an hour (tier 3600) or a day (86400) that begins at `bucket`, in seconds since 1970.
CREATE TABLE rollups (
    twin   INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    tier   INTEGER NOT NULL CHECK (tier IN (3600, 86400)),
    bucket INTEGER NOT NULL,
    packed BLOB    NOT NULL,
    PRIMARY KEY (twin, tier, bucket)
) STRICT, WITHOUT ROWID;

-- Every key of the twin's batches with ordinals below twins.counted, as intervals of sequence numbers (daemon/feeds.h),
-- and what these batches held: rows of batches may then go.
CREATE TABLE feeds (
    twin         INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    feed         TEXT    NOT NULL,
    run          INTEGER NOT NULL,
    batches      INTEGER NOT NULL,
    events       INTEGER NOT NULL,
    invalid_rows INTEGER NOT NULL,
    received     INTEGER NOT NULL,
    intervals    BLOB    NOT NULL,
    PRIMARY KEY (twin, feed, run)
) STRICT, WITHOUT ROWID;
ALTER TABLE twins ADD COLUMN counted INTEGER NOT NULL DEFAULT 0;

-- The verdict that the iterations leave: on which version (0: none was compared; null: not looked at since schema 1).
ALTER TABLE twins ADD COLUMN judged INTEGER;
ALTER TABLE twins ADD COLUMN drifted INTEGER NOT NULL DEFAULT 0;
ALTER TABLE twins ADD COLUMN verdict_since INTEGER NOT NULL DEFAULT 0;

-- A version's parent is a number that stays when the parent itself is pruned, so it is no foreign key any more.
CREATE TABLE versions_new (
    twin          INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    version       INTEGER NOT NULL CHECK (version > 0),
    parent        INTEGER,
    created       INTEGER NOT NULL,
    cause         TEXT    NOT NULL CHECK (cause IN ('train', 'weights', 'theta', 'reweight', 'import')),
    status        TEXT    NOT NULL CHECK (status IN ('challenger', 'champion', 'retired', 'rejected')),
    reason        TEXT,
    artifact      TEXT    NOT NULL REFERENCES blobs (sha256),
    reference     TEXT             REFERENCES blobs (sha256),
    seed          INTEGER NOT NULL,
    first_ordinal INTEGER NOT NULL,
    last_ordinal  INTEGER NOT NULL,
    kernels       TEXT,
    metrics       TEXT,
    PRIMARY KEY (twin, version)
) STRICT, WITHOUT ROWID;
INSERT INTO versions_new SELECT twin, version, parent, created, cause, status, reason, artifact, reference, seed,
    first_ordinal, last_ordinal, kernels, metrics FROM versions;
DROP TABLE versions;
ALTER TABLE versions_new RENAME TO versions;
CREATE INDEX versions_artifact ON versions (artifact);
CREATE INDEX versions_reference ON versions (reference) WHERE reference IS NOT NULL;
CREATE INDEX versions_parent ON versions (twin, parent);
CREATE UNIQUE INDEX versions_champion ON versions (twin) WHERE status = 'champion';

-- Blobs that may belong to no version: put there lately, or named by one that is gone. Only these are looked at when
-- room is wanted; those that were put (`waits`) may still be about to get their version.
CREATE TABLE loose_blobs (
    sha256 TEXT PRIMARY KEY,
    waits  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO loose_blobs SELECT sha256, 1 FROM blobs WHERE NOT EXISTS (SELECT 1 FROM versions WHERE artifact = sha256)
    AND NOT EXISTS (SELECT 1 FROM versions WHERE versions.reference = sha256);
CREATE TRIGGER versions_gone AFTER DELETE ON versions BEGIN
    INSERT OR IGNORE INTO loose_blobs SELECT old.artifact, 0 UNION SELECT old.reference, 0 WHERE old.reference IS NOT NULL;
END;

CREATE INDEX operations_finished ON operations (finished) WHERE finished IS NOT NULL;
