#!/bin/sh
# same_run.sh ASX_LAB: one seed is one run, whatever process it is in. Two outputs are compared byte
# for byte under another address space, environment, directory, locale, time zone, set of open
# descriptors, core and load.
set -eu
lab=$(readlink -f "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

all() {
    for name in $("$lab" list | awk '{ print $1 }'); do
        echo "$name"
        "$lab" run "$name" --seed 7 --seeds 5 --rows "$@"
        "$lab" run "$name" --seed 3
    done
}

differs() {
    echo "same_run: $1 made another run:"
    diff "$work/plain" "$work/other" | head -20
    exit 1
}

all >"$work/plain"
grep -q quiescent "$work/plain"

all >"$work/other"
cmp -s "$work/plain" "$work/other" || differs 'a second process'

if command -v setarch >/dev/null && setarch -R true 2>/dev/null; then
    run=$lab
    lab_fixed() { setarch -R "$run" "$@"; }
    plain=$lab
    lab=lab_fixed
    all >"$work/other"
    lab=$plain
    cmp -s "$work/plain" "$work/other" || differs 'a fixed address space'
fi

(
    cd /
    export LC_ALL=C.UTF-8 LANG=de_DE.UTF-8 TZ=Asia/Kathmandu
    export HOME=/nowhere SEED=9 MALLOC_PERTURB_=165
    MALLOC_CONF=junk:true
    export MALLOC_CONF
    exec 7</dev/null 8</dev/null 9</dev/null
    all
) >"$work/other"
cmp -s "$work/plain" "$work/other" || differs 'another environment'

# On one core, among others that want it.
if command -v taskset >/dev/null && taskset -c 0 true 2>/dev/null; then
    taskset -c 0 sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i + 1)); done' &
    burner=$!
    taskset -cp 0 $$ >/dev/null
    all >"$work/other"
    wait $burner
    cmp -s "$work/plain" "$work/other" || differs 'a loaded core'
fi
