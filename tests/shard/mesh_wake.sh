#!/bin/sh
# Checks tests/shard/mesh_wake.pml with spin: the protocol must hold, each mutant must fail.
# Exit 77 (skipped) without spin or a C compiler.
set -eu
model=$1
command -v spin >/dev/null 2>&1 && command -v cc >/dev/null 2>&1 || exit 77
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

# verdict NAME [DEFINE]: prints the number of errors that the exhaustive search found
verdict() {
    mkdir "$1"
    (
        cd "$1"
        spin ${2:+-D"$2"} -a "$model" >spin.log 2>&1 || { cat spin.log >&2; exit 1; }
        cc -O1 -DSAFETY -DMEMLIM=512 -o pan pan.c 2>cc.log || { cat cc.log >&2; exit 1; }
        ./pan -m100000 >pan.log
        grep -q 'max search depth too small' pan.log && { cat pan.log >&2; exit 1; }
        sed -n 's/.*errors: \([0-9]*\).*/\1/p' pan.log
    )
}

errors=$(verdict protocol)
[ "$errors" = 0 ] || { echo "the protocol fails: $errors"; cat protocol/pan.log; exit 1; }
for mutant in MUTANT_NO_RECHECK MUTANT_FLAG_LATE MUTANT_LOOK_EARLY; do
    errors=$(verdict "$mutant" "$mutant")
    [ "$errors" -ge 1 ] || { echo "$mutant should lose a wake-up and does not"; exit 1; }
    grep -q 'invalid end state' "$mutant/pan.log" || { cat "$mutant/pan.log"; exit 1; }
done
echo "protocol holds, 3 mutants fail"
