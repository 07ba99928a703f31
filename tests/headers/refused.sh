#!/bin/sh
# Compiles refused.c as it is, and once for each number in it, under every compiler that is here.
#
#   refused.sh SOURCE INCLUDE_ROOT
set -u
source=$1
include_root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0
failed=0
pass() { passed=$((passed + 1)); }
fail() {
    failed=$((failed + 1))
    echo "$1"
    head -n 15 "$work/out"
}

sed -n 's|^#.*REFUSED == \([0-9]*\)  */\* refused: \(.*\) \*/$|\1 \2|p' "$source" >"$work/cases"
for compiler in gcc clang; do
    command -v "$compiler" >/dev/null || continue
    set -- "$compiler" -std=gnu17 -c -o "$work/object" -Wall -Wextra -Wshadow -Werror \
        -D_GNU_SOURCE -I"$include_root"
    if "$@" -DREFUSED=0 "$source" >"$work/out" 2>&1; then
        pass
    else
        fail "$compiler refuses what is right"
    fi
    while read -r number text; do
        if "$@" "-DREFUSED=$number" "$source" >"$work/out" 2>&1; then
            fail "$compiler takes mistake $number: $text"
        elif grep -Eq "error: .*($text)" "$work/out"; then
            pass
        else
            fail "$compiler says something else about mistake $number: $text"
        fi
    done <"$work/cases"
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" -ge 20 ]
