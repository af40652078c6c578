#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# The manual page has every command and option of --help, and none that is not there; it is sound mdoc; and the
# completion offers them: test_manual.sh TTT DOC_FOLDER
set -u
PATH=$(cd "$(dirname "$1")" && pwd):$PATH
page=$2/ttt.1 failures=0 checks=0
check() { # what; the status of the command before decides
    local status=$?
    checks=$((checks + 1))
    if [ $status != 0 ]; then
        echo "failed: $1"
        failures=$((failures + 1))
    fi
}
section() { awk -v name="$1" '/^\.S[hs] /{ on = substr($0, 5) == name } on' "$page"; }
in_help() { "$1" "${@:2}" --help | grep -o -- '--[a-z][a-z-]*' | sort -u; }
in_page() { section "$1" | sed -n 's/^\.It //p' | grep -o 'Fl -[a-z][a-z-]*' | sed 's/Fl /-/' | sort -u; }

commands=$(ttt --help | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ "$(echo "$commands" | wc -w)" -ge 9 ]
check "commands in ttt --help: $commands"
common=$(in_page "Options of every command that computes")
everywhere=$(printf '%s\n' --help --usage --version)
for command in $commands; do
    [ -n "$(section "$command")" ]
    check "a section of the manual page on $command"
    help=$(in_help ttt "$command" | grep -vxF -e "$everywhere")
    mine=$(in_page "$command")
    if grep -qx -- --threads <<<"$help"; then mine=$(printf '%s\n' "$mine" "$common"); fi
    for option in $help; do
        grep -qx -- "$option" <<<"$mine"
        check "$command $option is in the manual page"
    done
    for option in $mine; do
        grep -qx -- "$option" <<<"$help"
        check "$command $option of the manual page is in --help"
    done
done

# shellcheck source=/dev/null
. "$2/ttt.bash"
complete_words() { # words...: what the last may become
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    _ttt
    echo "${COMPREPLY[*]}"
}
[ "$(complete_words ttt tr)" = train ]
check "completion of a command"
[ "$(complete_words ttt eval --str)" = --stride ]
check "completion of an option"
[ "$(complete_words ttt state rol)" = rollback ]
check "completion of an action"
[ "$(complete_words ttt train --layer ttt_m)" = ttt_mlp ]
check "completion of a value"
[ "$(complete_words ttt train --layers '2*ttt_linear,ttt_m')" = '2*ttt_linear,ttt_mlp' ]
check "completion of a list"

if command -v mandoc >/dev/null; then
    faults=$(mandoc -T lint -W warning "$page")
    [ -z "$faults" ]
    check "sound mdoc: $faults"
else
    echo "skipped: apt-get install mandoc"
fi
# groff's man, which is what most people have, must come to the end of the page too.
if command -v man >/dev/null && man -l "$page" >/dev/null 2>&1; then
    shown=$(MANWIDTH=80 man -l "$page" 2>/dev/null)
    grep -q 'arXiv 2407.04620' <<<"$(sed -n '/^SEE ALSO/,$p' <<<"$shown")"
    check "man shows what stands under SEE ALSO"
    tail -n 1 <<<"$shown" | grep -q '[0-9]'
    check "man shows the page's footer: $(tail -n 1 <<<"$shown")"
else
    echo "skipped: apt-get install man-db"
fi
echo "$checks checks, $failures failed"
[ $failures = 0 ]
