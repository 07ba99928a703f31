#!/bin/sh
# arm64.sh ASX_LAB SOURCE INCLUDE GOLDEN: the same runs on aarch64. Builds the kernel and the lab
# with Debian's cross compiler, and runs them as qemu's user mode has it: the golden runs, 20 seeds
# of every scenario and a systematic search beside this machine's, a run on disk, and the tests of
# kernel and lab that need neither io_uring nor minutes there.
set -eu
lab=$(readlink -f "$1")
source=$(readlink -f "$2")
include=$3
golden=$4
here=$(dirname -- "$(readlink -f -- "$0")")
target=aarch64-linux-gnu
for need in "$target-gcc" "$target-g++" qemu-aarch64; do
    command -v "$need" >/dev/null || {
        echo "arm64: skipped: no $need (Debian: g++-$target, qemu-user)"
        exit 77
    }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cache=$(command -v ccache || :)

# objects DIR COMPILER OPTION...: the sources on standard input, one object each; two at a time.
objects() {
    dir=$work/o/$1
    shift
    mkdir -p "$dir"
    xargs -P 2 -I '{}' sh -c '
        source=$1 object=$2/$(printf %s "$1" | tr / _).o
        shift 2
        exec "$@" -c "$source" -o "$object"' \
        sh '{}' "$dir" $cache "$@" -D_GNU_SOURCE -DASX_TRACE=1 -DASX_NO_JEMALLOC -DASX_NO_LZ4 \
        -fno-omit-frame-pointer "-I$include"
}

c="$target-gcc -std=gnu17 -O2 -Wall -Wextra -Werror -fno-strict-aliasing"
find "$source/shard" -name '*.[cS]' |
    objects kernel $c -include asx/shard/kernel_text_internal.h
find "$source/lab" -name '*.c' ! -name main.c ! -name ambient_guard.c | objects lab $c
echo "$source/lab/main.c" | objects main $c
mkdir "$work/catch"
echo '#include <catch2/catch.hpp>' >"$work/catch/catch.h"
cxx="$target-g++ -std=c++17 -O0 -w"
$cache $cxx -D_GNU_SOURCE -fno-omit-frame-pointer "$work/catch/catch.h" \
    -o "$work/catch/catch.h.gch"
echo "$source/tests/test_main.cc" | objects tests $cxx
for noun in shard/cancel shard/chunk shard/combine shard/cx shard/fiber \
    shard/handle shard/heap shard/mesh shard/obligation shard/outcome shard/panic \
    shard/policy shard/region shard/ring shard/scope shard/stack shard/task shard/timer \
    shard/base/sha256 lab/dpor lab/event lab/foata lab/race lab/rand; do
    echo "$source/tests/${noun}_test.cc"
done | objects tests $cxx -include "$work/catch/catch.h"

# program NAME OBJECT...: links it, and puts a command of this name before it.
program() {
    name=$work/$1
    shift
    "$target-g++" "$@" -lm -o "$name.arm64"
    printf '#!/bin/sh\nexec qemu-aarch64 -L /usr/%s "%s.arm64" "$@"\n' "$target" "$name" >"$name"
    chmod +x "$name"
}
program lab "$work"/o/main/*.o "$work"/o/lab/*.o "$work"/o/kernel/*.o
program tests "$work"/o/tests/*.o "$work"/o/lab/*.o "$work"/o/kernel/*.o

"$here/golden.sh" "$work/lab" "$golden"
passed=$(wc -l <"$golden")

all() {
    for name in $("$work/lab" list | awk '{ print $1 }'); do
        "$1" run "$name" --seed 100 --seeds 20 --rows
    done
    for name in limbs limb-cancel posts; do
        "$1" explore "$name" --strategy dpor --budget 100 --rows
    done
}
all "$lab" >"$work/here"
all "$work/lab" >"$work/there"
if ! grep -q quiescent "$work/here" || ! cmp -s "$work/here" "$work/there"; then
    echo 'arm64: another run than on this machine:'
    diff "$work/here" "$work/there" | head -20
    exit 1
fi
passed=$((passed + $(wc -l <"$work/here")))

# What one wrote, the other follows; and neither's file differs but in who wrote it.
"$lab" run limb-cancel --seed 7 --trace "$work/a" >/dev/null
"$work/lab" run limb-cancel --seed 7 --trace "$work/b" >/dev/null
"$work/lab" replay "$work/a" | grep 'no divergence in [1-9]'
"$lab" replay "$work/b" | grep 'no divergence in [1-9]'
"$lab" diff "$work/a" "$work/b"
echo "$((passed + 3)) passed, 0 failed"

# Not what takes long, and not the one that runs its own program anew: the machine beneath cannot.
ASX_SOURCE_ROOT=$source "$work/tests" --durations no \
    '~[.]' '~timer: two million*' '~task: a million*' '~stack: 100*' \
    '~panic: a destructor that overflows*'
