-- One row: what holds for the whole database.
CREATE TABLE meta (
    -- Always 1.
    id                 INTEGER PRIMARY KEY NOT NULL DEFAULT 1 CHECK (id = 1),
    -- Random identity of this database; revisions of different databases cannot be compared.
    store_id           TEXT    NOT NULL CHECK (store_id <> ''),
    -- Revision of the newest committed change of limits, backends or settings.
    revision           BIGINT  NOT NULL DEFAULT 0 CHECK (revision >= 0),
    -- Newest revision whose tombstones may have been pruned; a reader behind it needs everything.
    tombstone_horizon  BIGINT  NOT NULL DEFAULT 0 CHECK (tombstone_horizon BETWEEN 0 AND revision),
    -- Rows in limit_tombstones, kept here so that pruning need not count.
    tombstone_count    BIGINT  NOT NULL DEFAULT 0 CHECK (tombstone_count >= 0),
    -- Revision of the newest change of any backend, removals included.
    backends_revision  BIGINT  NOT NULL DEFAULT 0 CHECK (backends_revision BETWEEN 0 AND revision),
    -- When the table clients_limits of the old service was imported (UTC); NULL: not yet.
    legacy_imported_at TIMESTAMP
);

INSERT INTO meta (store_id) VALUES (lower(hex(randomblob(16))));
