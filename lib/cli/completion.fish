# SPDX-License-Identifier: Apache-2.0
# Completion of catena(1) for fish. What there is to say, the command's own help tells.

# The words before the cursor that are no options of catena's own, the first of which is catena.
function __catena_command
    set -l words (commandline -opc)
    set -l command $words[1]
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case --socket
                set -e words[1]
            case '-*'
            case '*'
                set command $command $words
                break
        end
        set -e words[1]
    end
    printf '%s\n' $command
end

# The help for what stands there: of a command, of those that begin with its word, or of all.
function __catena_help
    set -l command (__catena_command)
    set -l help ($command[1] --help 2>/dev/null)
    if set -q command[2]
        set help ($command[1] $command[2] --help 2>/dev/null)
        if contains Actions: $help; and set -q command[3]
            set help ($command[1] $command[2] $command[3] --help 2>/dev/null)
        end
    end
    printf '%s\n' $help
end

function __catena_options
    __catena_help | string replace -rf '^  (--[a-z-]+)(?: [A-Z=]+)? +(.*)' '$1\t$2'
end

function __catena_words
    set -l help (__catena_help)
    if contains Commands: $help
        printf '%s\n' $help | string replace -rf '^  ([a-z]+) {2,}(.*)' '$1\t$2'
    else if contains Actions: $help
        printf '%s\n' $help | string replace -rf '^  [a-z]+ ([a-z]+) {2,}(.*)' '$1\t$2'
    end
end

function __catena_is_exec
    set -l command (__catena_command)
    test "$command[2]" = exec
end

# The program that exec is to run, and its arguments, as they complete by themselves.
function __catena_program
    set -l words (__catena_command)
    set -e words[1..2]
    while string match -q -- '-*' $words[1]
        contains -- $words[1] --name --attr; and set -e words[1]
        set -e words[1]
    end
    complete --do-complete="$(string join ' ' -- (string escape -- $words) (commandline -ct))"
end

complete -c catena -f
complete -c catena -n 'string match -q -- "-*" (commandline -ct)' -a '(__catena_options)'
complete -c catena -n 'not __catena_is_exec' -a '(__catena_words)'
complete -c catena -n __catena_is_exec -a '(__catena_program)'
