"""Write reference.md: every setting of every stage, from the fields that declare them.

python docs/reference.py
"""

from pathlib import Path

from bertctl.cli.main import COMMANDS
from bertctl.pipeline.corpus.settings import CorpusSettings, SentenceSettings
from bertctl.pipeline.export.settings import ExportSettings
from bertctl.pipeline.finetune.settings import FinetuneHow, FinetuneSettings
from bertctl.pipeline.inspect.settings import InspectHow
from bertctl.pipeline.predict.settings import PredictHow
from bertctl.pipeline.pretrain.settings import (
    ArchitectureSettings,
    PretrainHow,
    PretrainSettings,
    ProcessNumerics,
    TimeHow,
)
from bertctl.pipeline.shard.settings import InstanceSettings, ShardHow
from bertctl.pipeline.stage.settings import Setting, settings_of
from bertctl.pipeline.training.settings import NumericsSettings
from bertctl.pipeline.vocab.settings import VocabHow, VocabSettings

PAGE = Path(__file__).with_name("reference.md")
KINDS = {"vocab": [VocabSettings, CorpusSettings, VocabHow]}
KINDS["shard"] = [CorpusSettings, SentenceSettings, InstanceSettings, ShardHow]
KINDS["pretrain"] = [
    *(ArchitectureSettings, PretrainSettings, NumericsSettings, ProcessNumerics),
    *(PretrainHow, TimeHow),
]
KINDS["finetune"] = [FinetuneSettings, NumericsSettings, FinetuneHow]
KINDS["inspect"] = [InspectHow, CorpusSettings, SentenceSettings]
KINDS["verify"] = []
KINDS["status"] = []
KINDS["completion"] = []
KINDS["init"] = []
KINDS["run"] = []
KINDS["predict"] = [PredictHow, NumericsSettings]
KINDS["export"] = [ExportSettings]
HEAD = """# Settings

Written by `docs/reference.py` from the code; `make docs` writes it again. *What* is part of the
recipe: another value is another output. *Numerics* is recorded and free to change when a run goes
on. *How* changes no byte.
"""


def kind_of(group: type) -> str:
    """Return what the name of a settings dataclass says of its fields."""
    name = group.__name__
    return "how" if name.endswith("How") else "numerics" if "Numerics" in name else "what"


def values_of(setting: Setting) -> str:
    """Return what may be given, in words."""
    if setting.is_choice:
        return " · ".join(setting.words)
    if setting.type is bool:
        return "flag"
    words = [*setting.words, {int: "integer", float: "number", str: "text"}[setting.type]]
    limits = [
        f"{sign} {limit:g}"
        for sign, limit in (("≥", setting.minimum), ("≤", setting.maximum))
        if limit is not None
    ]
    return " · ".join(words) + (f" ({', '.join(limits)})" if limits else "")


def page() -> str:
    """Return the whole page."""
    parts = [HEAD]
    for command, line in COMMANDS.items():
        if not KINDS[command]:
            parts.append(f"## bertctl {command}\n\n{line}\n")
            continue
        rows = ["| flag | values | default | kind | |", "|---|---|---|---|---|"]
        for group in KINDS[command]:
            for each in settings_of(group):
                default = "" if each.default in (None, ()) else f"`{each.default}`"
                cells = [f"`{each.flag}`", values_of(each), default, kind_of(group), each.help]
                rows.append("| " + " | ".join(cells) + " |")
        parts.append(f"## bertctl {command}\n\n{line}\n\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
