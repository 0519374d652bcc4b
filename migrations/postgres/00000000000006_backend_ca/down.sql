COMMENT ON COLUMN backends.url IS 'http://host:port, normalised.';
ALTER TABLE settings DROP COLUMN backend_ca;
