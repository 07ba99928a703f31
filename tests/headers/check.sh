#!/bin/sh
# Each public header compiles alone and may be included twice, as C and as C++, under every
# compiler that is here: a header that leans on what another happened to include before it breaks
# the first user who includes it alone.
#
#   check.sh SOURCE_ROOT INCLUDE_ROOT
set -u
source_root=$1
include_root=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

passed=0
failed=0
rooms=
for room in shard reactor dpdk raptorq proto lab engine; do
    [ ! -d "$source_root/$room" ] || rooms="$rooms $room"
done

# Prints the name in <asx/...> of each public header.
public_headers() {
    cd "$source_root" || exit 1
    # shellcheck disable=SC2086
    if git ls-files >/dev/null 2>&1; then
        git ls-files -- $rooms
    else
        find $rooms -type f
    fi | grep '\.h$' | grep -v '_internal\.h$' | sed 's|^engine/asx\.h$|asx.h|' | sort
}

# check LANGUAGE EXTENSION COMPILER FLAG...: each header under one compiler, where it is here.
check() {
    language=$1
    extension=$2
    shift 2
    command -v "$1" >/dev/null || return 0
    set -- "$@" -fsyntax-only -Wall -Wextra -Wshadow -Wundef -Werror -D_GNU_SOURCE \
        -I"$include_root"
    for source in "$work"/*."$extension"; do
        if "$@" "$source" >"$work/out" 2>&1; then
            passed=$((passed + 1))
        else
            failed=$((failed + 1))
            echo "$(sed -n '1s/.*\(<.*>\)/\1/p' "$source") does not stand alone as $language ($1):"
            head -n 15 "$work/out"
        fi
    done
}

number=0
for header in $(public_headers); do
    [ -e "$source_root/$header" ] || [ "$header" = asx.h ] || continue # deleted, not yet committed
    number=$((number + 1))
    printf '#include <asx/%s>\n#include <asx/%s>\n' "$header" "$header" >"$work/$number.c"
    cp "$work/$number.c" "$work/$number.cc"
done
check C c gcc -std=gnu17
check C c clang -std=gnu17
check C++ cc g++ -std=c++17
check C++ cc clang++ -std=c++17
echo "$passed passed, $failed failed"
[ "$failed" = 0 ] && [ "$passed" != 0 ]
