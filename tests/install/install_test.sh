#!/bin/sh
# What a user of the installed library does: install, ask pkg-config, compile a program elsewhere,
# run it. Each program in examples/ is built against the shared library and the archive, as C and
# with the flags that pkg-config gives and no others; examples/NAME.c becomes one check each way,
# and so do those of the tree's examples/. All are run with --version, which servers answer and
# others ignore; those of the lab without the bug that they are there to find.
#
#   install_test.sh SOURCE_ROOT BUILD_ROOT PREFIX
set -u
source_root=$1
build_root=$2
prefix=$3
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

passed=0
failed=0
# verdict STATUS NAME LOG
verdict() {
    if [ "$1" = 0 ]; then
        passed=$((passed + 1))
        echo "ok   $2"
    else
        failed=$((failed + 1))
        echo "FAIL $2"
        head -n 30 "$3"
    fi
}

finish() {
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" != 0 ]
    exit
}

log=$stage/log
DESTDIR=$stage/root meson install --no-rebuild --quiet -C "$build_root" >"$log" 2>&1
status=$?
verdict $status "meson install into an empty root" "$log"
[ $status = 0 ] || finish

pc=$(find "$stage/root" -name asx.pc)
libdir=$(dirname "$(dirname "$pc")")
PKG_CONFIG_PATH=$(dirname "$pc")
export PKG_CONFIG_PATH
flags() {
    pkg-config --define-variable=prefix="$stage/root$prefix" "$@" asx
}

# Every public header of the tree is there, and no internal one.
cd "$source_root" || exit 1
{ git ls-files -- shard reactor dpdk raptorq proto lab engine 2>/dev/null || true; } |
    grep '\.h$' | grep -v '_internal\.h$' | sed 's|^engine/asx\.h$|asx.h|' |
    while read -r header; do
    [ ! -e "$source_root/$header" ] && [ "$header" != asx.h ] ||
        [ -e "$stage/root$prefix/include/asx/$header" ] || echo "asx/$header was not installed"
done >"$log"
find "$stage/root" -name '*_internal.h' >>"$log"
[ ! -s "$log" ]
verdict $? "public headers are installed, internal ones are not" "$log"

# The program that README shows is the one that is compiled below.
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md |
    diff - examples/hello.c >"$log" 2>&1
verdict $? "README's program is examples/hello.c" "$log"

# What the archive leans on is linked shared: "pkg-config --static" would ask for the archives'
# own private libraries too, and Debian does not install those (hwloc's -ludev).
private_libs="$(pkg-config --libs $(pkg-config --print-requires-private asx | cut -d' ' -f1)) \
    -pthread -lm"

here=$source_root/tests/install/examples
mkdir "$stage/out"
cd "$stage/out" || exit 1
argument_of() {
    case $1 in
    lab_*) echo --fixed ;;
    *) echo --version ;;
    esac
}
for example in "$here"/*.c "$source_root"/examples/*.c; do
    name=$(basename "$example" .c)
    # shellcheck disable=SC2046
    gcc -std=gnu17 -Wall -Wextra -Werror -o "$name" "$example" $(flags --cflags --libs) \
        >"$log" 2>&1 &&
        LD_LIBRARY_PATH=$libdir timeout 60 "./$name" "$(argument_of "$name")" >>"$log" 2>&1
    verdict $? "$name against the shared library" "$log"
    # shellcheck disable=SC2046,SC2086
    gcc -std=gnu17 -Wall -Wextra -Werror -o "$name-static" "$example" \
        $(flags --cflags --libs | sed 's/-lasx\b/-l:libasx.a/') $private_libs \
        >"$log" 2>&1 && timeout 60 "./$name-static" "$(argument_of "$name")" >>"$log" 2>&1
    verdict $? "$name against the archive" "$log"
done
finish
