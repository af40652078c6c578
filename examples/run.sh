#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs train_and_generate into a fresh folder, many_sessions with the model, and remember, which reads its document the
# first time alone: run.sh PROGRAM TEXT FOLDER PROGRAM PROGRAM
set -eu
rm -rf "$3"
"$1" "$2" "$3" 12
test -s "$3/model.safetensors"
"$4" "$3" "The first" "The second" "The third" >"$3/texts"
test "$(grep -ac '^---- The ' "$3/texts")" = 3
head -c 3000 "$2" >"$3/document"
"$5" "$3" "$3/document" "In short" "And then" >"$3/first" 2>"$3/read"
grep -q "^reading" "$3/read"
"$5" "$3" "$3/document" "In short" "And then" >"$3/second" 2>"$3/read"
test ! -s "$3/read"
cmp "$3/first" "$3/second"
test "$(grep -ac '^---- ' "$3/second")" = 2
