# SPDX-License-Identifier: MIT
#
# Completion of ttt for bash: commands and options come from the program's own --help, so that they are always its own.
_ttt()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command= i
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} != -* ]]; then
            command=${COMP_WORDS[i]}
            break
        fi
    done
    if [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD - 2]}; fi
    word=${word#=}
    case $before in
        --config) COMPREPLY=($(compgen -W 'tiny small 125m 350m 760m 1b' -- "$word") $(compgen -f -- "$word")) ;;
        --layer) COMPREPLY=($(compgen -W 'ttt_linear ttt_mlp linear_attention delta_net gated_deltanet' -- "$word")) ;;
        --layers)
            compopt -o nospace 2>/dev/null
            COMPREPLY=($(compgen -P "${word%"${word##*[,*]}"}" -W 'ttt_linear ttt_mlp linear_attention delta_net gated_deltanet' -- "${word##*[,*]}"))
            ;;
        --backbone) COMPREPLY=($(compgen -W 'mamba transformer' -- "$word")) ;;
        --schedule) COMPREPLY=($(compgen -W 'cosine constant linear' -- "$word")) ;;
        --chat-template) COMPREPLY=($(compgen -W 'plain chatml llama2' -- "$word") $(compgen -f -- "$word")) ;;
        --backend) COMPREPLY=($(compgen -W 'cpu ref' -- "$word")) ;;
        *)
            if [[ -z $command && $word != -* ]]; then
                COMPREPLY=($(compgen -W "$(ttt --help 2>/dev/null |
                    sed -n '/^Commands:/,/^$/s/^  \([a-z]\+\) .*/\1/p') help version" -- "$word"))
            elif [[ $before == state && $command == state ]]; then
                COMPREPLY=($(compgen -W 'info read fork rollback diff' -- "$word"))
            elif [[ $before == study && $command == study ]]; then
                COMPREPLY=($(compgen -W 'run report' -- "$word"))
            elif [[ $word == -* ]]; then
                COMPREPLY=($(compgen -W "$(ttt $command --help 2>/dev/null |
                    sed -n 's/^  .\{4\}\(--[a-z-]\+\).*/\1/p')" -- "$word"))
            else
                COMPREPLY=($(compgen -f -- "$word"))
            fi
            ;;
    esac
}
complete -o filenames -F _ttt ttt
