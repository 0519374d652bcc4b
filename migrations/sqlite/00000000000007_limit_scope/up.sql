-- global: a limit holds for all data planes together; local: for each alone.
ALTER TABLE settings ADD COLUMN limit_scope TEXT NOT NULL DEFAULT 'global' CHECK (limit_scope IN ('global', 'local'));
