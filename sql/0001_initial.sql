-- The first schema. Times are milliseconds since 1970 UTC; ordinals and ids are 63-bit. A migration that has been
-- released is never edited: changes go into the next number.

-- AUTOINCREMENT where an id must never come back: spool folders are named by twins.id, clients keep operation and
-- move ids.
CREATE TABLE twins (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    name       TEXT    NOT NULL UNIQUE,
    definition TEXT    NOT NULL,
    created    INTEGER NOT NULL,
    hold       INTEGER NOT NULL DEFAULT 0 CHECK (hold IN (0, 1)),
    processed  INTEGER NOT NULL DEFAULT 0 CHECK (processed >= 0), -- first ordinal that no iteration has taken
    state      TEXT                                               -- the loop's own, JSON
) STRICT;

-- Twins whose rows are gone and whose spool folder is still to be removed.
CREATE TABLE deleted_twins (
    id INTEGER PRIMARY KEY
) STRICT;

-- Artifacts and acceptance references, by content. `put` is the last time that somebody asked for it to be there: what
-- no version names is collected some time after that.
CREATE TABLE blobs (
    id     INTEGER PRIMARY KEY,
    sha256 TEXT    NOT NULL UNIQUE CHECK (length(sha256) = 64),
    put    INTEGER NOT NULL,
    bytes  BLOB    NOT NULL
) STRICT;

-- Derived from the spool.
CREATE TABLE batches (
    twin         INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    ordinal      INTEGER NOT NULL,
    feed         TEXT    NOT NULL,
    run          INTEGER NOT NULL,
    seq          INTEGER NOT NULL,
    events       INTEGER NOT NULL,
    invalid_rows INTEGER NOT NULL,
    received     INTEGER NOT NULL,
    digest       BLOB    NOT NULL CHECK (length(digest) = 16),
    iteration    INTEGER,
    PRIMARY KEY (twin, ordinal)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX batches_key ON batches (twin, feed, run, seq);

CREATE TABLE versions (
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
    PRIMARY KEY (twin, version),
    FOREIGN KEY (twin, parent) REFERENCES versions (twin, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX versions_artifact ON versions (artifact);
CREATE INDEX versions_reference ON versions (reference) WHERE reference IS NOT NULL;
CREATE INDEX versions_parent ON versions (twin, parent);
CREATE UNIQUE INDEX versions_champion ON versions (twin) WHERE status = 'champion';

-- An alias points where its last move says; within an alias, time never falls.
CREATE TABLE moves (
    move    INTEGER PRIMARY KEY AUTOINCREMENT,
    twin    INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    alias   TEXT    NOT NULL CHECK (alias IN ('champion', 'challenger', 'reference')),
    version INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    actor   TEXT,
    reason  TEXT,
    FOREIGN KEY (twin, version) REFERENCES versions (twin, version) ON DELETE CASCADE
) STRICT;
CREATE INDEX moves_alias ON moves (twin, alias, move);
CREATE INDEX moves_time ON moves (twin, alias, time, move);
CREATE INDEX moves_twin ON moves (twin, move);
CREATE INDEX moves_version ON moves (twin, version);

CREATE TABLE iterations (
    twin          INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    iteration     INTEGER NOT NULL CHECK (iteration > 0),
    time          INTEGER NOT NULL,
    version       INTEGER NOT NULL,
    first_ordinal INTEGER NOT NULL,
    last_ordinal  INTEGER NOT NULL,
    events        INTEGER NOT NULL,
    drift         INTEGER NOT NULL CHECK (drift IN (0, 1)),
    decision      TEXT    NOT NULL,
    policy        TEXT,
    statistics    TEXT,
    PRIMARY KEY (twin, iteration)
) STRICT, WITHOUT ROWID;
CREATE INDEX iterations_first ON iterations (twin, first_ordinal);

CREATE TABLE operations (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    twin     INTEGER NOT NULL REFERENCES twins (id) ON DELETE CASCADE,
    kind     TEXT    NOT NULL,
    request  TEXT,
    key      TEXT,
    state    TEXT    NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    progress REAL    NOT NULL DEFAULT 0,
    created  INTEGER NOT NULL,
    finished INTEGER,
    result   TEXT,
    error    TEXT
) STRICT;
CREATE UNIQUE INDEX operations_key ON operations (twin, key) WHERE key IS NOT NULL;
CREATE INDEX operations_twin ON operations (twin, id);
CREATE INDEX operations_open ON operations (twin, id) WHERE finished IS NULL;
