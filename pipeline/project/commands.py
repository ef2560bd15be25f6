"""A job as the command that does it: what a person would type, in the project's directory."""

from __future__ import annotations

from collections.abc import Iterator

from ..stage.settings import Setting
from .jobs import Job
from .sections import SECTIONS, STAGES

_ARGUMENTS = {"pretrain": "shards"}
"""Sources that a command takes without a flag"""


def arguments_of(job: Job) -> tuple[str, ...]:
    """Return the words after `bertctl`: the stage, what it reads, its settings, its output."""
    words = [job.stage, *map(_no_flag, job.inputs)]
    for key in job.sources:
        places = job.places(key)
        if key == _ARGUMENTS.get(job.stage):
            words += map(_no_flag, places)
        else:
            for place in places:
                words += ("--" + key, place)
    for key, path in job.files.items():
        words += ("--" + key, str(path))
    known = {each.name: each for each in STAGES[job.stage].settings.values()}
    known |= {each.name: each for each in SECTIONS["corpus"].settings.values()}
    for name, value in job.settings.items():
        words += _words(known[name], value)
    return (*words, "--output", str(job.output))


def _no_flag(path: str) -> str:
    """Return a path that a command line doesn't take for a flag."""
    return f"./{path}" if path.startswith("-") else path


def _words(setting: Setting, value: object) -> Iterator[str]:
    if setting.type is bool:
        yield setting.flag if value else setting.flag.replace("--", "--no-", 1)
    elif setting.repeated:
        assert isinstance(value, tuple)
        for each in value:
            yield from (setting.flag, str(each))
    else:
        yield from (setting.flag, str(value))
