#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs train_and_generate into a fresh folder: run.sh PROGRAM TEXT FOLDER
set -eu
rm -rf "$3"
"$1" "$2" "$3" 12
test -s "$3/model.safetensors"
