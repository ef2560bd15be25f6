"""The docstrings of this Python's installation to a corpus and a labelled task.

    python examples/docstrings/harvest.py --output demo/corpus

writes `text/PACKAGE.txt` (a document a module, a paragraph a line, a blank line between documents)
for `bertctl vocab` and `bertctl shard`, and `train.tsv`, `validation.tsv` and `test.tsv` (text,
label, module) for `bertctl finetune`: which package does this docstring come from?
The same installation gives the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from packages import Package, installed_packages
from task import (
    LABELS,
    SPLITS,
    Document,
    Map,
    draw_rows,
    name_pattern,
    read_documents,
    without_copies,
)

RECIPE = "recipe.json"


class Refused(Exception):
    """What can't be done as asked, and what to do."""


def recipe_of(packages: Sequence[Package]) -> dict[str, str]:
    """Return all that the output depends on: versions, and the digest of this program."""
    program = b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py")))
    return {package.name: package.version for package in packages} | {
        "harvest.py": hashlib.blake2b(program, digest_size=8).hexdigest()
    }


def is_up_to_date(output: Path, recipe: dict[str, str]) -> bool:
    """Tell whether `output` is complete and this recipe's; refuse one that isn't ours."""
    if not output.exists() or not any(output.iterdir()):
        return False
    if not (output / RECIPE).exists():
        raise Refused(f"{output} holds files that no harvest made: name another --output")
    made_from: dict[str, str] = json.loads((output / RECIPE).read_text())["made_from"]
    if made_from != recipe:
        changes = ", ".join(
            f"{name} {made_from.get(name, 'absent')} → {recipe.get(name, 'absent')}"
            for name in sorted(made_from.keys() | recipe.keys())
            if made_from.get(name) != recipe.get(name)
        )
        raise Refused(
            f"{output} was harvested from another installation ({changes}): "
            f"remove it and what was made from it, or name another --output"
        )
    return True


def harvest(packages: Sequence[Package], output: Path, *, map_modules: Map = map) -> str:
    """Write the corpus and the task of `packages` to `output`, and return a table of them.

    The folder is written aside and renamed, so it is there whole or not at all.
    """
    documents = without_copies(read_documents(packages, map_modules=map_modules))
    names = name_pattern(package.name for package in packages)
    files = {
        f"text/{package.name}.txt": text
        for package in packages
        if (text := corpus_text(documents, package.name))
    }
    for split in SPLITS:
        drawn = draw_rows(documents, split, names)
        lines = [f"{row.text}\t{row.label}\t{row.module}\n" for row in drawn]
        files[f"{split}.tsv"] = "".join(["text\tlabel\tmodule\n", *lines])
    table = summary(documents, files)
    recipe = {"made_from": recipe_of(packages), "table": table}
    files[RECIPE] = json.dumps(recipe, indent=2, sort_keys=True) + "\n"

    aside = output.with_name(f"{output.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    for name, text in files.items():
        (aside / name).parent.mkdir(parents=True, exist_ok=True)
        (aside / name).write_text(text, encoding="utf-8", newline="\n")
    aside.replace(output)
    return table


def corpus_text(documents: Sequence[Document], package: str) -> str:
    """Return a package's training documents: a paragraph a line, blank lines between documents."""
    return "\n".join(
        "".join(f"{paragraph}\n" for paragraph in document.paragraphs)
        for document in documents
        if document.package == package and document.split == "train"
    )


def summary(documents: Sequence[Document], files: dict[str, str]) -> str:
    """Return what was harvested as lines of text: each package's share, each split's rows."""
    training = [document for document in documents if document.split == "train"]
    num_documents = Counter(document.package for document in training)
    num_words: Counter[str] = Counter()
    for document in training:
        num_words[document.package] += document.num_words
    lines = [f"{'package':<20} {'documents':>9} {'words':>9}"]
    for name, words in num_words.most_common():
        lines.append(f"{name:<20} {num_documents[name]:>9,} {words:>9,}")
    lines.append(f"{'corpus':<20} {num_documents.total():>9,} {num_words.total():>9,}")
    rows = ", ".join(
        f"{files[f'{split}.tsv'].count(chr(10)) - 1} {split}" for split in SPLITS[::-1]
    )
    return "\n".join([*lines, f"labelled rows over {len(LABELS)} packages: {rows}"])


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", "-o", type=Path, required=True, help="a folder to make")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes that parse")
    arguments = parser.parse_args()
    packages = installed_packages()
    try:
        if missing := set(LABELS) - {package.name for package in packages}:
            raise Refused(f"not installed: {', '.join(sorted(missing))}; make setup installs them")
        if is_up_to_date(arguments.output, recipe_of(packages)):
            print("up to date", file=sys.stderr)
            return 0
    except Refused as refusal:
        print(f"harvest: {refusal}", file=sys.stderr)
        return 2
    print(f"harvest: reading {len(packages)} packages", file=sys.stderr)
    with ProcessPoolExecutor(arguments.workers) as pool:
        print(harvest(packages, arguments.output, map_modules=pool.map))
    return 0


if __name__ == "__main__":
    sys.exit(main())
