#compdef catena
# SPDX-License-Identifier: Apache-2.0
# Completion of catena(1) for zsh. What there is to say, the command's own help tells.

# "WORD:WHAT IT IS" of the help's lines: its options, or its commands or actions.
_catena_lines() {
        print -r -- "$1" | sed -n "s/:/\\\\:/g; s/^  ${2}\\($3\\)\\( [A-Z=]*\\)\\{0,1\\}  *\\(.*\\)/\\1:\\3/p"
}

_catena() {
        local help at=2
        local -a command known

        while ((at < CURRENT)) && [[ ${words[at]} == -* ]]; do
                [[ ${words[at]} == --socket ]] && ((at++))
                ((at++))
        done
        help=$(_call_program commands ${words[1]} --help)
        while ((at < CURRENT && $#command < 2)); do
                command+=(${words[at]})
                ((at++))
                help=$(_call_program commands ${words[1]} ${(q)command} --help)
                [[ $help == *$'\nActions:\n'* ]] || break
        done
        if [[ "$command" == exec ]]; then
                while ((at < CURRENT)) && [[ ${words[at]} == -* ]]; do
                        [[ ${words[at]} == (--name|--attr) ]] && ((at++))
                        ((at++))
                done
                if ((at < CURRENT)) || [[ $PREFIX != -* ]]; then
                        words=("${(@)words[at,-1]}")
                        ((CURRENT -= at - 1))
                        _normal
                        return
                fi
        fi
        if [[ $PREFIX == -* ]]; then
                known=("${(@f)$(_catena_lines "$help" "" "--[a-z-]*")}")
                _describe -o option known
        elif [[ $help == *$'\n'(Commands|Actions)$':\n'* ]]; then
                known=("${(@f)$(_catena_lines "$help" "${command:+$command }" "[a-z]*")}")
                _describe command known
        else
                _files
        fi
}

_catena "$@"
