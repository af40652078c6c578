#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The harness against a small model, where bench/harness/run has installed it: test.sh TTT BINARY_DIR. Skipped (77) where
# it has not, or where there is no text.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=build/harness/venv/bin/python text=../shared/data/text/wikitext2_test.txt work=$2/harness-test
if [ ! -f build/harness/venv/done ]; then
    echo "skipped: bench/harness/run installs lm-evaluation-harness, and was not called here"
    exit 77
elif [ ! -f "$text" ]; then
    echo "skipped: there is no $text"
    exit 77
fi
rm -rf "$work"
mkdir -p "$work"
"$1" train "$text" -o "$work/model" --steps 3 --batch 1024 --tokenizer bpe:512 >"$work/train.log" 2>&1
"$python" bench/harness/harness.py "$work/model" "$text" --questions 12 --texts 2 --written 3 --ttt "$1" --work "$work"
