# EdgeFS. "make help" lists what there is; "make run" needs only Go.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

GO ?= go
PORT ?= 9000
DATA ?= .edgefs
FUZZTIME ?= 30s
SEEDS ?= 500
KILLS ?= 200
KEYS ?= 1000000
CHUNKS ?= 1000000
BENCH_DIR ?= .edgefs-bench
# The commit goes into the binary where git can tell it; a checkout of somebody else's, or an archive, builds too.
VCS := $(shell git rev-parse HEAD >/dev/null 2>&1 && echo true || echo false)

.PHONY: help
help: ## List the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: build
build: ## Build bin/edgefs
	@mkdir -p bin
	$(GO) build -buildvcs=$(VCS) -o bin/edgefs ./cmd/edgefs

# On a terminal the segments get a process group of their own (set -m), so that Ctrl-C ends them in order, and make ends well too.
.PHONY: run
run: build ## Run two linked segments, hawaii and tokyo, until Ctrl-C; their data stays in ./.edgefs (PORT=9000 is the first port)
	@if [ -t 0 ] || [ -t 1 ]; then set -m; bin/edgefs run --dir "$(DATA)" --port "$(PORT)"; exit $$?; fi; \
	exec bin/edgefs run --dir "$(DATA)" --port "$(PORT)"

.PHONY: reset
reset: ## Delete the data of make run (asks; YES=1 does not)
	@[ -d "$(DATA)" ] || { echo "nothing to delete: there is no $(DATA)"; exit 0; }; \
	if [ "$(YES)" != 1 ]; then \
	  [ -t 0 ] || { echo "reset asks on a terminal; elsewhere say make reset YES=1" >&2; exit 2; }; \
	  read -r -p "Delete $(DATA) with everything in it, keys too? [y/N] " answer; \
	  [ "$$answer" = y ] || [ "$$answer" = yes ] || { echo "nothing was deleted"; exit 1; }; \
	fi; \
	for lock in "$(DATA)"/*/lock; do \
	  [ ! -e "$$lock" ] || flock -n "$$lock" true || { echo "$$(dirname "$$lock") is in use: end make run first" >&2; exit 1; }; \
	done; \
	rm -rf -- "$(DATA)"; echo "deleted $(DATA)"

.PHONY: demo
demo: build ## The story on the Go source tree, in under two minutes, each step checked
	$(GO) build -buildvcs=$(VCS) -o bin/edgefs-demo ./test/demo
	bin/edgefs-demo

.PHONY: test
test: ## All tests that need only Go, and those of the clients that are installed
	$(GO) run ./internal/gotest $(if $(CI),-skips test/allowed-skips) -- -timeout 20m ./...

.PHONY: quick
quick: ## The tests that a change should pass before it is shown, in under a minute
	$(GO) run ./internal/gotest -- -short -timeout 60s ./...

.PHONY: check
check: fmt vet staticcheck layers race ## Format, vet, static analysis, layers, race detector

.PHONY: fmt
fmt: ## Fail on files that gofmt would change
	@files=$$(git ls-files -co --exclude-standard '*.go' | grep -v /testdata/ | xargs -r gofmt -l); \
	if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

.PHONY: vet
vet: ## go vet
	$(GO) vet ./...

.PHONY: staticcheck
staticcheck: ## Static analysis, of the version that tools/go.mod pins
	$(GO) tool -modfile=tools/go.mod staticcheck ./...

.PHONY: layers
layers: ## Who may import whom, no global state, no file too long
	$(GO) test ./internal/arch

.PHONY: race
race: ## The short tests with the race detector
	$(GO) run ./internal/gotest -- -race -short -timeout 15m ./...

.PHONY: bench
bench: build ## The figures, each beside its raw limit in the same run, in under ten minutes
	$(GO) build -o bin/loadtest ./loadtest/cmd/loadtest
	$(GO) build -o bin/scale ./test/scale
	$(GO) build -o bin/chunks ./test/chunks
	$(GO) run ./test/bench $(BENCH)

# The store is built once, about 12 GiB in ten minutes, and kept in BENCH_DIR for the next time; a run that was stopped goes on. The large file takes
# another 10 GiB while it is measured.
.PHONY: bench-full
bench-full: ## What ten million keys cost, with a store that is kept in BENCH_DIR; the first run takes some 30 minutes and 24 GiB
	$(GO) build -o bin/scale ./test/scale
	GOMEMLIMIT=$${GOMEMLIMIT:-640MiB} bin/scale -keys 10000000 -file 10737418240 -dir "$(BENCH_DIR)" $(BENCH)
	$(MAKE) chunks CHUNKS=10000000 BENCH=

.PHONY: scale
scale: ## The same for KEYS keys, in a temporary folder (a million in two minutes and 4 GiB of disk)
	$(GO) build -o bin/scale ./test/scale
	bin/scale -keys $(KEYS) $(BENCH)

.PHONY: chunks
chunks: ## What the chunk engine does beside the bare disk and processors, with CHUNKS small chunks in a temporary folder (ten million take 12 GiB)
	$(GO) build -o bin/chunks ./test/chunks
	bin/chunks -chunks $(CHUNKS) $(BENCH)

.PHONY: sim
sim: ## The simulation of segments in virtual time: SEEDS seeds, or only SEED=n with its steps
	$(GO) test -count=1 -timeout 30m -run '^TestSimulation$$' ./segment $(if $(SEED),-v -sim.seed=$(SEED),-sim.seeds=$(SEEDS))

.PHONY: crash
crash: ## A whole segment, cut off after each of its operations on the disk
	$(GO) test -count=1 -timeout 30m ./test/crash -crash.all

.PHONY: kill
kill: ## kill -9 under load, KILLS times, and nearly as often in the midst of each background job, with a checker
	$(GO) test -count=1 -v -timeout 2h ./test/kill -kill.count $(KILLS) -kill.jobs $$(($(KILLS) / 10 + 1))

.PHONY: mutants
mutants: ## Plant each bug of testdata/mutants (those whose names match ONLY), and see that a test finds it
	$(GO) run ./test/mutants $(if $(ONLY),-run '$(ONLY)')

.PHONY: fuzz
fuzz: ## Fuzz every decoder for FUZZTIME each
	@for dir in $$(grep -rlE --include='*_test.go' 'func Fuzz[A-Z]' . | grep -v /testdata/ | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE 'func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go | sed 's/func //'); do \
	    echo "== $$dir $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$dir; \
	  done; \
	done

.PHONY: deps
deps: ## Install the clients that the tests drive (Debian, as root; npm; the module of Go clients)
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
	  awscli s3cmd rclone s3fs restic python3-boto3 fuse
	cd test/clients/js && npm ci --no-audit --no-fund
	cd test/clients/go && $(GO) build ./... && $(GO) test -run '^$$' ./...

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin
