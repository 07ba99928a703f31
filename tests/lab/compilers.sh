#!/bin/sh
# compilers.sh ASX_LAB SOURCE INCLUDE: one seed is one run under other compilers and levels of
# optimisation. Builds the kernel, the lab and the server by hand, without the build system's flags.
set -eu
lab=$(readlink -f "$1")
source=$2
include=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

all() {
    for name in $("$1" list | awk '{ print $1 }'); do
        "$1" run "$name" --seed 11 --seeds 4 --rows
    done
}

all "$lab" >"$work/here"
built=0
for with in 'gcc -O0' 'clang -O3'; do
    command -v "${with%% *}" >/dev/null || continue
    mkdir -p "$work/o"
    rm -f "$work"/o/*
    command -v ccache >/dev/null && with="ccache $with"
    # One object a source, named by its path; two at a time.
    find "$source/shard" "$source/lab" "$source/proto" "$source/reactor" "$source/engine" \
        -name '*.c' -o -name 'switch_*.S' -path '*/shard/*' |
        grep -v -e '/reactor/uring' -e '/lab/ambient_guard\.c$' -e '/lab/main\.c$' \
            -e '/engine/asx_program\.c$' |
        xargs -P 2 -I '{}' sh -c '
            object=$2/$(printf %s "$3" | tr / _).o
            case $3 in
            */shard/*.c) kernel="-include asx/shard/kernel_text_internal.h" ;;
            *) kernel= ;;
            esac
            exec $1 $kernel -w -std=gnu17 -D_GNU_SOURCE -DASX_TRACE=1 \
                -fno-strict-aliasing -fno-omit-frame-pointer "-I$4" -c "$3" -o "$object"' \
            sh "$with" "$work/o" '{}' "$include"
    $with "$work"/o/*.o -o "$work/lab" -ljemalloc -lm -lpthread -lhwloc -llz4
    all "$work/lab" >"$work/there"
    if ! cmp -s "$work/here" "$work/there"; then
        echo "compilers: $with made another run:"
        diff "$work/here" "$work/there" | head -20
        exit 1
    fi
    built=$((built + 1))
done
[ "$built" -gt 0 ] || exit 77
