CREATE TABLE authority (
    id      SMALLINT PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    epoch   BIGINT   NOT NULL CHECK (epoch >= 0),
    address TEXT     NOT NULL
);

COMMENT ON TABLE  authority IS 'One row: which control plane keeps the ledger of tokens that data planes share.';
COMMENT ON COLUMN authority.id IS 'Always 1.';
COMMENT ON COLUMN authority.epoch IS 'Counts the ledgers that were started; 0: none was.';
COMMENT ON COLUMN authority.address IS 'URL of the admin port of who started the newest; empty: it does not know its own.';

INSERT INTO authority (epoch, address) VALUES (0, '');

CREATE TABLE replicas (
    replica_id TEXT PRIMARY KEY
);

COMMENT ON TABLE  replicas IS 'Data planes that may hold tokens: a ledger that starts anew waits for them before it gives any out.';
COMMENT ON COLUMN replicas.replica_id IS 'Name of the data plane.';
