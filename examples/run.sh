#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs train_and_generate into a fresh folder, and many_sessions with the model: run.sh PROGRAM TEXT FOLDER PROGRAM
set -eu
rm -rf "$3"
"$1" "$2" "$3" 12
test -s "$3/model.safetensors"
"$4" "$3" "The first" "The second" "The third" >"$3/texts"
test "$(grep -ac '^---- The ' "$3/texts")" = 3
