"""A project file read into tables: each variant of each section, and where every value stands."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..corpus.uris import is_uri
from ..errors import BadInput
from .mistakes import Mistakes, nearest
from .sections import OUTPUT, PROJECT, SECTIONS, Section
from .toml_lines import Keys, lines_of_keys

_VARIANT = re.compile(r"\w[\w-]*")


@dataclass(frozen=True)
class Given:
    """A value, and where a person finds it."""

    value: Any
    where: str


@dataclass(frozen=True)
class Table:
    """One variant of a section; what the section says for all its variants is in it, too."""

    section: Section
    variant: str
    """Nothing where the section has no variants"""
    where: str
    given: Mapping[str, Given]

    @property
    def name(self) -> str:
        """What a person calls it: `shard`, or `shard.128`."""
        return f"{self.section.name}.{self.variant}" if self.variant else self.section.name


@dataclass(frozen=True)
class ProjectFile:
    """What a project file says."""

    output: Path
    """Where the outputs go that don't say so themselves"""
    tables: tuple[Table, ...]


def read_project_file(path: Path, overrides: Sequence[str], mistakes: Mistakes) -> ProjectFile:
    """Read a file and what `--set` changes of it, `shard.128.dupe-factor=2`.

    Raises:
        BadInput: it can't be read, or isn't TOML. What else is wrong is added to `mistakes`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text)
    except FileNotFoundError as error:
        raise BadInput(
            f"{path}: there is no such file; expected a project's.",
            hint="`bertctl init` writes one.",
        ) from error
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} isn't UTF-8, at byte {error.start:,}.") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(
            f"{path} isn't TOML: {error}.",
            hint="Texts stand in quotes, lists in brackets: input = ['corpus/'].",
        ) from error
    lines = lines_of_keys(text)
    tree = {
        name: _located(value, (name,), lines) if isinstance(value, dict) else value
        for name, value in content.items()
    }
    for name, value in tree.items():
        where = f"line {lines[(name,)]}"
        if isinstance(value, list) and name in SECTIONS:
            mistakes.add(where, f"[[{name}]] makes a list; expected [{name}], in single brackets.")
        elif not isinstance(value, dict):
            mistakes.add(where, f"{name} stands in no section; expected it below a [section].")
        elif name not in (PROJECT, *SECTIONS):
            mistakes.add(
                where, f"there is no section [{name}]{nearest(name, (PROJECT, *SECTIONS))}"
            )
    for each in overrides:
        _override(tree, each, mistakes)
    project = tree.get(PROJECT, {})
    known = {name: each for name, each in tree.items() if isinstance(each, dict)}
    tables = tuple(
        table
        for name, section in SECTIONS.items()
        if name in known
        for table in _tables(section, known[name], lines, mistakes)
    )
    return ProjectFile(_output(project if isinstance(project, dict) else {}, mistakes), tables)


def _located(content: Mapping[str, Any], path: tuple[str, ...], lines: Mapping[Keys, int]) -> Any:
    """Return a table with each value in it as a `Given`."""
    return {
        key: _located(value, (*path, key), lines)
        if isinstance(value, dict)
        else Given(value, f"line {lines[(*path, key)]}")
        for key, value in content.items()
    }


def _override(tree: dict[str, Any], text: str, mistakes: Mistakes) -> None:
    """Put what one `--set` says in the place of what the file does."""
    where = f"--set {text}"
    path, equals, written = text.partition("=")
    *names, key = (each.strip() for each in path.split("."))
    if not equals or not names or not key:
        mistakes.add(where, "expected SECTION.KEY=VALUE or SECTION.VARIANT.KEY=VALUE.")
        return
    table = tree
    for depth, name in enumerate(names):
        inner = table.get(name)
        if not isinstance(inner, dict):
            if depth == 0 and name == PROJECT:
                inner = table[name] = {}
            else:
                variants = [each for each, value in table.items() if isinstance(value, dict)]
                inside = ".".join(names[:depth])
                of = f"[{inside}] has no variant {name}" if inside else f"there is no [{name}]"
                mistakes.add(where, of + nearest(name, variants))
                return
        table = inner
    try:
        read = tomllib.loads(f"value = {written}")
        # A text of several lines would be several keys.
        value = read["value"] if len(read) == 1 else written
    except (ValueError, RecursionError):
        value = written  # a shell takes the quotes off a text
    hyphened = key.replace("_", "-")
    for written_so in [each for each in table if each.replace("_", "-") == hyphened]:
        del table[written_so]
    table[key] = Given(value, where)


def _tables(
    section: Section, content: Mapping[str, Any], lines: Mapping[Keys, int], mistakes: Mistakes
) -> Iterator[Table]:
    common = _given(section, section.name, content, mistakes)
    variants = {name: each for name, each in content.items() if isinstance(each, dict)}
    if not variants:
        yield Table(section, "", f"line {lines[(section.name,)]}", common)
        return
    if OUTPUT in common:
        mistakes.add(
            common[OUTPUT].where,
            f"[{section.name}] has variants, and one output for all; expected one in each, or none "
            "to have them named for the variants.",
        )
    for name, each in variants.items():
        where = f"line {lines[(section.name, name)]}"
        if not _VARIANT.fullmatch(name):
            mistakes.add(
                where,
                f"[{section.name}.{name}] can't name a directory; expected letters, digits, - "
                "and _.",
            )
        for inner in (key for key, value in each.items() if isinstance(value, dict)):
            mistakes.add(where, f"[{section.name}.{name}.{inner}] is one table too deep.")
        own = _given(section, f"{section.name}.{name}", each, mistakes)
        yield Table(section, name, where, {**common, **own})


def _given(
    section: Section, table: str, content: Mapping[str, Any], mistakes: Mistakes
) -> dict[str, Given]:
    """Return a table's own values by the keys that are known."""
    found: dict[str, Given] = {}
    for written, given in content.items():
        if isinstance(given, dict):
            continue
        key = written.replace("_", "-")
        if key not in section.keys:
            mistakes.add(given.where, f"[{table}] knows no {written}{nearest(key, section.keys)}")
        elif key in found:
            mistakes.add(given.where, f"[{table}] says {key} twice.")
        else:
            found[key] = given
    return found


def _output(project: Mapping[str, Any], mistakes: Mistakes) -> Path:
    for key, given in project.items():
        if key != OUTPUT or not isinstance(given, Given):
            where = given.where if isinstance(given, Given) else f"[{PROJECT}]"
            mistakes.add(where, f"[{PROJECT}] knows no {key}{nearest(key, (OUTPUT,))}")
    given = project.get(OUTPUT)
    if not isinstance(given, Given):
        return Path()
    return Path(*texts_of(OUTPUT, given, mistakes, is_one=True, is_local=True))


def texts_of(
    key: str, given: Given, mistakes: Mistakes, *, is_one: bool = False, is_local: bool = False
) -> tuple[str, ...]:
    """Return a value that is a text or, unless there is to be one, a list of some.

    `is_local`: it names a place on this machine. Nothing is returned where it isn't that.
    """
    is_list = isinstance(given.value, list) and not is_one
    values: list[Any] = given.value if is_list else [given.value]
    if not values or not all(isinstance(each, str) and each for each in values):
        expected = "a text in quotes" + ("" if is_one else ", or a list of some")
        mistakes.add(given.where, f"{key} is {given.value!r}; expected {expected}.")
        return ()
    for each in values:
        if "\0" in each:
            mistakes.add(given.where, f"{key} is {each!r}; expected a name without NUL.")
            return ()
        if is_local and is_uri(each):
            mistakes.add(given.where, f"{key} is {each}; expected a place on this machine.")
            return ()
    return tuple(at_home(each) for each in values)


def at_home(text: str) -> str:
    """Return a path with what a shell makes of `~`."""
    return str(Path(text).expanduser()) if text == "~" or text.startswith("~/") else text
