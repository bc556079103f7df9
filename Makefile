# Everything runs on this machine, with real Kafka, Postgres and a schema registry, and without Docker.

.DEFAULT_GOAL := help
.PHONY: help prerequisites demo test torture mutations bench bench-quick bench-build up down deb fmt lint clean-stack
SHELL := /bin/bash

# where rustup puts cargo, for shells that have not read its profile yet
export PATH := $(PATH):$(HOME)/.cargo/bin
# the paths below say target/
unexport CARGO_TARGET_DIR

local := deploy/local
scripts := $(filter-out %.xml %.txt %/asyncapi,$(wildcard $(local)/*)) deploy/kafka/acls
stacks := target/stack
worker := target/release/loyalty-worker
quick := target/demo
# what the stack runs is brought meanwhile
build_quickly := $(local)/stack parts & cargo build --profile demo --no-default-features --features demo --bins && wait $$!
first_build := "The first build takes five to six minutes on 2 cores."

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

prerequisites: ## check what the build needs; as root, install what is missing
	@$(local)/prerequisites

demo: prerequisites ## the worker at work beside a real stack, then all is stopped
	@[[ -x $(quick)/demo ]] || echo $(first_build)
	@$(build_quickly)
	@$(local)/stack down --wipe $(stacks)/demo
	@$(local)/with-stack $(stacks)/demo $(quick)/demo --worker $(quick)/loyalty-worker

test: prerequisites ## all tests, beside a real stack
	@$(local)/prometheus
	@$(local)/with-stack $(stacks)/test $(local)/run-tests

torture: prerequisites ## random faults by seed, for an hour (TORTURE_SECONDS, TORTURE_SEED): half of it with three brokers
	@TORTURE_SECONDS=$${TORTURE_SECONDS:-1800} cargo test --features fail-points,demo --test end_to_end torture -- --nocapture --test-threads=1

mutations: prerequisites ## break each guard on purpose and see its test go red: a quarter of an hour
	@$(local)/with-stack $(stacks)/test tests/mutations

bench: bench-build ## the benchmark with its peers and full tables, beside a real stack: 30 to 60 minutes, 10 more the first time, 60 GB
	@STACK_FOR=load $(local)/with-stack $(stacks)/bench target/release/examples/bench --worker $(worker)

bench-quick: bench-build ## its most telling rows with short backlogs: 4 minutes
	@STACK_FOR=load $(local)/with-stack $(stacks)/bench target/release/examples/bench --worker $(worker) \
		--rounds 1 --commands 300000 --alone 300 --rows two,one,streams,latency

bench-build: prerequisites
	@[[ -x target/release/examples/bench ]] || echo "The first build takes about a quarter of an hour on 2 cores."
	@cargo build --release --bin loyalty-worker --example bench
	@mvn -B -q -f benches/kafka-streams/pom.xml package

up: prerequisites ## a stack and the worker in the background, to play with
	@[[ -x $(quick)/loyalty-worker ]] || echo $(first_build)
	@$(build_quickly)
	@$(local)/play-up $(stacks)/play

down: ## stop what `make up` started; the data stays
	@$(local)/play-down $(stacks)/play

deb: prerequisites ## a Debian package, in target/debian
	@cargo build --release --locked --bin loyalty-worker
	@$(local)/make-deb

fmt: ## format the code
	@cargo fmt

lint: ## formatting, clippy, the scripts, and what is shipped beside the binary
	@cargo fmt --check
	@cargo clippy --all-targets --features fail-points,demo -- -D warnings
	@for script in $(scripts) .ci/run; do bash -n $$script || exit 1; done
	@if command -v shellcheck >/dev/null; then shellcheck -S warning $(scripts) .ci/run; fi
	@$(local)/lint-deploy
	@$(local)/lint-crates

clean-stack: ## stop all stacks and remove their data; the downloaded parts stay
	@[[ ! -f $(stacks)/play/worker.pid ]] || $(local)/play-down $(stacks)/play
	@for dir in $(stacks)/*/; do [[ ! -f $$dir/ports ]] || $(local)/stack down --wipe $$dir; done
