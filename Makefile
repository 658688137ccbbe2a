# make dev    build and run everything on this machine, with sample data
# make test   everything that the project promises; installs the servers it needs
# make check  the quick loop: format, vet, staticcheck, generated files, race tests on embedded stores
# make bench  measure again what bench/results holds
# make soak   a hundred rounds of kill -9 on each engine; takes the better part of an hour
# make build  bin/furima alone

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/furima/furima/internal/cli.version=$(VERSION)
STATICCHECK := go tool -modfile=tools/go.mod staticcheck

.PHONY: build dev check test bench soak lint generate clean

build:
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/furima .

dev: build
	./bin/furima dev

# What only reads the source.
lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not formatted (gofmt -w): $$unformatted"; exit 1; }
	go mod tidy -diff
	cd bench && go mod tidy -diff
	go vet ./...
	cd bench && go vet ./...
	$(STATICCHECK) ./...

# -short leaves out what needs MariaDB, nginx or Chromium.
check: lint
	go test -race -short -shuffle=on ./...

test:
	scripts/servers
	$(MAKE) lint
	go test -race -shuffle=on -timeout 9m ./...

bench: build
	bench/run

soak:
	scripts/servers
	scripts/soak

# Write the generated files again: docs/config.md, furima.example.toml, OpenAPI and other goldens.
generate:
	go test ./internal/api ./internal/config ./internal/edge -run Golden -update

clean:
	rm -rf bin
