# SPDX-License-Identifier: Apache-2.0
# Completion of catena(1) for bash. What there is to say, the command's own help tells.

# The first column of the help: of its options, or of its commands or actions.
_catena_options() {
        sed -n 's/^  \(--[a-z-]*\).*/\1/p' <<<"$1"
}

_catena_words() {
        sed -n "s/^  ${2:+$2 }\([a-z]*\)  .*/\1/p" <<<"$1"
}

_catena() {
        local program=$1 word=$2 at=1 help known
        local -a command=()

        # Where the command begins: behind the options that stand before it.
        while ((at < COMP_CWORD)) && [[ ${COMP_WORDS[at]} == -* ]]; do
                [[ ${COMP_WORDS[at]} == --socket ]] && ((at++))
                ((at++))
        done
        help=$("$program" --help 2>/dev/null)
        while ((at < COMP_CWORD && ${#command[@]} < 2)); do
                command+=("${COMP_WORDS[at]}")
                ((at++))
                help=$("$program" "${command[@]}" --help 2>/dev/null)
                [[ $help == *$'\nActions:\n'* ]] || break
        done
        if [[ ${command[*]} == exec ]]; then
                while ((at < COMP_CWORD)) && [[ ${COMP_WORDS[at]} == -* ]]; do
                        [[ ${COMP_WORDS[at]} == --name || ${COMP_WORDS[at]} == --attr ]] && ((at++))
                        ((at++))
                done
                if ((at < COMP_CWORD)); then
                        compopt -o default # an argument of the program
                        return
                fi
                [[ $word == -* ]] || known=$(compgen -c -- "$word" | sort -u)
        elif [[ $help == *$'\nCommands:\n'* || $help == *$'\nActions:\n'* ]]; then
                known=$(_catena_words "$help" "${command[*]}")
        fi
        [[ $word == -* ]] && known=$(_catena_options "$help")
        mapfile -t COMPREPLY < <(compgen -W "$known" -- "$word")
}

complete -F _catena catena
