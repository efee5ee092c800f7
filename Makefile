# `make help` lists the targets. CI calls the same ones.
GOLANGCI := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULN   := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
FUZZTIME ?= 10s
TARGET   ?= .
MODULES  := client test/e2e
NPM_CI   := npm ci --no-audit --no-fund --loglevel=error

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup fmt lint test race client fuzz e2e audit bench bench-writes soak demo test-versions build clean

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(MODULES:%=%/node_modules/.package-lock.json) ## install what is missing (Debian, Ubuntu)
	@scripts/setup.sh go node postgres chromium

%/node_modules/.package-lock.json: %/package-lock.json
	@scripts/setup.sh node
	cd $* && $(NPM_CI)
	@touch $@

fmt: ## format the Go code
	gofmt -s -w $$(git ls-files --cached --others --exclude-standard '*.go')

lint: client/node_modules/.package-lock.json ## look for mistakes in Go, TypeScript and shell
	$(GOLANGCI) run ./...
	cd client && npm run --silent check
	@! command -v shellcheck >/dev/null || shellcheck scripts/*.sh .ci/run

test: race client e2e ## all tests, installing what they need

race: ## the Go tests, with the race detector
	@scripts/setup.sh go node postgres django pgbouncer
	go vet ./...
	go test -race ./...
	go test ./test/oracle # the whole of it: with the race detector there are fewer cases

test-versions: ## the tests that use a database, on PostgreSQL 14 to 18 (VERSIONS="14 16": on those)
	@scripts/setup.sh go node postgres django pgbouncer
	scripts/test-versions.sh $(VERSIONS)

client: client/node_modules/.package-lock.json ## the client package's tests, its sizes, what npm would be given, and whether the demo page is current
	cd client && npm run --silent check && npm test --silent && npm run --silent size && npm run --silent lint:package
	cd client && npm run --silent demo:check

e2e: setup ## the demo in a real browser
	cd test/e2e && npm test --silent

fuzz: ## fuzz targets for FUZZTIME (default 10s); TARGET=regexp: those that match
	scripts/fuzz.sh $(FUZZTIME) "$(TARGET)"

audit: ## known weaknesses of what is used, and of how (VULNDB=file:///path: without a network)
	$(GOVULN) $(if $(VULNDB),-db $(VULNDB)) ./...
	$(GOLANGCI) run --enable-only gosec ./...

bench: ## the figures of the README, against the floors
	@scripts/setup.sh go postgres
	go run ./test/bench

bench-writes: ## what a write of the ERP costs, with triggers and without
	@scripts/setup.sh go postgres
	go run ./test/bench -only writes

soak: ## kill, cut and flood for twenty minutes: the figures of what is lost
	@scripts/setup.sh go postgres
	go run ./test/soak

demo: ## the whole thing with nothing to set up: look at it live
	@scripts/setup.sh go postgres
	@go build -o bin/rowfeed ./cmd/rowfeed
	@bin/rowfeed demo

build: ## bin/rowfeed, static
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o bin/rowfeed ./cmd/rowfeed

clean: ## remove what was built
	rm -rf bin client/dist $(MODULES:%=%/node_modules)
