#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the build into an empty folder and builds a program against what lies there, by pkg-config (shared and static)
# and by CMake; the shared library gives away nothing but the public names: install.sh BUILD_FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$1/tests/api/install
rm -rf "$work"
mkdir -p "$work"
cmake --install "$1" --prefix "$work/prefix" >"$work/log"

grep -q ldconfig "$work/log" || { echo "installing does not say ldconfig"; exit 1; }
# What is installed is what ./quickstart builds: the static library is a part of the program.
source=$here/../..
targets=$(sed -n 's/^install(TARGETS \(.*\)$/\1/p' "$source/cmake/install.cmake")
for target in ${targets%% RUNTIME*}; do
    [ "$target" = ttt_static ] || grep -q -- "--target.* $target\b" "$source/quickstart" ||
        { echo "./quickstart does not build $target, so that cmake --install fails after it"; exit 1; }
done

pc=$(dirname "$(find "$work/prefix" -name ttt.pc)")
lib=$(dirname "$pc")
export PKG_CONFIG_PATH="$pc" LD_LIBRARY_PATH="$lib"
expected='110424144 parameters, 257 ids'
expect() { # what, output
    [ "$2" = "$expected" ] || { echo "$1: expected \"$expected\", got \"$2\""; exit 1; }
    echo "$1: $2"
}

# pkg-config quotes what the shell would take apart.
build() { eval "cc -std=c11 \"\$here/user.c\" -o \"\$work/$1\" $2"; }
build shared "$(pkg-config --cflags --libs ttt)"
expect "pkg-config" "$("$work/shared")"
build static "$(pkg-config --cflags ttt) \"\$lib/libttt.a\" $(pkg-config --libs --static ttt | sed 's/-lttt//')"
expect "pkg-config --static" "$(LD_LIBRARY_PATH='' "$work/static")"

cmake -S "$here/user" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/prefix" >>"$work/log"
cmake --build "$work/cmake" >>"$work/log"
expect "CMake, shared" "$("$work/cmake/shared")"
expect "CMake, static" "$("$work/cmake/static")"

"$work/prefix/bin/ttt" --version | grep -q '^ttt [0-9]' || { echo "the installed program does not start"; exit 1; }
for file in share/man/man1/ttt.1 lib/systemd/system/ttt.service share/bash-completion/completions/ttt; do
    [ -s "$work/prefix/$file" ] || { echo "$file is not installed"; exit 1; }
done
unit=$work/prefix/lib/systemd/system/ttt.service
if grep -q '@' "$unit" && ! grep -q '@system-service' "$unit"; then echo "a name in $unit was not filled in"; exit 1; fi
grep -q '^ExecStart=.*/bin/ttt serve ' "$unit" || { echo "$unit does not start the server"; exit 1; }
soname=$(objdump -p "$lib/libttt.so" | awk '$1 == "SONAME" { print $2 }')
version=$("$work/prefix/bin/ttt" --version | sed -n 's/^ttt \([0-9]*\.[0-9]*\).*/\1/p')
case $version in 0.*) ;; *) version=${version%%.*} ;; esac
[ "$soname" = "libttt.so.$version" ] || { echo "version $version, but the library is called $soname"; exit 1; }
foreign=$(nm -D --defined-only "$lib/libttt.so" | awk '$3 !~ /^ttt_/ { print $3 }')
[ -z "$foreign" ] || { echo "names that are not the library's own: $foreign"; exit 1; }
