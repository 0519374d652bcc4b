-- A client's limit: a token bucket of its own. client_id sorts bytewise, which is SQLite's BINARY collation.
CREATE TABLE limits (
    -- Whose limit it is: an API key, ip:port or ip; 1 to 256 bytes of printable text.
    client_id    TEXT      PRIMARY KEY NOT NULL CHECK (length(CAST(client_id AS BLOB)) BETWEEN 1 AND 256),
    -- Tokens the bucket holds, in requests; at least 1.
    capacity     DOUBLE    NOT NULL CHECK (capacity >= 1 AND capacity < 9e999),
    -- Tokens added per second; 0: the burst never refills.
    rate_per_sec DOUBLE    NOT NULL CHECK (rate_per_sec >= 0 AND rate_per_sec < 9e999),
    -- Revision at which capacity or rate last changed.
    revision     BIGINT    NOT NULL CHECK (revision > 0),
    -- When the limit was created (UTC).
    created_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
    -- When capacity or rate last changed (UTC).
    updated_at   TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) WITHOUT ROWID;
CREATE INDEX limits_revision ON limits (revision);

-- Deleted limits, so that readers learn of the deletion; only the newest are kept.
CREATE TABLE limit_tombstones (
    -- Whose limit it was.
    client_id TEXT   PRIMARY KEY NOT NULL,
    -- Revision at which the limit was deleted.
    revision  BIGINT NOT NULL CHECK (revision > 0)
) WITHOUT ROWID;
CREATE INDEX limit_tombstones_revision ON limit_tombstones (revision);
