# Bindery. `make help` lists what there is.

GO      ?= go
BUILD   := build
FUNCTIONS := proxy authorizer admin callback ledger rotation outbox revocation cleanup
ARCHITECTURES := arm64:arm64 amd64:x86_64
LDFLAGS := -s -w
LAMBDA  := CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -buildvcs=false -tags lambda.norpc -ldflags="$(LDFLAGS)"
BENCH   ?= .
# A binary of its own, run in place of the shell: signals reach it, and it says how it ended.
PROGRAM  = test -x .local/bin/$(1) || { echo "  compiling (a minute or two the first time)"; (while sleep 15 >&- 2>&-; do echo "  still compiling"; done) & }; \
	$(GO) build -o .local/bin/$(1) ./infra/$(1); built=$$?; kill $$! 2>/dev/null; test $$built = 0 && exec .local/bin/$(1)
COUNT   ?= 3
RUNS    ?= 1
ROUNDS  ?= 20
SECONDS ?= 30
RECORDS ?= 100000
GRANTS  ?= 10000
CALLS   ?= 500

.DEFAULT_GOAL := help
.PHONY: help run demo sam-local smoke test conformance contract race lifecycle load soak drill check bench bench-audit build release build-ProxyFunction build-AuthorizerFunction build-AdminFunction build-CallbackFunction build-LedgerFunction build-RotationFunction build-OutboxFunction build-RevocationFunction build-CleanupFunction clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

run: ## the whole broker on this machine: one governed call shown, then it keeps serving (PORT=8080)
	@$(call PROGRAM,local)

demo: ## the same call and a whole pilot, checked on every side, without staying up
	@$(call PROGRAM,local) -once

sam-local: ## the functions in SAM's containers, one call through its gateway (DOCKER=install ONCE=1 EVENTS=all PORT=3000)
	@$(call PROGRAM,samlocal) -docker "$$DOCKER" -events "$${EVENTS:-some}" -port "$${PORT:-3000}" $(if $(ONCE),-once)

smoke: ## looks at a deployed stack with your AWS rights, changes nothing (STACK=name; docs/smoke.md has the others)
	@$(call PROGRAM,smoke) -stack "$$STACK" -region "$$REGION" -server "$$SERVER" -token-command "$$TOKEN_COMMAND" -narrow-token-command "$$NARROW_TOKEN_COMMAND" -restore "$$RESTORE"

test: ## every test, on real parts: DynamoDB Local, moto, OpenID provider, MCP servers
	@GO=$(GO) infra/test.sh

conformance: ## the official MCP suite, directly and through Bindery: every check alike (RUNS=10)
	@$(call PROGRAM,conformance) -runs $(RUNS)

contract: ## the admin API against its own document: every operation, every error, every limit
	@out=$$($(GO) test -count=1 -v -run '^TestContract' ./functions/admin/handler) || { echo "$$out"; exit 1; }; echo "$$out" | grep '^contract: '

race: ## fifty processes refresh one grant, answers are lost, processes killed (ROUNDS=20)
	@GO=$(GO) infra/measure.sh race . $(ROUNDS)

lifecycle: ROUNDS := 1
lifecycle: ## all kinds of revocation, a rotation each second, while everybody calls (ROUNDS=1 SECONDS=30)
	@GO=$(GO) infra/lifecycle.sh $(ROUNDS) $(SECONDS)

load: ## as many processes as the machine carries call at once: memory, descriptors, records, latency (SECONDS=30)
	@GO=$(GO) infra/measure.sh soak Load $(SECONDS)

soak: ## all that calls ask of AWS and of upstreams fails, and processes are killed (CALLS=500 SEED=)
	@GO=$(GO) BINDERY_SOAK_SEED=$(SEED) infra/measure.sh soak Others $$(($(CALLS) < 500 ? 5 : $(CALLS) / 100)) Faults $(CALLS)

drill: ## everything is revoked, the provider's side too, in memory and on DynamoDB Local (GRANTS=10000)
	@GO=$(GO) BINDERY_DRILL_GRANTS=$(GRANTS) infra/measure.sh drill Drill 1

check: ## formatting, linters, vulnerabilities, secrets in the tree, the template
	@infra/check.sh

bench: ## benchmarks of the hot path, cold start, size, lifecycle (BENCH=pattern COUNT=3)
	@mkdir -p $(BUILD)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./shared/... ./functions/... | tee $(BUILD)/bench.txt
	@if command -v javac mvn >/dev/null; then $(GO) test -tags e2e -run '^$$' -bench '$(BENCH)' ./shared/dynamo | tee -a $(BUILD)/bench.txt; else echo "left out: decisions on DynamoDB Local (a Java 17 JDK and Maven are missing)"; fi
	@$(GO) tool benchstat $(if $(BASE),$(BASE)) $(BUILD)/bench.txt
	@if [ '$(BENCH)' = . ] && command -v javac mvn >/dev/null; then $(MAKE) --no-print-directory lifecycle SECONDS=10; fi

bench-audit: ## the audit index on DynamoDB Local: filling it, what auditors ask, an incident (RECORDS=100000)
	@mkdir -p .local/audit-$(RECORDS)
	BINDERY_BENCH_TABLES=$(abspath .local/audit-$(RECORDS)) BINDERY_BENCH_RECORDS=$(RECORDS) $(GO) test -tags e2e -run '^$$' -bench AuditIndex -benchtime 100x -timeout 4h ./shared/dynamo
	BINDERY_BENCH_TABLES=$(abspath .local/audit-$(RECORDS)) $(GO) test -tags e2e -run '^$$' -bench Incident -benchtime 20x ./functions/admin/handler

build: ## the functions for AWS Lambda, arm64 and x86-64, into build/
	@for f in $(FUNCTIONS); do for a in $(ARCHITECTURES); do \
		echo "GOARCH=$${a%:*} $(LAMBDA) ./functions/$$f" && GOARCH=$${a%:*} $(LAMBDA) -o $(BUILD)/$${a#*:}/$$f/bootstrap ./functions/$$f || exit 1; done; done
	@ls -l $(BUILD)/*/*/bootstrap | awk '{ printf "  %-32s %.1f MB\n", $$9, $$5 / 1e6 }'

release: ## zips of all functions, SBOM, sums, licences, signature (VERSION=1.2.3 SIGN_KEY=path), into build/
	@$(GO) run ./infra/release -version "$$VERSION" -key "$$SIGN_KEY" -functions '$(FUNCTIONS)' -into $(BUILD)

build-ProxyFunction: FUNCTION := proxy
build-AuthorizerFunction: FUNCTION := authorizer
build-AdminFunction: FUNCTION := admin
build-CallbackFunction: FUNCTION := callback
build-LedgerFunction: FUNCTION := ledger
build-RotationFunction: FUNCTION := rotation
build-OutboxFunction: FUNCTION := outbox
build-RevocationFunction: FUNCTION := revocation
build-CleanupFunction: FUNCTION := cleanup
build-ProxyFunction build-AuthorizerFunction build-AdminFunction build-CallbackFunction build-LedgerFunction build-RotationFunction build-OutboxFunction build-RevocationFunction build-CleanupFunction: # called by `sam build`
	$(if $(RELEASE),unzip -oq $(RELEASE)/$(FUNCTION)-$(or $(LAMBDA_ARCH),arm64).zip -d $(ARTIFACTS_DIR),GOARCH=$(if $(filter x86_64,$(LAMBDA_ARCH)),amd64,arm64) $(LAMBDA) -o $(ARTIFACTS_DIR)/bootstrap ./functions/$(FUNCTION))
	@if [ -f issuers.json ]; then cp issuers.json $(ARTIFACTS_DIR)/; else echo "issuers.json is missing: the function starts only if the parameter Issuers holds the document itself"; fi

clean: ## what was built and installed into this folder
	rm -rf $(BUILD) .local .aws-sam
