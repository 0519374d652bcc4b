-- The newest revisions. Tells a reader whether the revision it has is one of this database's past.
CREATE TABLE revisions (
    -- Revision of a committed change.
    revision INTEGER PRIMARY KEY NOT NULL CHECK (revision >= 0),
    -- Random. A database restored from a backup and then changed has the same revision with another mark.
    mark     BIGINT  NOT NULL
);

INSERT INTO revisions (revision, mark) SELECT revision, random() FROM meta;
