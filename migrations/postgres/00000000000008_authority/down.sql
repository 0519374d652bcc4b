DROP TABLE replicas;
DROP TABLE authority;
