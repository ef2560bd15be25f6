"""The command line's front door: which commands there are, and how everything ends."""

from __future__ import annotations

import difflib
import errno
import importlib
import json
import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import click

from bertctl import __version__

from ..pipeline.errors import BertctlError, OthersGone, ShareDone
from ..pipeline.stage.orphans import PARENT, end_with
from ..pipeline.training.ending import is_told, told_ending
from .entry import on_signals
from .signals import Terminated, terminate

# Name → one line of help. A command's module is imported when it is called, never to list it.
STAGES = {
    "vocab": "Learn a WordPiece vocabulary from raw text.",
    "shard": "Turn raw text into Arrow shards of masked sentence pairs.",
    "pretrain": "Train an encoder on shards.",
    "finetune": "Fit an encoder to a labelled file.",
}
PROJECT = {
    "init": "Write bertctl.toml: all stages of a project in one file.",
    "run": "Make all that bertctl.toml asks for, doing only what is missing.",
}
TOOLS = {
    "status": "Show which outputs there are, and how each stands.",
    "inspect": "Show a corpus, a vocabulary, shards or a model as readable text.",
    "verify": "Prove from its files that a directory is what it says.",
    "predict": "Ask a model of texts: words, labels, tags, answers, vectors.",
    "export": "Make a plain Hugging Face directory of a model, to publish.",
    "completion": "Teach bash, zsh or fish to complete commands and flags.",
}
COMMANDS = {**STAGES, **PROJECT, **TOOLS}
_WITHOUT_ALGEBRA = {"vocab", "shard", *TOOLS}


class Commands(click.Group):
    """The stages in the order they are run, then the tools, each loaded when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the pipeline, tools last."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in _WITHOUT_ALGEBRA:
            # Loading numpy starts a pool of threads for linear algebra: a third of its time.
            os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        return importlib.import_module(f".{cmd_name}", __package__).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        for title, commands in (
            ("Stages, in order", STAGES),
            ("All of them at once", PROJECT),
            ("Looking, checking, using", TOOLS),
        ):
            with formatter.section(title):
                formatter.write_dl(list(commands.items()), col_max=10)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command where there is none of that name."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            near = difflib.get_close_matches(args[0], COMMANDS, 1)
            ctx.fail(
                f"No such command {args[0]!r}." + (f" Did you mean {near[0]!r}?" if near else "")
            )
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command is safe to repeat: it continues what was stopped and leaves what is done."
    " `bertctl COMMAND --help` shows each with examples.",
)
@click.version_option(__version__, message="bertctl %(version)s")
def bertctl() -> None:
    """From a folder of raw text to a fine-tuned BERT."""


def main() -> NoReturn:
    """Run the command line and exit with the code the contract names."""
    on_signals(terminate)
    try:
        if parent := os.environ.pop(PARENT, ""):
            end_with(int(parent))
        result = bertctl.main(standalone_mode=False)
        sys.exit(told_ending(os.environ, result if isinstance(result, int) else 0))
    except ShareDone as share:
        click.echo(f"{share.message}\n  {share.hint}", err=True)
        if "--json" in sys.argv:
            click.echo(json.dumps({"share_done": share.message}))
        sys.exit(share.exit_code)
    except OthersGone as gone:
        # Not told to a launcher, which starts all of them again.
        if is_told(os.environ):
            sys.exit(0)
        _tell(gone.message, gone.hint)
        sys.exit(gone.exit_code)
    except BertctlError as error:
        if is_told(os.environ):
            sys.exit(0)
        _tell(error.message, error.hint)
        _end(error.exit_code)
    except click.exceptions.Exit as ending:
        sys.exit(ending.exit_code)
    except click.ClickException as error:
        error.show()
        _end(error.exit_code)
    except OSError as error:
        if error.errno == errno.EPIPE:
            _end(1)
        where = f"{error.filename}: " if error.filename else ""
        hint = "Free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "Mend it"
        _tell(
            f"{where}{error.strerror or error}.",
            f"{hint}, then run the same command again: what is finished is kept.",
        )
        _end(1)
    except (KeyboardInterrupt, click.Abort):
        _stopped("Stopped.", 128 + signal.SIGINT)
    except Terminated as asked:
        _stopped(f"Stopped by {asked.signal.name}.", 128 + asked.signal)


def _stopped(message: str, code: int) -> NoReturn:
    """End as asked; of several processes the first alone says so."""
    if os.environ.get("RANK", "0") == "0":
        # Whoever hung up doesn't hear it.
        with suppress(OSError):
            click.echo(f"{message} What is finished is kept: the same command continues.", err=True)
    _end(code)


def _tell(message: str, hint: str) -> None:
    click.echo(click.style("Error: ", fg="red", bold=True) + message, err=True)
    if hint:
        click.echo("  " + hint, err=True)


def _end(code: int) -> NoReturn:
    # The option stands anywhere on the line, also where reading the line itself failed.
    if "--debug" in sys.argv and sys.exc_info()[0] is not None:
        import traceback

        traceback.print_exc()
    sys.exit(told_ending(os.environ, code))
