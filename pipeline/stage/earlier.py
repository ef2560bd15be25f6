"""An earlier stage's directory, opened with the suspicion that months of use teach."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput
from .files import FileRecord, read_json, write_json
from .manifest import RECIPE, Manifest


@dataclass(frozen=True)
class EarlierStage:
    """A complete directory made by `stage`, whose files have the sizes its manifest names."""

    directory: Path
    manifest: Manifest

    def path(self, name: str) -> Path:
        """Return where a listed file stands."""
        return self.directory / name

    def verify(self, names: Iterable[str], *, remembered: Path) -> None:
        """Raise `BadInput` where a file's checksum isn't the manifest's.

        A file is read once: `remembered` is a JSON file of the caller's that keeps what was seen.
        """
        seen = read_json(remembered) or {}
        before = dict(seen)
        for name in names:
            path = self.path(name)
            status = path.stat()
            key = f"{self.manifest.fingerprint[:16]}/{name}"
            now = [status.st_size, status.st_mtime_ns, status.st_ino]
            if seen.get(key) == now:
                continue
            found, expected = FileRecord.of(path), self.manifest.files[name]
            if found != expected:
                raise BadInput(
                    f"{path} is damaged: its SHA-256 is {found.sha256[:16]}…; its manifest names "
                    f"{expected.sha256[:16]}….",
                    hint=f"Make {self.directory} again: the command that made it, with --force.",
                )
            seen[key] = now
        if seen != before:
            remembered.parent.mkdir(parents=True, exist_ok=True)
            write_json(remembered, seen)


def open_earlier(directory: Path, stage: str, *, format_version: int | None = None) -> EarlierStage:
    """Open the finished output of `stage`.

    Raises:
        BadInput: there is no such directory, another stage or a version of another format made it,
            it isn't finished, or a file is missing or has another size.
    """
    if not directory.is_dir():
        raise BadInput(
            f"{directory}: there is no such directory; expected one made by `bertctl {stage}`.",
            hint=f"Make it: bertctl {stage} … --output {directory}",
        )
    manifest = Manifest.read(directory)
    if manifest is None:
        unfinished = (directory / RECIPE).exists()
        raise BadInput(
            f"{directory} "
            + ("isn't finished: it has no manifest yet." if unfinished else "has no manifest.json.")
            + f" Expected a directory made by `bertctl {stage}`.",
            hint="Run that command again: it goes on." if unfinished else "",
        )
    if manifest.recipe.stage != stage:
        raise BadInput(
            f"{directory} was made by `bertctl {manifest.recipe.stage}`; expected one made by "
            f"`bertctl {stage}`."
        )
    version = manifest.recipe.format_version
    if format_version is not None and version != format_version:
        raise BadInput(
            f"{directory} is of format {version}; this bertctl reads format {format_version}.",
            hint=f"Make it again with this version: bertctl {stage} … --force",
        )
    if fault := manifest.missing_or_resized(directory):
        raise BadInput(
            f"{directory} is damaged: {fault}.",
            hint="Put the file back, or make the directory again with --force.",
        )
    return EarlierStage(directory, manifest)
