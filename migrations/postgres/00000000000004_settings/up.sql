CREATE TABLE settings (
    id                   SMALLINT         PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    default_capacity     DOUBLE PRECISION CHECK (default_capacity >= 1 AND default_capacity < 'Infinity'),
    default_rate_per_sec DOUBLE PRECISION CHECK (default_rate_per_sec >= 0 AND default_rate_per_sec < 'Infinity'),
    strategy             TEXT             NOT NULL
        CHECK (strategy IN ('round_robin', 'least_connections', 'p2c', 'random', 'consistent_hash')),
    client_header        TEXT,
    trusted_proxies      TEXT             NOT NULL,
    ipv6_prefix          SMALLINT         NOT NULL CHECK (ipv6_prefix BETWEEN 1 AND 128),
    revision             BIGINT           NOT NULL CHECK (revision > 0),
    CHECK ((default_capacity IS NULL) = (default_rate_per_sec IS NULL))
);

COMMENT ON TABLE  settings IS 'One row: settings of config.yaml that hold for every data plane.';
COMMENT ON COLUMN settings.id IS 'Always 1.';
COMMENT ON COLUMN settings.default_capacity IS 'Capacity for clients without a limit, in requests; NULL together with the rate: unlimited.';
COMMENT ON COLUMN settings.default_rate_per_sec IS 'Tokens per second for clients without a limit; NULL together with the capacity: unlimited.';
COMMENT ON COLUMN settings.strategy IS 'How the backend of a request is chosen.';
COMMENT ON COLUMN settings.client_header IS 'Request header whose value names the client; NULL: no header does.';
COMMENT ON COLUMN settings.trusted_proxies IS 'Networks whose X-Forwarded-For is believed, in CIDR notation, separated by spaces.';
COMMENT ON COLUMN settings.ipv6_prefix IS 'Prefix length in bits by which IPv6 clients without a limit of their own share a bucket.';
COMMENT ON COLUMN settings.revision IS 'Revision at which the settings last changed.';
