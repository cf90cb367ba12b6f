#!/usr/bin/env bash
# The steps of action.yml that run something: `github.sh prepare`, `github.sh build`, `github.sh finish`.
#
# Inputs of the action come as INPUT_…, and what later steps need goes to the file GITHUB_OUTPUT. The cache
# travels as one file, which `nbbuild cache export` writes and `nbbuild cache import` checks.
set -euo pipefail

cache=$RUNNER_TEMP/nbbuild/cache.tar.gz
report=$RUNNER_TEMP/nbbuild/report

set -f # what is separated by blanks may have patterns, which nbbuild understands

nbbuild() {
  # shellcheck disable=SC2086 # the command may have arguments
  command $INPUT_COMMAND "$@"
}

# warn TEXT: show a warning on the page of the run, and go on.
warn() {
  printf '::warning title=nbbuild::%s\n' "$1"
}

prepare() {
  # Something from an earlier job on this machine is neither restored nor reported.
  rm -rf "$RUNNER_TEMP/nbbuild"
  mkdir -p "$report"
  local common=$INPUT_CACHE_KEY-$RUNNER_OS-
  local artifact=$INPUT_REPORT
  # All shards have to begin with the same cache, so none of them saves one; see `finish`.
  [ -z "$INPUT_SHARD" ] || artifact+=-${INPUT_SHARD//\//-of-}
  {
    printf 'cache=%s\n' "$cache"
    printf 'report=%s\n' "$report"
    printf 'artifact=%s\n' "$artifact"
    printf 'key=%s%s-%s\n' "$common" "$GITHUB_RUN_ID" "$GITHUB_RUN_ATTEMPT"
    printf 'restore-key=%s\n' "$common"
  } >> "$GITHUB_OUTPUT"
}

build() {
  local one words=(--log-format github)
  if [ -e "$cache" ]; then
    nbbuild cache import "$cache" || warn 'the restored cache was not used; the log says why'
  fi
  touch "$cache.read"
  if [ -n "$INPUT_SHARDS" ]; then
    [ -d "$INPUT_SHARDS" ] || warn "there is no folder $INPUT_SHARDS with results of shards"
    while IFS= read -r one; do
      nbbuild cache import "$one" || warn "the results in $one were not used; the log says why"
    done < <(find "$INPUT_SHARDS" -name cache.tar.gz | sort)
  fi
  [ -z "$INPUT_SHARD" ] || words+=(--shard "$INPUT_SHARD")
  [ -z "$INPUT_CHANGED_SINCE" ] || words+=(--changed-since "$INPUT_CHANGED_SINCE")
  # shellcheck disable=SC2206 # these are several words
  words+=($INPUT_ARGS $INPUT_TARGETS)
  nbbuild build "${words[@]}"
}

finish() {
  local save=false
  if nbbuild cache gc --max-size "$INPUT_MAX_SIZE" && nbbuild cache export --all "$cache.new"; then
    # The same results give the same bytes, and need not be saved once more.
    # If the job was stopped before the restored cache was read, the old one is the better one.
    [ ! -e "$cache.read" ] || cmp -s "$cache.new" "$cache" || save=true
    mv "$cache.new" "$cache"
  else
    warn 'the cache was not saved; the log says why'
  fi
  if [ -n "$INPUT_SHARD" ]; then
    # The job that merges the shards saves it.
    save=false
    [ ! -e "$cache" ] || cp "$cache" "$report/"
  fi
  printf 'save=%s\n' "$save" >> "$GITHUB_OUTPUT"
  write_reports || warn 'there is no report; the log says why'
  local one
  while IFS= read -r one; do
    [ -z "$one" ] || [ ! -e "$one" ] || cp -R "$one" "$report/" || warn "$one was not uploaded"
  done <<< "$INPUT_UPLOAD"
}

write_reports() {
  local one from=()
  if [ -n "$INPUT_SHARDS" ]; then
    from=(--merge)
    while IFS= read -r one; do
      from+=("$one")
    done < <(find "$INPUT_SHARDS" -name report.json | sort)
    # What the shards came to; nbbuild has added a summary of this job's own build.
    nbbuild report "${from[@]}" --markdown - >> "$GITHUB_STEP_SUMMARY" || return
  fi
  nbbuild report ${from[@]+"${from[@]}"} --html "$report/report.html" --junit "$report/report.xml" &&
    nbbuild report ${from[@]+"${from[@]}"} --json > "$report/report.json"
}

case ${1:-} in
  prepare | build | finish) "$1" ;;
  *)
    printf 'usage: %s prepare | build | finish\n' "$0" >&2
    exit 2
    ;;
esac
