DROP TABLE limit_tombstones;
DROP TABLE limits;
