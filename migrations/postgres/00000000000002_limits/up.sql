-- client_id sorts bytewise (COLLATE "C"), so that listing, paging and prefixes mean the same on every server.
CREATE TABLE limits (
    client_id    TEXT COLLATE "C"  PRIMARY KEY CHECK (octet_length(client_id) BETWEEN 1 AND 256),
    capacity     DOUBLE PRECISION  NOT NULL CHECK (capacity >= 1 AND capacity < 'Infinity'),
    rate_per_sec DOUBLE PRECISION  NOT NULL CHECK (rate_per_sec >= 0 AND rate_per_sec < 'Infinity'),
    revision     BIGINT            NOT NULL CHECK (revision > 0),
    created_at   TIMESTAMPTZ       NOT NULL DEFAULT now(),
    updated_at   TIMESTAMPTZ       NOT NULL DEFAULT now()
);
CREATE INDEX limits_revision ON limits (revision);

COMMENT ON TABLE  limits IS 'A client''s limit: a token bucket of its own.';
COMMENT ON COLUMN limits.client_id IS 'Whose limit it is: an API key, ip:port or ip; 1 to 256 bytes of printable text.';
COMMENT ON COLUMN limits.capacity IS 'Tokens the bucket holds, in requests; at least 1.';
COMMENT ON COLUMN limits.rate_per_sec IS 'Tokens added per second; 0: the burst never refills.';
COMMENT ON COLUMN limits.revision IS 'Revision at which capacity or rate last changed.';
COMMENT ON COLUMN limits.created_at IS 'When the limit was created.';
COMMENT ON COLUMN limits.updated_at IS 'When capacity or rate last changed.';

CREATE TABLE limit_tombstones (
    client_id TEXT COLLATE "C" PRIMARY KEY,
    revision  BIGINT           NOT NULL CHECK (revision > 0)
);
CREATE INDEX limit_tombstones_revision ON limit_tombstones (revision);

COMMENT ON TABLE  limit_tombstones IS 'Deleted limits, so that readers learn of the deletion; only the newest are kept.';
COMMENT ON COLUMN limit_tombstones.client_id IS 'Whose limit it was.';
COMMENT ON COLUMN limit_tombstones.revision IS 'Revision at which the limit was deleted.';
