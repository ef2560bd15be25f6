"""What an output was made from, found again by fingerprints among the outputs that were seen.

A recipe names no paths: an earlier stage may have been moved or copied, and is the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from ...model.config import SIZES
from ..errors import BertctlError
from ..stage.files import FileRecord, fingerprint_of, read_json
from ..stage.made_from import read_note
from ..stage.recipe import Difference
from ..training.checkpoint_record import STATE, CheckpointRecord
from ..training.model_layout import CONFIG, MODEL, WEIGHTS
from ..training.starting_point import RANDOM
from ..wordpiece.files import TOKENIZER_FILE
from .finding import Output

_MODELS = ("pretrain", "finetune", "export")
_STAGES: Mapping[str, tuple[str, ...]] = {
    "vocab": ("vocab",),
    "shards": ("shard",),
    "model": _MODELS,
    "init": _MODELS,
}
"""A role's first word → the stages whose output it may be. Any other role is a file's."""
_DROPOUT = ("hidden_dropout_prob", "attention_probs_dropout_prob")


@dataclass(frozen=True)
class Source:
    """One thing that an output was made from."""

    role: str
    fingerprint: str
    output: Output | None
    """Where it is, or is part of, as far as that was found."""
    path: Path | None
    """The directory itself: the output's, or that of one of its checkpoints."""
    replaced_by: Output | None = None
    """The output that stands in its place now; where that isn't known, one of its kind, and of the
    same corpus or vocabulary, that was made since."""
    changes: tuple[Difference, ...] = ()
    """What of that one is otherwise, where that was written down."""
    random: str | None = None
    """What `--model` said where the source is no directory: `random:tiny`."""

    @property
    def is_file(self) -> bool:
        """Whether it is a single file of the user's, which isn't looked for."""
        return _stages_of(self.role) == ()


@dataclass(frozen=True)
class Origins:
    """All outputs that were seen, by the fingerprints that later stages know them by."""

    outputs: Sequence[Output]

    def sources_of(self, output: Output) -> tuple[Source, ...]:
        """Find what an output was made from."""
        if output.recipe is None:
            return ()
        earlier = output.recipe.earlier
        found = {role: self._find(role, fingerprint) for role, fingerprint in earlier.items()}
        beside = [each for each, _ in filter(None, found.values())]
        return tuple(
            Source(role, fingerprint, *place)
            if (place := found[role]) is not None
            else self._absent(output, role, fingerprint, beside)
            for role, fingerprint in earlier.items()
        )

    def _find(self, role: str, fingerprint: str) -> tuple[Output, Path] | None:
        stages = _stages_of(role)
        found = self._named.get(fingerprint)
        # Files are read only where what they say is asked for.
        if found is None and stages == _MODELS:
            found = self._checkpoints.get(fingerprint)
        if found is None and stages == ("vocab",):
            found = self._vocabularies.get(fingerprint)
        return found

    def _absent(
        self, output: Output, role: str, fingerprint: str, beside: Sequence[Output]
    ) -> Source:
        """Say what is known of a source that isn't here; `beside` are those that are."""
        stages = _stages_of(role)
        if stages == _MODELS and (name := _random_model(output, fingerprint, beside)):
            return Source(role, fingerprint, None, None, random=name)
        if noted := self._noted(output, stages, fingerprint):
            now, changes = noted
            return Source(role, fingerprint, None, None, now, changes)
        kin = _marks(output).union(*map(_marks, beside))
        # A classifier beside this one may be of the same start, or of any other.
        stages = tuple(stage for stage in stages if stage not in ("finetune", "export"))
        alike = [each for each in self.outputs if each.stage in stages and each is not output]
        since = [
            each
            for each in alike
            if each.manifest is not None
            and each.made_at > output.begun_at
            # Shards are found nowhere but in outputs of ours: if there are no others, it is these.
            and (not kin.isdisjoint(_marks(each)) or (stages == ("shard",) and len(alike) == 1))
        ]
        replaced_by = max(since, key=lambda each: _nearness(each, output), default=None)
        return Source(role, fingerprint, None, None, replaced_by)

    def _noted(
        self, output: Output, stages: tuple[str, ...], fingerprint: str
    ) -> tuple[Output, tuple[Difference, ...]] | None:
        """Return what stands where the source stood, and what of it is otherwise.

        Of several sources of a kind the one is meant that has the fingerprint.
        """
        noted = [each for each in read_note(output.directory) if each.recipe.stage in stages]
        meant = [each for each in noted if each.fingerprint == fingerprint]
        for each in meant or (noted if len(noted) == 1 else ()):
            now = self._places.get(each.place)
            if now is not None and now.manifest is not None:
                changes = each.changes_to(now.manifest)
                return (now, changes) if changes else None
        return None

    @cached_property
    def _places(self) -> dict[Path, Output]:
        return {each.directory.resolve(): each for each in self.outputs}

    @cached_property
    def _named(self) -> dict[str, tuple[Output, Path]]:
        """Outputs by what their manifests say: their own fingerprint, and that of their model."""
        named: dict[str, tuple[Output, Path]] = {}
        for each in self.outputs:
            if each.manifest is not None:
                named.setdefault(each.manifest.fingerprint, (each, each.directory))
                if model := _model_fingerprint(each.manifest.files):
                    named.setdefault(model, (each, each.directory))
        return named

    @cached_property
    def _checkpoints(self) -> dict[str, tuple[Output, Path]]:
        named: dict[str, tuple[Output, Path]] = {}
        for each in self.outputs:
            for name in each.sizes:
                if PurePosixPath(name).name != STATE:
                    continue
                directory = (each.directory / name).parent
                record = CheckpointRecord.read(directory)
                if record is not None and (model := _model_fingerprint(record.files)):
                    named.setdefault(model, (each, directory))
        return named

    @cached_property
    def _vocabularies(self) -> dict[str, tuple[Output, Path]]:
        # numpy takes its time to import, and so does reading a vocabulary.
        from ..wordpiece.files import load_vocabulary

        named: dict[str, tuple[Output, Path]] = {}
        for each in self.outputs:
            if each.stage != "vocab" or each.manifest is None:
                continue
            try:
                vocabulary, normalization = load_vocabulary(each.directory)
            except BertctlError:
                continue  # it is damaged, and said to be
            named.setdefault(vocabulary.fingerprint(normalization), (each, each.directory))
        return named


def _stages_of(role: str) -> tuple[str, ...]:
    return _STAGES.get(role.split(" ")[0], ())


def _model_fingerprint(files: Mapping[str, FileRecord]) -> str | None:
    """Return the identity that whoever starts from a model knows it by."""
    # In an export the model stands in the directory itself.
    within = f"{MODEL}/" if f"{MODEL}/{CONFIG}" in files else ""
    wanted = {name: files.get(within + name) for name in (CONFIG, WEIGHTS)}
    hashes = {name: each.sha256 for name, each in wanted.items() if each is not None}
    return fingerprint_of(hashes) if len(hashes) == len(wanted) else None


def _random_model(output: Output, fingerprint: str, beside: Sequence[Output]) -> str | None:
    """Return which `random:SIZE` a fingerprint stands for; None where it is none of them."""
    assert output.recipe is not None
    prob = output.recipe.what.get("dropout_prob")
    dropped = {} if prob is None else dict.fromkeys(_DROPOUT, prob)
    own = read_json(output.directory / MODEL / CONFIG) or {}
    told = [each.manifest.statistics for each in beside if each.manifest]
    sizes = {each.get("vocab_size") for each in (own, *told)}
    for name, config in SIZES.items():
        for vocab_size in (each for each in sizes if isinstance(each, int)):
            shape = replace(config, vocab_size=vocab_size, **dropped)
            if fingerprint == fingerprint_of(["random", shape.to_dict()]):
                return f"{RANDOM}{name}"
    return None


def _marks(output: Output) -> set[str]:
    """Return what tells that two outputs are of one corpus, or of one vocabulary."""
    inputs = {each.path for each in output.recipe.inputs} if output.recipe else set[str]()
    files = output.manifest.files if output.manifest else {}
    names = (TOKENIZER_FILE, f"{MODEL}/{TOKENIZER_FILE}")
    return inputs | {files[name].sha256 for name in names if name in files}


def _nearness(candidate: Output, output: Output) -> tuple[int, float]:
    """How likely a candidate stands where the source stood: the nearer, then the newer."""
    pairs = zip(candidate.directory.parts, output.directory.parts, strict=False)
    shared = next(
        (number for number, (one, other) in enumerate(pairs) if one != other),
        min(len(candidate.directory.parts), len(output.directory.parts)),
    )
    return shared, candidate.made_at
