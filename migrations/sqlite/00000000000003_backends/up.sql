-- Where requests go.
CREATE TABLE backends (
    -- Never used again for another backend (AUTOINCREMENT).
    id                  INTEGER  PRIMARY KEY AUTOINCREMENT NOT NULL,
    -- http://host:port, normalised.
    url                 TEXT     NOT NULL UNIQUE,
    -- Share of requests relative to the others, 1 to 1000.
    weight              INTEGER  NOT NULL CHECK (weight BETWEEN 1 AND 1000),
    -- active: takes requests while healthy; draining: finishes those in flight; disabled: neither used nor checked.
    admin_state         TEXT     NOT NULL CHECK (admin_state IN ('active', 'draining', 'disabled')),
    -- file: defined in config.yaml and reconciled at start; api: defined here alone.
    source              TEXT     NOT NULL CHECK (source IN ('file', 'api')),
    -- Method of the health check.
    health_method       TEXT     NOT NULL,
    -- Path and query of the health check.
    health_path         TEXT     NOT NULL,
    -- Milliseconds between checks; NULL: ticker_rate_sec of the configuration.
    health_interval_ms  BIGINT   CHECK (health_interval_ms > 0),
    -- Milliseconds until a check counts as failed.
    health_timeout_ms   BIGINT   NOT NULL CHECK (health_timeout_ms > 0),
    -- Successes in a row that make an unhealthy backend healthy.
    health_rise         BIGINT   NOT NULL CHECK (health_rise > 0),
    -- Failures in a row that make a healthy backend unhealthy.
    health_fall         BIGINT   NOT NULL CHECK (health_fall > 0),
    -- Lowest status code that counts as a success.
    health_status_min   INTEGER  NOT NULL CHECK (health_status_min BETWEEN 100 AND 999),
    -- Highest status code that counts as a success.
    health_status_max   INTEGER  NOT NULL CHECK (health_status_max BETWEEN health_status_min AND 999),
    -- Revision at which the backend last changed.
    revision            BIGINT   NOT NULL CHECK (revision > 0)
);
CREATE INDEX backends_revision ON backends (revision);
