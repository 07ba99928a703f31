#!/bin/sh
# golden.sh ASX_LAB GOLDEN [--update]: every scenario under three seeds hashes to what it did when
# the golden file was made. A kernel that does something else, or in another order, changes it: say
# in the commit what and why, and make it anew.
set -eu
lab=$(readlink -f "$1")
golden=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Of the lab's own scenarios: the server's runs change with every line of the server.
for name in $("$lab" list | awk '$1 != "http-server" { print $1 }'); do
    "$lab" run "$name" --seed 1 --seeds 3 --rows | grep -v passed |
        awk -v name="$name" '{ print name, $1, $2, $3, $4 }'
done >"$work/now"

if [ "${3:-}" = --update ]; then
    cp "$work/now" "$golden"
    exit 0
fi
if ! cmp -s "$golden" "$work/now"; then
    echo "golden: other runs than the golden file's (scenario, seed, end, trace, schedule):"
    diff "$golden" "$work/now" | head -20
    echo "golden: meant? $0 $lab $golden --update"
    exit 1
fi
