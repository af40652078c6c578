#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Every public header compiles alone, as C11 and as C++17: headers.sh SOURCE_FOLDER
set -u
warnings='-Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror'
status=0 count=0
for header in "$1"/include/ttt/*.h; do
    name=ttt/$(basename "$header")
    # shellcheck disable=SC2086 # a list of options
    echo "#include <$name>" | cc -std=c11 $warnings -I"$1/include" -fsyntax-only -x c - || status=1
    # shellcheck disable=SC2086
    echo "#include <$name>" | c++ -std=c++17 $warnings -I"$1/include" -fsyntax-only -x c++ - || status=1
    count=$((count + 1))
done
echo "$count headers"
[ $count -gt 0 ] && exit $status
