ALTER TABLE settings ADD COLUMN backend_ca TEXT;

COMMENT ON COLUMN settings.backend_ca IS 'Certificates of the authorities that backends with https:// must be certified by, PEM; NULL: the public ones.';
COMMENT ON COLUMN backends.url IS 'http://host:port, https://host:port or h2c://host:port, normalised.';
