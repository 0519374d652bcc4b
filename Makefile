# `make` alone says what there is.
.POSIX:
.PHONY: help fast-start force-stop test lint fmt bench bench-instructions dist docker-up docker-down clean

help:
	@echo 'make fast-start   build and start Balancer on SQLite with three echo backends (DETACH=1: in the background)'
	@echo 'make force-stop   stop what fast-start started'
	@echo 'make test         run all tests; installs PostgreSQL server programs and kill where there are none'
	@echo 'make lint         formatting, clippy and rustdoc, every warning an error'
	@echo 'make fmt          format the code'
	@echo 'make bench        measure the pure parts, then the proxy beside nginx and HAProxy (installs those)'
	@echo 'make bench-instructions'
	@echo '                  what a request costs in instructions, against the bounds in bench/instructions.json (installs valgrind, python3)'
	@echo 'make dist         optimised programs and config as target/dist/balancer-VERSION-ARCH.tar.gz (installs llvm, openssl, python3)'
	@echo 'make docker-up    two planes on PostgreSQL in containers (REPLICAS=3: three data planes)'
	@echo 'make docker-down  stop the containers; VOLUMES=1 also deletes their data'
	@echo 'make clean        delete what was built'

fast-start:
	@scripts/fast-start

force-stop:
	@scripts/force-stop

test:
	scripts/check-toolchain
	scripts/install-postgres
	scripts/install-programs kill=procps
	cargo build --workspace --bins --locked
	cargo test --workspace --locked

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --locked

fmt:
	cargo fmt --all

bench:
	@scripts/bench

bench-instructions:
	@scripts/bench-instructions

dist:
	@scripts/dist

docker-up:
	@scripts/docker-up

docker-down:
	@scripts/docker-down

clean: force-stop
	cargo clean
