"""`bertctl completion`: the lines that teach a shell to complete commands, flags and choices."""

from __future__ import annotations

import click

# click answers what may come next where _BERTCTL_COMPLETE asks it to; the shells call it so. What
# it has no word for is a path, which each shell completes by its own means.
_BASH = """\
_bertctl_completion() {
    local kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        [[ $kind == plain ]] && COMPREPLY+=("$value")
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        _BERTCTL_COMPLETE=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -o default -F _bertctl_completion bertctl 2>/dev/null ||
    complete -o default -F _bertctl_completion bertctl
"""
_ZSH = """\
#compdef bertctl
_bertctl_completion() {
    local -a answer described plain
    local kind value text
    answer=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
        _BERTCTL_COMPLETE=zsh_complete bertctl 2>/dev/null)}")
    for kind value text in "${answer[@]}"; do
        [[ $kind == plain ]] || continue
        if [[ $text == _ ]]; then plain+=("$value"); else described+=("$value:$text"); fi
    done
    (( $#described )) && _describe -V bertctl described
    (( $#plain )) && compadd -V bertctl -a plain
    (( $#described + $#plain )) || _files
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _bertctl_completion "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _bertctl_completion bertctl
fi
"""
_FISH = """\
function _bertctl_completion
    set -l answer (_BERTCTL_COMPLETE=fish_complete COMP_WORDS=(commandline -cp) \\
        COMP_CWORD=(commandline -t) bertctl 2>/dev/null)
    set -l plain (string replace --filter --regex '^plain,' '' -- $answer)
    if set -q plain[1]
        printf '%s\\n' $plain
    else
        __fish_complete_path (commandline -t)
    end
end
complete --command bertctl --no-files --arguments "(_bertctl_completion)"
"""
_SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


@click.command(
    "completion",
    epilog="Example: bertctl completion fish > ~/.config/fish/completions/bertctl.fish",
)
@click.argument("shell", type=click.Choice(list(_SCRIPTS)))
def command(shell: str) -> None:
    """Print what a shell needs to complete bertctl's commands, flags and their values.

    bash and zsh: add the line `eval "$(bertctl completion bash)"`, or zsh, to ~/.bashrc or
    ~/.zshrc. fish: write it to a file in ~/.config/fish/completions.
    """
    click.echo(_SCRIPTS[shell], nl=False)
