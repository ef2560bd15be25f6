"""Where a stage writes: a directory of this machine, or a prefix of a storage elsewhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from ..corpus.uris import Uri
from ..errors import BadInput
from ..stage.comparing import ContentReader
from ..stage.engine import Completion, Finished, Site, complete
from ..stage.files import fingerprint_of
from ..stage.labour import Labour
from ..stage.recipe import Recipe
from ..stage.report import Reporter

Output = Path | Uri

_ENDPOINT = re.compile(r"(?:^|&)endpoint_override=([^&]*)")
_HASH_DIGITS = 12


def complete_at(
    recipe: Recipe,
    output: Output,
    work: Callable[[Site], Finished],
    *,
    scratch: str | None,
    reporter: Reporter,
    read_contents: ContentReader | None = None,
    reads: Sequence[Path] = (),
    labour: Labour,
    force: bool = False,
    makes_room: bool = False,
) -> Completion:
    """Bring a directory, or a prefix elsewhere by way of one in `scratch`, to what `recipe` says.

    The rest is as in `complete`, and so is what is raised; and `BadInput` or `WorkFailed` where a
    storage can't be written to.
    """
    if isinstance(output, Path):
        return complete(
            recipe,
            output,
            work,
            reporter=reporter,
            read_contents=read_contents,
            reads=reads,
            labour=labour,
            force=force,
            makes_room=makes_room,
        )
    directory = directory_for(output, scratch)
    # Arrow takes its time to import: an output on this machine doesn't need it.
    from .publishing import Publication

    publication = Publication.of(output, directory, recipe, reporter)
    if manifest := publication.begin(read_contents, force=force):
        return Completion(directory, manifest, was_up_to_date=True, uri=output.name)
    done = complete(
        recipe,
        directory,
        work,
        reporter=reporter,
        read_contents=read_contents,
        reads=reads,
        labour=labour,
        force=force and not publication.is_made_here,
        makes_room=makes_room,
    )
    publication.publish(done.manifest)
    return Completion(directory, done.manifest, was_up_to_date=False, uri=output.name)


def directory_for(output: Uri, scratch: str | None) -> Path:
    """Return where on this machine an output for elsewhere is made.

    Its name says where it goes, however the URI's options are written.

    Raises:
        BadInput: there is no `scratch` to make it in.
    """
    if scratch is None:
        raise BadInput(
            f"--output is {output.name}; expected --scratch DIR with it, or a directory.",
            hint="The output is made in a directory in --scratch and put there when it is "
            "complete; the directory stays, for `bertctl pretrain`.",
        )
    endpoint = _ENDPOINT.search(output.options)
    place = [output.scheme, output.place, output.path, endpoint[1] if endpoint else ""]
    last = (output.path or output.place).rsplit("/", 1)[-1]
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", last).strip("-") or "output"
    return Path(scratch) / f"{readable}-{fingerprint_of(place)[:_HASH_DIGITS]}"
