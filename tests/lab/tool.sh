#!/bin/sh
# tool.sh ASX_LAB: what the command says, and its exit statuses.
set -u
lab=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0

# expect STATUS PATTERN ARGS...: the status, and a line of the output that matches.
expect() {
    want=$1
    pattern=$2
    shift 2
    "$lab" "$@" >"$work/out" 2>&1
    got=$?
    if [ "$got" != "$want" ]; then
        echo "asx lab $*: status $got, not $want"
        cat "$work/out"
        failures=$((failures + 1))
    elif ! grep -q -- "$pattern" "$work/out"; then
        echo "asx lab $*: no line like '$pattern' in"
        cat "$work/out"
        failures=$((failures + 1))
    fi
}

expect 0 'asx lab run limb-cancel' --help
expect 0 'asx lab run limb-cancel'
expect 0 '^limbs  *3 shards' list
expect 2 'usage: asx lab' frobnicate
expect 2 'did you mean limbs' run limbz
expect 2 'not understood' run limbs --sede 3
expect 2 'not understood' run limbs --seed x
expect 2 'there is no mode' run limbs --mode pct
expect 0 '^ended  *quiescent' run limbs --seed 5
expect 0 'limbs: 20 seeds passed, from 3' run limbs --seed 3 --seeds 20 --twice
expect 0 '; 7 replayed, no divergence' run limbs --seeds 20 --replays 7 --jobs 3
expect 0 'limbs: 1 seeds passed' run limbs --replays 1
expect 4 '^0 of 20 seeds passed before this one' run limbs --seeds 20 --steps 10
expect 2 'would do nothing' run limbs --seeds 0
expect 4 "^again  *asx lab run limbs --seed 42 --shards 2 --steps 10" run limbs --steps 10 \
    --shards 2
expect 0 '^http-server  *3 shards' list
expect 0 '; 2 replayed, no divergence' run http-server --seeds 4 --replays 2 --chaos light
expect 2 'did you mean http-server' run http-serve
expect 0 '^10  *quiescent' run limbs --seed 10 --rows

expect 0 quiescent run limb-cancel --seed 7 --save "$work/run" --json "$work/run.json"
expect 0 'no divergence' replay "$work/run"
expect 0 '^T0\.0\.1 ' show "$work/run"
expect 0 'asked to cancel itself: USER' show "$work/run" --task "$("$lab" show "$work/run" |
    awk '/cancelled: USER/ { print $1; exit }')"
expect 0 '^T0\.0\.1 ' show limb-cancel --seed 7
expect 0 'shard 1' show limb-cancel --seed 7 --tell
expect 2 'had no task' show "$work/run" --task 9.9.9
expect 5 'not a schedule' replay "$work/run.json"
expect 5 'No such file' replay "$work/nothing"
expect 5 '/nowhere/run' run limbs --save /nowhere/run

# Runs on disk.
expect 0 quiescent run limb-cancel --seed 7 --trace "$work/a"
expect 0 quiescent run limb-cancel --seed 8 --trace "$work/b"
expect 0 'no divergence in [1-9]' replay "$work/a"
expect 0 "$("$lab" run limb-cancel --seed 7 | grep ^class)" replay "$work/a"
expect 0 'no divergence in [1-9]' replay "$work/a" --by-seed
expect 0 '^T0\.0\.1 ' show "$work/a"
expect 0 'quiescent after' show "$work/a" --json "$work/a.json"
cmp -s "$work/run.json" "$work/a.json" || { echo 'the two JSON files differ'; failures=1; }
expect 0 'shard 1' show "$work/a" --tell
expect 0 'the story of T0.0.1' show "$work/a" --task 0.0.1
expect 0 'the same [1-9]' diff "$work/a" "$work/a"
expect 3 '^diverged at record' diff "$work/a" "$work/b"
expect 3 '^  B  record' diff "$work/a" "$work/b"
head -c 9000 "$work/a" >"$work/cut"
expect 5 "$work/cut: byte 9000: cut short inside chunk" replay "$work/cut"
expect 0 'recovered  [1-9].*cut short' recover "$work/cut" "$work/good"
expect 5 'File exists' recover "$work/cut" "$work/good"
expect 0 'the run was stopped there' replay "$work/good"
expect 3 'nothing more' diff "$work/a" "$work/good"
expect 5 'not a trace file' recover "$work/run" "$work/none"
[ ! -e "$work/none" ] || { echo 'a recovery of nothing left a file'; failures=1; }
expect 0 quiescent run limb-cancel --seed 7 --trace "$work/small" --level skeleton
expect 5 'it is reduced' replay "$work/small"
expect 5 'reduced to another level' diff "$work/a" "$work/small"
expect 2 'there is no level' recover "$work/a" "$work/none" --level bones
expect 5 '/nowhere/run' run limbs --trace /nowhere/run
if [ -w /dev/full ]; then
    expect 5 '/dev/full: ' run limbs --trace /dev/full
fi

# Any byte of it.
size=$(wc -c <"$work/run")
for at in 0 9 20 45 70 200 $((size - 40)) $((size - 1)); do
    cp "$work/run" "$work/bad"
    printf '\377' | dd of="$work/bad" bs=1 seek="$at" conv=notrunc 2>/dev/null
    cmp -s "$work/run" "$work/bad" || expect 5 "$work/bad: " replay "$work/bad"
done
head -c 100 "$work/run" >"$work/bad"
expect 5 'cut short' replay "$work/bad"

# Faults from the seed, and the pack of a failure.
expect 0 'storm: 50 seeds passed' run storm --seeds 50 --chaos heavy
expect 0 ' faults at ' run storm --chaos light
expect 2 'there is no chaos' run storm --chaos mild
"$lab" run storm --chaos heavy --save "$work/stormy" >/dev/null
expect 0 'no divergence' replay "$work/stormy"
expect 4 'crashpack  asx lab replay' run storm --chaos heavy --steps 20 --pack "$work"
expect 1 'the same failure, to the last event' replay "$work"/crashpack-*
sed 's/^verified 1/verified 0/' "$work"/crashpack-* >"$work/bad"
expect 5 'not those that were written' replay "$work/bad"

if command -v python3 >/dev/null; then
    python3 - "$work/run.json" <<'PYTHON' || failures=$((failures + 1))
import collections, json, sys
trace = json.load(open(sys.argv[1]))
events = trace['traceEvents']
phases = collections.Counter(e['ph'] for e in events)
assert phases['B'] > 10 and phases['B'] >= phases['E'] >= phases['B'] - 3, phases
assert phases['s'] >= phases['f'] > 5, phases
assert all(e['ph'] == 'M' or e['ts'] >= 0 for e in events)
names = {e['args']['name'] for e in events if e['ph'] == 'M'}
assert {'shard 0', 'shard 1', 'shard 2', 'the run'} <= names, names
PYTHON
fi
[ "$failures" = 0 ]
