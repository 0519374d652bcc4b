ALTER TABLE settings DROP COLUMN limit_scope;
