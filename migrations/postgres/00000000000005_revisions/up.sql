CREATE TABLE revisions (
    revision BIGINT PRIMARY KEY CHECK (revision >= 0),
    mark     BIGINT NOT NULL
);

COMMENT ON TABLE  revisions IS 'The newest revisions. Tells a reader whether the revision it has is one of this database''s past.';
COMMENT ON COLUMN revisions.revision IS 'Revision of a committed change.';
COMMENT ON COLUMN revisions.mark IS 'Random. A database restored from a backup and then changed has the same revision with another mark.';

INSERT INTO revisions (revision, mark) SELECT revision, (random() * 9007199254740991)::bigint FROM meta;
