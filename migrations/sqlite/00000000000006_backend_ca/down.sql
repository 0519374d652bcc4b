ALTER TABLE settings DROP COLUMN backend_ca;
