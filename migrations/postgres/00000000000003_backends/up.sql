CREATE TABLE backends (
    id                  BIGINT   GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    url                 TEXT     NOT NULL UNIQUE,
    weight              INTEGER  NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    admin_state         TEXT     NOT NULL CHECK (admin_state IN ('active', 'draining', 'disabled')),
    source              TEXT     NOT NULL CHECK (source IN ('file', 'api')),
    health_method       TEXT     NOT NULL,
    health_path         TEXT     NOT NULL,
    health_interval_ms  BIGINT   CHECK (health_interval_ms > 0),
    health_timeout_ms   BIGINT   NOT NULL CHECK (health_timeout_ms > 0),
    health_rise         BIGINT   NOT NULL CHECK (health_rise > 0),
    health_fall         BIGINT   NOT NULL CHECK (health_fall > 0),
    health_status_min   INTEGER  NOT NULL CHECK (health_status_min BETWEEN 100 AND 999),
    health_status_max   INTEGER  NOT NULL CHECK (health_status_max BETWEEN health_status_min AND 999),
    revision            BIGINT   NOT NULL CHECK (revision > 0)
);
CREATE INDEX backends_revision ON backends (revision);

COMMENT ON TABLE  backends IS 'Where requests go.';
COMMENT ON COLUMN backends.id IS 'Never used again for another backend.';
COMMENT ON COLUMN backends.url IS 'http://host:port, normalised.';
COMMENT ON COLUMN backends.weight IS 'Share of requests relative to the others, 1 to 1000.';
COMMENT ON COLUMN backends.admin_state IS 'active: takes requests while healthy; draining: finishes those in flight; disabled: neither used nor checked.';
COMMENT ON COLUMN backends.source IS 'file: defined in config.yaml and reconciled at start; api: defined here alone.';
COMMENT ON COLUMN backends.health_method IS 'Method of the health check.';
COMMENT ON COLUMN backends.health_path IS 'Path and query of the health check.';
COMMENT ON COLUMN backends.health_interval_ms IS 'Milliseconds between checks; NULL: ticker_rate_sec of the configuration.';
COMMENT ON COLUMN backends.health_timeout_ms IS 'Milliseconds until a check counts as failed.';
COMMENT ON COLUMN backends.health_rise IS 'Successes in a row that make an unhealthy backend healthy.';
COMMENT ON COLUMN backends.health_fall IS 'Failures in a row that make a healthy backend unhealthy.';
COMMENT ON COLUMN backends.health_status_min IS 'Lowest status code that counts as a success.';
COMMENT ON COLUMN backends.health_status_max IS 'Highest status code that counts as a success.';
COMMENT ON COLUMN backends.revision IS 'Revision at which the backend last changed.';
