-- Certificates of the authorities that backends with https:// must be certified by, PEM; NULL: the public ones.
ALTER TABLE settings ADD COLUMN backend_ca TEXT;
