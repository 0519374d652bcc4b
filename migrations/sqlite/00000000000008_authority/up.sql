-- One row: which control plane keeps the ledger of tokens that data planes share.
CREATE TABLE authority (
    -- Always 1.
    id      INTEGER PRIMARY KEY NOT NULL DEFAULT 1 CHECK (id = 1),
    -- Counts the ledgers that were started; 0: none was.
    epoch   BIGINT  NOT NULL CHECK (epoch >= 0),
    -- URL of the admin port of who started the newest; empty: it does not know its own.
    address TEXT    NOT NULL
);

INSERT INTO authority (epoch, address) VALUES (0, '');

-- Data planes that may hold tokens: a ledger that starts anew waits for them before it gives any out.
CREATE TABLE replicas (
    -- Name of the data plane.
    replica_id TEXT PRIMARY KEY NOT NULL
) WITHOUT ROWID;
