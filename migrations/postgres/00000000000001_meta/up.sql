CREATE TABLE meta (
    id                 SMALLINT    PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    store_id           TEXT        NOT NULL CHECK (store_id <> ''),
    revision           BIGINT      NOT NULL DEFAULT 0 CHECK (revision >= 0),
    tombstone_horizon  BIGINT      NOT NULL DEFAULT 0 CHECK (tombstone_horizon BETWEEN 0 AND revision),
    tombstone_count    BIGINT      NOT NULL DEFAULT 0 CHECK (tombstone_count >= 0),
    backends_revision  BIGINT      NOT NULL DEFAULT 0 CHECK (backends_revision BETWEEN 0 AND revision),
    legacy_imported_at TIMESTAMPTZ
);

COMMENT ON TABLE  meta IS 'One row: what holds for the whole database. Its lock orders all writers.';
COMMENT ON COLUMN meta.id IS 'Always 1.';
COMMENT ON COLUMN meta.store_id IS 'Random identity of this database; revisions of different databases cannot be compared.';
COMMENT ON COLUMN meta.revision IS 'Revision of the newest committed change of limits, backends or settings.';
COMMENT ON COLUMN meta.tombstone_horizon IS 'Newest revision whose tombstones may have been pruned; a reader behind it needs everything.';
COMMENT ON COLUMN meta.tombstone_count IS 'Rows in limit_tombstones, kept here so that pruning need not count.';
COMMENT ON COLUMN meta.backends_revision IS 'Revision of the newest change of any backend, removals included.';
COMMENT ON COLUMN meta.legacy_imported_at IS 'When the table clients_limits of the old service was imported; NULL: not yet.';

INSERT INTO meta (store_id) VALUES (replace(gen_random_uuid()::text, '-', ''));
