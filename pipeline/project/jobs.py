"""Tables of a project file turned into jobs: what to make, from what, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...model.config import SIZES
from ..errors import BadInput
from ..stage.settings import settings_of
from ..training.starting_point import RANDOM
from .mistakes import Mistakes, nearest
from .sections import CORPUS, OUTPUT, STAGES, TAKEN_FROM_CORPUS, Source
from .tables import ProjectFile, Table, read_project_file, texts_of
from .values import value_of


@dataclass(frozen=True)
class Job:
    """One output of the project: a stage, its settings, and what it is made from."""

    stage: str
    variant: str
    """Nothing where the section has no variants"""
    where: str
    """Where the file asks for it"""
    output: Path
    settings: Mapping[str, Any]
    """What was given, by the names of the settings' fields"""
    inputs: tuple[str, ...] = ()
    """The corpus's files, directories and globs"""
    files: Mapping[str, Path] = field(default_factory=dict)
    sources: Mapping[str, tuple[Job | str, ...]] = field(default_factory=dict)
    """By key: other jobs, or places that the project doesn't make"""

    @property
    def name(self) -> str:
        """What a person calls it: `shard`, or `shard.128`."""
        return f"{self.stage}.{self.variant}" if self.variant else self.stage

    @property
    def made_from(self) -> tuple[Job, ...]:
        """The jobs that have to be done before this one."""
        sources = (each for source in self.sources.values() for each in source)
        return tuple(each for each in sources if isinstance(each, Job))

    def places(self, key: str) -> tuple[str, ...]:
        """Return where the sources of a key are, or will be."""
        found = self.sources.get(key, ())
        return tuple(str(each.output) if isinstance(each, Job) else each for each in found)


def read_project(path: Path, overrides: Sequence[str] = ()) -> tuple[Job, ...]:
    """Read a project file: its jobs, each after those it is made from.

    Paths in it are taken from the current directory, which is to be the file's.

    Raises:
        BadInput: the file can't be read; or it has mistakes, all of which are named.
    """
    mistakes = Mistakes()
    jobs = _Jobs(read_project_file(path, overrides, mistakes), mistakes).all()
    mistakes.raise_if_any(str(path))
    if not jobs:
        raise BadInput(
            f"{path} asks for nothing: it has none of the sections "
            f"{', '.join(f'[{name}]' for name in STAGES)}.",
            hint="`bertctl init` writes a file with all of them.",
        )
    return jobs


class _Jobs:
    """The jobs of one file, each made when it is first asked for."""

    def __init__(self, file: ProjectFile, mistakes: Mistakes) -> None:
        self._output = file.output
        self._mistakes = mistakes
        self._tables = {each.name: each for each in file.tables}
        self._made: dict[str, Job] = {}
        self._under_way: list[str] = []

    def all(self) -> tuple[Job, ...]:
        """Return every job, ordered."""
        for table in self._tables.values():
            if table.section.name in STAGES:
                self._job(table)
        self._refuse_shared_outputs()
        return tuple(self._made.values())

    def _job(self, table: Table) -> Job:
        if table.name in self._made:
            return self._made[table.name]
        stage = table.section.name
        self._under_way.append(table.name)
        sources: dict[str, tuple[Job | str, ...]] = {}
        corpus = None
        for source in table.section.sources:
            if source.key == CORPUS:
                corpus = self._corpus(table, source)
            else:
                sources[source.key] = self._sources(table, source)
        self._under_way.pop()
        job = Job(
            stage=stage,
            variant=table.variant,
            where=table.where,
            output=self._place(table),
            settings={**self._from_corpus(corpus, stage), **self._settings(table)},
            inputs=self._inputs(corpus),
            files=self._files(table),
            sources=sources,
        )
        if stage == "pretrain" and _says_both_or_neither(table):
            says = "both steps and epochs" if "steps" in table.given else "neither steps nor epochs"
            self._mistakes.add(table.where, f"[{table.name}] says {says}; expected one of them.")
        self._made[table.name] = job
        return job

    def _settings(self, table: Table) -> dict[str, Any]:
        """Return the values of a table's settings by the names of their fields."""
        found: dict[str, Any] = {}
        for key, given in table.given.items():
            setting = table.section.settings.get(key)
            if setting is None:
                continue
            try:
                found[setting.name] = value_of(setting, given.value)
            except BadInput as error:
                self._mistakes.add(given.where, error.message.removeprefix("--"))
        return found

    def _from_corpus(self, corpus: Table | None, stage: str) -> dict[str, Any]:
        """Return what the corpus says that decides what a stage makes of it."""
        if corpus is None:
            return {}
        settings = self._settings(corpus)
        kinds = TAKEN_FROM_CORPUS[stage]
        names = {setting.name for kind in kinds for setting in settings_of(kind)}
        return {name: value for name, value in settings.items() if name in names}

    def _inputs(self, corpus: Table | None) -> tuple[str, ...]:
        if corpus is None:
            return ()
        given = corpus.given.get("input")
        if given is None:
            self._mistakes.add(corpus.where, f"[{corpus.name}] has no input: its files.")
            return ()
        return texts_of("input", given, self._mistakes)

    def _files(self, table: Table) -> dict[str, Path]:
        found: dict[str, Path] = {}
        for key, is_needed in table.section.files.items():
            if (given := table.given.get(key)) is not None:
                if texts := texts_of(key, given, self._mistakes, is_one=True, is_local=True):
                    found[key] = Path(texts[0])
            elif is_needed:
                self._mistakes.add(table.where, f"[{table.name}] has no {key} file.")
        return found

    def _place(self, table: Table) -> Path:
        """Return where the output goes: where the table says, or below the project's."""
        given = table.given.get(OUTPUT)
        if given is None:
            return self._output / table.section.name / table.variant
        return Path(*texts_of(OUTPUT, given, self._mistakes, is_one=True, is_local=True))

    def _corpus(self, table: Table, source: Source) -> Table | None:
        found = self._named(table, source)
        return found[0] if found and isinstance(found[0], Table) else None

    def _sources(self, table: Table, source: Source) -> tuple[Job | str, ...]:
        found = self._named(table, source)
        return tuple(self._job(each) if isinstance(each, Table) else each for each in found)

    def _named(self, table: Table, source: Source) -> tuple[Table | str, ...]:
        """Return what a key names, or what is clear without it."""
        given = table.given.get(source.key)
        if given is None:
            wanted = source.is_needed or self._needs_vocabulary(table, source)
            return self._unnamed(table, source) if wanted else ()
        texts = texts_of(source.key, given, self._mistakes, is_one=not source.is_list)
        found = (self._look_up(table, source, text, given.where) for text in texts)
        return tuple(each for each in found if each is not None)

    def _needs_vocabulary(self, table: Table, source: Source) -> bool:
        """Whether random weights are to be fitted, which have no vocabulary beside them."""
        model = table.given.get("model")
        return source.key == "vocab" and model is not None and str(model.value).startswith(RANDOM)

    def _look_up(self, table: Table, source: Source, text: str, where: str) -> Table | str | None:
        variants = self._variants(source.stages)
        named = [each for each in variants if text in (each.name, each.variant)]
        if len(named) > 1:
            names = " or ".join(each.name for each in named)
            self._mistakes.add(where, f"{source.key} {text} may be {names}; expected one of them.")
            return None
        if named:
            return self._unless_circular(named[0], table, where)
        if source.key == "model" and text.startswith(RANDOM):
            if (size := text.removeprefix(RANDOM)) not in SIZES:
                told = f"{text} is no size of a model{nearest(size, SIZES)}"
                self._mistakes.add(where, told)
            return text
        if source.is_place_too and _is_path(text):
            return text
        known = [each.variant or each.name for each in variants]
        told = f"there is no [{source.stages[0]}.{text}] for {source.key}{nearest(text, known)}"
        if source.is_place_too:
            told += f" A path has a slash: ./{text}"
        self._mistakes.add(where, told)
        return None

    def _unnamed(self, table: Table, source: Source) -> tuple[Table, ...]:
        """Return the only one there may be, or the one of the same name."""
        stage = source.stages[0]
        variants = self._variants((stage,))
        same = [each for each in variants if each.variant and each.variant == table.variant]
        for found in (same, variants):
            if len(found) == 1:
                one = self._unless_circular(found[0], table, table.where)
                return () if one is None else (one,)
        if variants:
            names = ", ".join(each.variant for each in variants)
            told = f"[{table.name}] doesn't say of which {source.key} it is made: {names}."
        else:
            told = f"[{table.name}] has no {source.key}, and there is no section [{stage}]."
        self._mistakes.add(table.where, told)
        return ()

    def _unless_circular(self, named: Table, table: Table, where: str) -> Table | None:
        if named.name not in self._under_way:
            return named
        circle = [*self._under_way[self._under_way.index(named.name) :], named.name]
        self._mistakes.add(where, f"{' is made from '.join(circle)}: that has no beginning.")
        return None

    def _variants(self, stages: Iterable[str]) -> list[Table]:
        return [
            each for stage in stages for each in self._tables.values() if each.section.name == stage
        ]

    def _refuse_shared_outputs(self) -> None:
        places = {job.name: job.output.resolve() for job in self._made.values()}
        for number, (job, place) in enumerate(
            zip(self._made.values(), places.values(), strict=True)
        ):
            for other in list(places)[:number]:
                if place == places[other]:
                    told = f"[{job.name}] has the output of [{other}], {job.output}."
                elif place in places[other].parents or places[other] in place.parents:
                    told = f"[{job.name}] and [{other}] have outputs one inside the other."
                else:
                    continue
                self._mistakes.add(job.where, told)


def _is_path(text: str) -> bool:
    return "/" in text or "\\" in text or text.startswith(".")


def _says_both_or_neither(table: Table) -> bool:
    return ("steps" in table.given) == ("epochs" in table.given)
