# Open Health Exchange. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help run test test-phi test-knative test-hfs screenshots check manifests images bench fuzz fmt deny clean release soak

ARGS ?=
CARGO ?= cargo
FUZZ_SECONDS ?= 60
# Within `make test`: whether it runs and finds nothing at once.
FUZZ_GLANCE ?= 20
SOAK_SECONDS ?= 7200

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## shows the main job: demo patients, a simulated provider, a small FHIR server (make run ARGS=--once to end by itself)
	@tests/needs cc
	@$(CARGO) run --quiet --locked -p ohx -- demo $(ARGS)

test: ## runs everything: installs PostgreSQL and Redis where they are missing, starts and stops its own
	@tests/needs cc postgres redis ministack r5 ehr-auth medplum fhir-resources chromium browser spectral schemathesis promtool
	@tests/timed "build tests" $(CARGO) test --workspace --locked --no-run --quiet
	@tests/timed "build functions" $(CARGO) build --workspace --bins --locked --quiet
	@tests/timed "run tests" tests/with-services --sqs tests/suites
	@tests/timed "fuzz" tests/fuzz/run $(FUZZ_GLANCE)

test-phi: ## searches everything for readings and secrets that went through everything; writes the table of docs/privacy.md
	@tests/needs cc postgres redis ministack
	@tests/timed "build functions" $(CARGO) build --workspace --bins --locked --quiet
	@tests/timed "build the search" $(CARGO) test --workspace --test phi --locked --no-run --quiet
	@tests/timed "search" env OHX_PHI_REPORT=docs/privacy.md tests/with-services --sqs $(CARGO) test --workspace --test phi --locked --quiet

test-hfs: ## writes to Helios HFS, a full FHIR R5 server, which is built once (10 minutes) into OHX_HFS_DIR, a cache folder
	@tests/needs cc r5 hfs
	@tests/timed "build HFS tests" $(CARGO) test -p ohx-tests --test ehr --locked --no-run --quiet
	@tests/timed "run HFS tests" $(CARGO) test -p ohx-tests --test ehr --locked --quiet -- --include-ignored hfs::

test-knative: ## holds every function against what Knative asks of it, prints cold starts, and checks the manifests
	@tests/needs cc postgres redis promtool
	@tests/timed "build functions" $(CARGO) build --workspace --bins --locked --quiet
	@tests/timed "build the contract" $(CARGO) test --workspace --test knative --locked --no-run --quiet
	@tests/timed "contract" tests/with-services $(CARGO) test --workspace --test knative --locked --quiet -- --nocapture
	@tests/timed "manifests" knative/check

screenshots: ## makes the pictures of docs/screenshots: the console over a world like the demo's
	@tests/needs cc chromium browser
	@tests/timed "build functions" $(CARGO) build --workspace --bins --locked --quiet
	@mkdir -p docs/screenshots
	@tests/timed "pictures" env OHX_SCREENSHOTS=$(CURDIR)/docs/screenshots $(CARGO) test --workspace --test browser --locked --quiet -- --ignored screenshots

check: manifests ## formatting, lints, manifests and templates
	@tests/needs cc cfn-lint
	@$(CARGO) fmt --all -- --check
	@tests/timed "clippy" $(CARGO) clippy --workspace --all-targets --locked --quiet -- -D warnings
	@target/cfn-lint/bin/python tests/lambda/translate.py knative/lambda/template.yaml >target/cfn-lint/translated.json
	@tests/timed "template for AWS" target/cfn-lint/bin/cfn-lint --regions eu-central-1 us-east-1 -- knative/lambda/template.yaml target/cfn-lint/translated.json

manifests: ## renders the manifests of knative/ and checks them, the alerts with their tests, and the dashboard
	@knative/check

images: ## builds an image of each function (or of FUNCTIONS) into target/images: static, FROM scratch, the same bytes each time
	@tests/needs cc manifests
	@knative/images/make $(FUNCTIONS)

bench: release ## measures mapping, starts and idle memory; ratios in one run
	@tests/needs cc postgres redis ministack
	@$(CARGO) bench --locked -p ohx-mapping --bench mapping
	@tests/with-services --sqs $(CARGO) bench --locked -p ohx-tests

fuzz: ## fuzzes the mapping engine: documents and payloads, each for FUZZ_SECONDS (60)
	@tests/needs cc
	@tests/fuzz/run $(FUZZ_SECONDS)

soak: ## lives through fresh worlds full of faults for SOAK_SECONDS (7200); writes the table of docs/reliability.md
	@tests/needs cc postgres redis
	@tests/timed "build soak" $(CARGO) test -p ohx-tests --test fault --test nightly --locked --no-run --quiet
	@tests/timed "ten thousand users" tests/with-services $(CARGO) test -p ohx-tests --test nightly --locked --quiet -- --ignored
	@SOAK_SECONDS=$(SOAK_SECONDS) tests/with-services $(CARGO) test -p ohx-tests --test fault --locked --quiet -- --ignored --nocapture fresh_worlds

deny: ## licences, bans and sources of the dependencies (installs cargo-deny)
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked
	@$(CARGO) deny check bans licenses sources

fmt: ## formats the code
	@$(CARGO) fmt --all

release: ## builds every function, optimised, into target/release
	@$(CARGO) build --release --locked --workspace --bins

clean: ## removes what was built
	@$(CARGO) clean
