-- One row: settings of config.yaml that hold for every data plane.
CREATE TABLE settings (
    -- Always 1.
    id                   INTEGER  PRIMARY KEY NOT NULL DEFAULT 1 CHECK (id = 1),
    -- Capacity for clients without a limit, in requests; NULL together with the rate: unlimited.
    default_capacity     DOUBLE   CHECK (default_capacity >= 1 AND default_capacity < 9e999),
    -- Tokens per second for clients without a limit; NULL together with the capacity: unlimited.
    default_rate_per_sec DOUBLE   CHECK (default_rate_per_sec >= 0 AND default_rate_per_sec < 9e999),
    -- How the backend of a request is chosen.
    strategy             TEXT     NOT NULL
        CHECK (strategy IN ('round_robin', 'least_connections', 'p2c', 'random', 'consistent_hash')),
    -- Request header whose value names the client; NULL: no header does.
    client_header        TEXT,
    -- Networks whose X-Forwarded-For is believed, in CIDR notation, separated by spaces.
    trusted_proxies      TEXT     NOT NULL,
    -- Prefix length in bits by which IPv6 clients without a limit of their own share a bucket.
    ipv6_prefix          SMALLINT NOT NULL CHECK (ipv6_prefix BETWEEN 1 AND 128),
    -- Revision at which the settings last changed.
    revision             BIGINT   NOT NULL CHECK (revision > 0),
    CHECK ((default_capacity IS NULL) = (default_rate_per_sec IS NULL))
);
