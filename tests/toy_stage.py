"""A stage with nothing to it but its shape: chunks → barrier → buckets, as the real ones have."""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bertctl.pipeline.stage.engine import Completion, Finished, Site, complete
from bertctl.pipeline.stage.files import FileRecord, fingerprint_of
from bertctl.pipeline.stage.labour import Labour, Share
from bertctl.pipeline.stage.recipe import ListedInput, Recipe
from bertctl.pipeline.stage.report import Reporter, Silent
from bertctl.pipeline.stage.units import Unit, UnitBuilder, UnitStore

BUCKETS = 5
OWNS = ("bucket-*.txt",)


@dataclass(frozen=True)
class Chunk:
    """One input file, and the store its unit goes to."""

    units: UnitStore
    listed: ListedInput
    delay: float

    @property
    def name(self) -> str:
        return f"chunk-{Path(self.listed.path).stem}"

    @property
    def key(self) -> str:
        return fingerprint_of([self.listed.size, self.listed.mtime_ns])


@dataclass(frozen=True)
class Bucket:
    """One output file, and the chunk units it is made from."""

    units: UnitStore
    number: int
    chunks: tuple[str, ...]
    key: str
    delay: float

    @property
    def name(self) -> str:
        return f"bucket-{self.number}"


def build_chunk(chunk: Chunk) -> tuple[str, Unit]:
    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        time.sleep(chunk.delay)
        words = Path(chunk.listed.path).read_text().split()
        builder.path(f".bertctl/{chunk.name}.txt").write_text("\n".join(words))
        digest = fingerprint_of(sorted(words))
        return {"words": len(words), "digest": digest}

    return chunk.listed.path, chunk.units.build(chunk.name, chunk.key, make)


def build_bucket(bucket: Bucket) -> Unit:
    def make(builder: UnitBuilder) -> Mapping[str, Any]:
        time.sleep(bucket.delay)
        words = [
            word
            for name in bucket.chunks
            for word in (bucket.units.directory / name).read_text().split()
            if len(word) % BUCKETS == bucket.number
        ]
        text = "\n".join(sorted(words)) + "\n"
        builder.path(f"bucket-{bucket.number}.txt").write_text(text)
        return {"words": len(words)}

    return bucket.units.build(bucket.name, bucket.key, make)


def work(site: Site, *, delay: float) -> Finished:
    chunks = [Chunk(site.units, listed, delay) for listed in site.recipe.inputs]
    made = dict(site.labour.run(build_chunk, chunks))
    contents = {path: unit.result["digest"] for path, unit in made.items()}
    names = tuple(sorted(name for unit in made.values() for name in unit.files))
    site.make_room()
    key = fingerprint_of(sorted(contents.values()))
    buckets = [Bucket(site.units, n, names, key, delay) for n in range(BUCKETS)]
    files: dict[str, FileRecord] = {}
    for unit in site.labour.run(build_bucket, buckets):
        files.update(unit.files)
    return Finished(files, {"words": sum(u.result["words"] for u in made.values())}, contents)


def list_toys(corpus: Path) -> tuple[ListedInput, ...]:
    return tuple(
        ListedInput(str(path), path.stat().st_size, path.stat().st_mtime_ns)
        for path in sorted(corpus.glob("*.txt"))
    )


def run_toy(
    corpus: Path,
    output: Path,
    *,
    workers: int = 1,
    share: Share | None = None,
    delay: float = 0.0,
    force: bool = False,
    makes_room: bool = False,
    reads: Sequence[Path] = (),
    reporter: Reporter | None = None,
    numerics: Mapping[str, Any] | None = None,
    **what: Any,
) -> Completion:
    recipe = Recipe("toy", 1, what, list_toys(corpus), numerics=numerics or {}, owns=OWNS)
    return complete(
        recipe,
        output,
        partial(work, delay=delay),
        reporter=reporter or Silent(),
        read_contents=lambda files: {
            each.path: fingerprint_of(sorted(Path(each.path).read_text().split())) for each in files
        },
        reads=reads,
        labour=Labour(workers, share=share),
        force=force,
        makes_room=makes_room,
    )


if __name__ == "__main__":
    run_toy(
        Path(sys.argv[1]), Path(sys.argv[2]), workers=int(sys.argv[3]), delay=float(sys.argv[4])
    )
