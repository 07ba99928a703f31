#!/bin/sh
# kv.sh LAB_KV: the example finds its bug, says how to see it again, and sees it again.
set -eu
kv=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ASX_LAB_PACKS=$work "$kv" >"$work/found"; then
    echo 'kv: found nothing' && exit 1
fi
grep -q 'as in production: passes' "$work/found"
grep -q 's->values\[0\] is 1, not 2' "$work/found"
grep -q 'ASX_LAB_REPLAY=' "$work/found"
if ASX_LAB_REPLAY=$(echo "$work"/crashpack-*) "$kv" >"$work/again"; then
    echo 'kv: the pack passed' && exit 1
fi
grep -q 'the same failure, to the last event' "$work/again"
"$kv" --fixed >"$work/fixed"
grep -q 'explored: no run fails' "$work/fixed"
