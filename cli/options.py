"""Settings turned into options: a flag, its type, its default and its help come from one field."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from ..pipeline.corpus.uris import is_uri, parse_uri
from ..pipeline.errors import BadInput
from ..pipeline.stage.settings import Setting, settings_of

Command = Callable[..., Any]
Group = TypeVar("Group")


class _Directory(click.Path):
    """A directory to write to: on this machine, or elsewhere by its URI where that is allowed."""

    def __init__(self, *, elsewhere: bool = False) -> None:
        super().__init__(path_type=Path)
        self._elsewhere = elsewhere

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Tell a URI from a path, and refuse no name: it isn't the current directory."""
        if value == "":
            raise BadInput(
                "--output's name is empty; expected a directory.",
                hint="Is a shell variable not set? The current directory is a dot.",
            )
        if is_uri(str(value)):
            uri = parse_uri(str(value))
            if self._elsewhere and uri.scheme != "file":
                return uri
            raise BadInput(
                f"--output is {uri.name}; expected a directory on this machine.",
                hint="Write to a directory here and copy it there when it is complete.",
            )
        return super().convert(value, param, ctx)


class Here(click.Path):
    """Something on this machine, to read."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a URI, which would be taken for a path."""
        if is_uri(str(value)):
            assert param is not None, "it stands in a command line"
            name = param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
            name = name.removesuffix("...")
            raise BadInput(
                f"{name} is {parse_uri(str(value)).name}; expected a place on this machine.",
                hint="Copy all of it here with your storage's own tools; or, where it was made, "
                "take the copy that stayed in --scratch.",
            )
        return super().convert(value, param, ctx)


class _Value(click.ParamType[Any]):
    """A number, or one of the words that may stand for it."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.name = "|".join((*setting.words, "INTEGER" if setting.type is int else "NUMBER"))

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read what was typed."""
        if value in self._setting.words or not isinstance(value, str):
            return value
        try:
            return self._setting.type(value)
        except ValueError:
            number = "a whole number" if self._setting.type is int else "a number"
            expected = " or ".join((number, *self._setting.words))
            self.fail(f"{value!r} is not {expected}.", param, ctx)


def settings_options(*kinds: type[Any]) -> Callable[[Command], Command]:
    """Add an option for every setting of the given dataclasses, in their order."""

    def add(command: Command) -> Command:
        for setting in reversed([each for kind in kinds for each in settings_of(kind)]):
            command = _option(setting)(command)
        return command

    return add


_TALK = (
    click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object."),
    click.option("--plain", is_flag=True, help="No bars and no colour: a line now and then."),
    click.option("-q", "--quiet", is_flag=True, help="Only warnings and errors."),
    click.option("-v", "--verbose", is_flag=True, help="Also what was made of every setting."),
    click.option("--debug", is_flag=True, help="Show the traceback of an error."),
)


_FORCE = click.option(
    "--force",
    is_flag=True,
    help="Replace what another recipe made there, or this one finished; only that.",
)


def common_options(command: Command) -> Command:
    """Add what every stage has: where to write, and how much to say."""
    kind, help = _Directory(), "Directory to write to; made if it isn't there."
    return _with((_output(kind, "DIR", help), _FORCE, *_TALK), command)


def common_options_elsewhere(command: Command) -> Command:
    """Add the same to a stage that may write elsewhere."""
    kind = _Directory(elsewhere=True)
    help = (
        "Directory to write to; made if it isn't there. Or, with --scratch, a URI such as "
        "s3://bucket/prefix."
    )
    return _with((_output(kind, "DIR|URI", help), _FORCE, *_TALK), command)


def _output(kind: _Directory, metavar: str, help: str) -> Callable[[Command], Command]:
    return click.option("-o", "--output", type=kind, required=True, metavar=metavar, help=help)


def looking_options(command: Command) -> Command:
    """Add what a command has that writes nothing: how much to say."""
    return _with(_TALK, command)


def collect(kind: type[Group], values: Mapping[str, Any]) -> Group:
    """Build a settings dataclass from the values of its options."""
    return kind(**{each.name: values[each.name] for each in settings_of(kind)})


def _with(options: Iterable[Callable[[Command], Command]], command: Command) -> Command:
    for option in reversed(tuple(options)):
        command = option(command)
    return command


def _option(setting: Setting) -> Callable[[Command], Command]:
    if setting.type is bool:
        off = setting.flag.replace("--", "--no-", 1)
        return click.option(
            f"{setting.flag}/{off}",
            setting.name,
            default=setting.default,
            show_default=setting.default is not None,
            help=setting.help,
        )
    if setting.is_choice:
        kind: Any = click.Choice(setting.words)
    elif setting.type is str:
        kind = click.STRING
    else:
        kind = _Value(setting)
    return click.option(
        setting.flag,
        setting.name,
        type=kind,
        default=setting.default,
        show_default=setting.default not in (None, ()),
        multiple=setting.repeated,
        help=setting.help,
    )
