#!/usr/bin/env bash
# Everything that can be said about the source without running the product: one
# line per check, all of them run, and the end says which failed.
# `infra/check.sh NAME...` runs only those.
set -uo pipefail
cd "$(dirname "$0")/.."

go=${GO:-go}
tools=infra/tools
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
trap 'exit 130' INT TERM
failed=()
left=()
only=("$@")
ran=0

# check NAME "what it does" COMMAND... runs the command, silent unless it fails.
# A command that could not do its work ends with 75 and says why in its last line.
check() {
	local name=$1 what=$2 begun=$SECONDS status
	shift 2
	if ((${#only[@]})) && [[ " ${only[*]} " != *" $name "* ]]; then
		return
	fi
	ran=$((ran + 1))
	printf '  %-16s %-58s ' "$name" "$what"
	"$@" >"$out/$name" 2>&1
	status=$?
	case $status in
	0) echo "ok ($((SECONDS - begun)) s)" ;;
	75)
		echo "left out: $(tail -n 1 "$out/$name")"
		left+=("$name")
		;;
	*)
		echo "FAILED ($((SECONDS - begun)) s)"
		sed 's/^/      /' "$out/$name"
		failed+=("$name")
		;;
	esac
}

# sources writes the names of the tree's files: what is committed or about to be.
sources() {
	local file
	git ls-files -z --cached --others --exclude-standard -- "$@" >"$out/listed" || return
	while IFS= read -r -d '' file; do
		if [[ -f $file ]]; then printf '%s\0' "$file"; fi # a deleted file is still listed
	done <"$out/listed" >"$out/sources"
	[[ -s $out/sources ]]
}

formatted() {
	local files
	sources '*.go' && files=$(xargs -0 gofmt -l <"$out/sources") || return
	[[ -z $files ]] || {
		echo "gofmt would change:"
		echo "$files"
		return 1
	}
}

vetted() { $go vet ./... && $go vet -tags e2e ./... && $go vet -tags lambda.norpc ./functions/...; }

static() { $go tool staticcheck ./... && $go tool staticcheck -tags e2e ./...; }

lint() { $go tool -modfile=$tools/golangci-lint/go.mod golangci-lint run --show-stats=false ./...; }

# modules: what was downloaded is what go.sum says, and go.mod lists what is used
# and nothing else.
modules() {
	local dir
	for dir in . $tools/golangci-lint $tools/gitleaks $tools/admin-client; do
		(cd "$dir" && $go mod verify) || return
	done
	$go mod tidy -diff
}

licences() { $go test -count=1 -run '^TestLicences' ./tests; }

vulnerabilities() {
	local status
	$go tool govulncheck -tags e2e ./...
	status=$?
	if ((status == 0 || status == 3)); then # 3: something was found
		return $status
	fi
	if tail -n 3 "$out/vulnerabilities" | grep -qE 'fetching vulnerabilities|vuln\.go\.dev'; then
		echo "the vulnerability database (vuln.go.dev, or GOVULNDB) cannot be reached from here"
		return 75
	fi
	return $status
}

# gitleaks scans a folder. It prints where, never what.
gitleaks() {
	$go tool -modfile=$tools/gitleaks/go.mod gitleaks dir --no-banner --no-color --redact -v -l warn \
		--config $tools/gitleaks/gitleaks.toml "$1"
}

# secrets first plants a key and sees it found: a scan that finds nothing because
# of a broken rule file must not pass.
secrets() {
	mkdir "$out/planted" "$out/marked"
	echo "key = \"AKIA""Q3EGRZ7MNVX2T4LD\"" >"$out/planted/a.go"
	echo "key = \"canary-9fT2kLmQw8ZxR4vB7nYcU1sDa3EgHj5KpX0o\"" >"$out/marked/a.go"
	gitleaks "$out/marked" || {
		echo "the scan refuses a marked canary"
		return 1
	}
	if gitleaks "$out/planted" >"$out/found" 2>&1; then
		echo "the scan does not find a planted key"
		return 1
	fi
	grep -q aws-access-token "$out/found" || {
		cat "$out/found"
		return 1
	}
	gitleaks .
}

template() {
	local python
	python=$($tools/cfn/python) || return
	"$python" -c 'from cfnlint.runner import main; main()' template.yaml infra/*.yaml &&
		$tools/sam/sam validate --lint && $go test -count=1 -tags e2e -run '^TestTemplate' ./tests
}

# policy sees each rule find what is wrong with its samples, and then judges what
# SAM makes of the template, and every nested file.
policy() {
	local python rule file data=()
	if ! command -v npm >/dev/null && [[ ${CI:-} != true ]]; then
		echo "CloudFormation Guard comes by npm (Node 20), which is not on PATH"
		return 75
	fi
	for rule in $(sed -nE 's/^rule ([A-Z0-9_]+).*/\1/p' infra/rules.guard); do
		grep -q "{ $rule: FAIL }" $tools/cfn-guard/samples.yaml || {
			echo "$rule has no sample that breaks it"
			return 1
		}
	done
	$tools/cfn-guard/cfn-guard test -r infra/rules.guard -t $tools/cfn-guard/samples.yaml >"$out/samples" || {
		grep -B 3 'Expected =' "$out/samples"
		return 1
	}
	python=$($tools/cfn/python) || return
	"$python" $tools/cfn/expand.py template.yaml Environment=dev 'Issuers={}' >"$out/template.json" || return
	for file in "$out/template.json" infra/*.yaml; do data+=(-d "$file"); done
	$tools/cfn-guard/cfn-guard validate -r infra/rules.guard "${data[@]}"
}

# wording: nothing in the tree tells of the machine it was written on, of where
# its parts were downloaded, or of work not done. Brackets keep this from
# finding itself.
wording() {
	local patterns=(
		'(^|[^A-Za-z0-9_.])/(root|work|farm|Users)[/]' '/hom[e]/[a-z]' '\.pyen[v]'
		'proxy\.golang[.]org' 'files\.pythonhosted[.]org' 'pypi[.]org' 'registry\.npmjs[.]org'
		'repo1?\.maven[.]' 'artifactor[y]'
		'\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b'
	)
	sources ':!tests/docs_test.go' || return # its samples are such words
	if xargs -0 grep -InE "$(IFS='|' && echo "${patterns[*]}")" <"$out/sources"; then
		return 1
	fi
}

if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	echo "check: this is no git checkout, and the checks read what git tracks" >&2
	exit 1
fi
echo "checking the source ($($go version | cut -d' ' -f3); the very first run builds the linters, a minute or two)"
check gofmt "Go files are formatted" formatted
check vet "go vet, also with the build tags e2e and lambda.norpc" vetted
check staticcheck "staticcheck, also with the build tag e2e" static
check golangci-lint "the linters of .golangci.yml" lint
check modules "modules match go.sum, go.mod is tidy" modules
check licences "dependencies are Apache, MIT, BSD, ISC or MPL" licences
check vulnerabilities "govulncheck: known vulnerabilities that are reachable" vulnerabilities
check secrets "gitleaks: no secret in the tree (a planted one is found)" secrets
check template "cfn-lint, sam validate, the expanded template.yaml" template
check policy "CloudFormation Guard: infra/rules.guard, tried on samples" policy
check wording "no machine paths, download hosts or unfinished work" wording

if ((${#only[@]} && ran != ${#only[@]})); then
	echo "check: not all of these are checks: ${only[*]} (they are: $(sed -nE 's/^check ([a-z-]+) .*/\1/p' "$0" | xargs))"
	exit 2
fi
if ((${#failed[@]})); then
	echo "check: FAILED: ${failed[*]} ($SECONDS s)"
	exit 1
fi
if ((${#left[@]})); then
	echo "check: ok, but left out: ${left[*]} ($SECONDS s)"
	exit
fi
echo "check: ok ($SECONDS s)"
