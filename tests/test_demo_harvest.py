"""The demo's corpus: nothing of the test modules in it, no names, no code, the same every time."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

DEMO = Path(__file__).parent.parent / "examples" / "docstrings"
sys.path.insert(0, str(DEMO))

import harvest  # noqa: E402
import packages  # noqa: E402
import task  # noqa: E402
from packages import Module, Package  # noqa: E402

LABELS = ("alpha", "beta", "gamma")
NUM_MODULES = {"alpha": 19, "beta": 27, "gamma": 35}
DOCSTRINGS_PER_MODULE = 5

INHERITED = "Whatever the base class promises holds here too, for every caller of it."
WORDS = [f"{start}{middle}{end}" for start in "bdfgklmnpr" for middle in "aeiou" for end in "lnrt"]


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=13)).capitalize() + "."


def write_package(folder: Path, *, num_modules: int, rng: random.Random) -> Package:
    """Write modules whose docstrings hold prose, code, a table, names and an inherited text."""
    name = folder.name
    folder.mkdir(parents=True)
    for module in range(num_modules):
        functions = [
            f"def function{function}():\n"
            f'    """{sentence(rng)}\n\n'
            f"    A call of {name}.function that {name.title()}Error, BETA or Gamma explain"
            f" as {sentence(rng)}\n\n"
            f"    >>> doctest_code({function})\n    doctest output of plain words it is\n\n"
            f"    {INHERITED}\n"
            f'    """'
            for function in range(DOCSTRINGS_PER_MODULE - 1)
        ]
        source = [f'"""{sentence(rng)}"""', "import no_such_module_anywhere", *functions]
        (folder / f"module{module}.py").write_text("\n".join(source) + "\n")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_it.py").write_text('"""These words are of a package\'s own tests."""')
    (folder / "broken.py").write_text('"""Words of a file that no Python parses."""\ndef (:\n')
    return Package(name=name, version="1.0", roots=(folder,))


@pytest.fixture
def fakes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Package]:
    monkeypatch.setattr(task, "LABELS", LABELS)
    monkeypatch.setattr(harvest, "LABELS", LABELS)
    rng = random.Random(11)
    return [
        write_package(tmp_path / "lib" / name, num_modules=number, rng=rng)
        for name, number in NUM_MODULES.items()
    ]


def harvested(fakes: Sequence[Package], output: Path) -> dict[str, str]:
    harvest.harvest(fakes, output)
    return {
        str(path.relative_to(output)): path.read_text()
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


def corpus_of(files: dict[str, str]) -> str:
    return "".join(text for name, text in files.items() if name.startswith("text/"))


def rows_of(files: dict[str, str], split: str) -> list[list[str]]:
    header, *lines = files[f"{split}.tsv"].splitlines()
    assert header == "text\tlabel\tmodule"
    return [line.split("\t") for line in lines]


def test_no_run_of_words_of_a_test_or_validation_module_is_in_the_corpus(fakes, tmp_path):
    files = harvested(fakes, tmp_path / "out")
    corpus = " ".join(corpus_of(files).split())
    dealt = {each.module: each.split for each in task.read_documents(fakes)}
    held_out = {
        paragraph
        for each in task.read_documents(fakes)
        if each.split != "train"
        for paragraph in each.paragraphs
    }
    assert len(held_out) > 100
    assert not any(paragraph in corpus for paragraph in held_out)
    for split in task.SPLITS:
        rows = rows_of(files, split)
        assert rows
        assert {dealt[module] for _, _, module in rows} == {split}


def test_every_package_gives_modules_to_every_split(fakes):
    dealt = {(each.package, each.split) for each in task.read_documents(fakes)}
    assert dealt == {(label, split) for label in LABELS for split in task.SPLITS}


def test_a_near_copy_of_test_text_is_dropped_from_training():
    said = (
        "The quick brown fox jumps over the lazy dog, 17 times a day, while it rains in the town."
    )
    copy = said.upper().replace("17", "4").replace("day,", "day   ") + " And so it ends."
    other = "An entirely different remark about foxes, dogs and the weather of other towns."
    kept = task.without_copies(
        task.Document(package="alpha", module=name, split=split, docstrings=((text,),))
        for name, split, text in [
            ("a", "train", copy),
            ("b", "test", said),
            ("c", "train", other),
            ("d", "validation", other),
        ]
    )
    assert [(each.module, each.paragraphs) for each in kept] == [("b", (said,)), ("d", (other,))]


def test_a_text_that_many_docstrings_share_is_kept_once(fakes, tmp_path):
    files = harvested(fakes, tmp_path / "out")
    kept = task.without_copies(task.read_documents(fakes))
    assert sum(paragraph == INHERITED for each in kept for paragraph in each.paragraphs) == 1
    assert INHERITED not in corpus_of(files)  # a test module has it


def test_code_output_and_tests_are_left_out(fakes, tmp_path):
    everything = "".join(harvested(fakes, tmp_path / "out").values())
    assert "doctest" not in everything
    assert "tests" not in everything
    assert "no Python parses" not in everything


def test_rows_name_no_package_and_the_corpus_is_left_alone(fakes, tmp_path):
    files = harvested(fakes, tmp_path / "out")
    texts = [text.lower() for split in task.SPLITS for text, _, _ in rows_of(files, split)]
    assert any("error" in text for text in texts)  # what is left of AlphaError
    assert not any(name in text for text in texts for name in LABELS)
    assert all(name in corpus_of(files).lower() for name in LABELS)


@pytest.mark.parametrize(
    ("text", "stripped"),
    [
        ("numpy.linalg.norm of NumPy", "linalg.norm of "),
        ("np.array and a PyTorch tensor", "array and a  tensor"),
        ("isTorchFunction, __torch_function__", "isFunction, ___function__"),
        ("A Hugging Face repo, huggingface_hub", "A  repo, "),
        ("Jinja2's torchless input", "'s torchless input"),
        ("inputs, mpf, nxt, npz", "inputs, mpf, nxt, npz"),
    ],
)
def test_names_go_as_words_dotted_parts_and_parts_of_camel_case(text, stripped):
    pattern = task.name_pattern(["numpy", "torch", "huggingface-hub", "jinja2", "mpmath"])
    assert pattern.sub("", text) == stripped


def test_rows_are_neither_too_short_nor_too_long(fakes, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "MAX_ROW_WORDS", 17)
    files = harvested(fakes, tmp_path / "out")
    lengths = {len(text.split()) for split in task.SPLITS for text, _, _ in rows_of(files, split)}
    assert min(lengths) >= task.MIN_ROW_WORDS
    assert max(lengths) == 17


def test_labels_are_balanced_and_capped(fakes, tmp_path, monkeypatch):
    monkeypatch.setattr(task, "ROWS_PER_LABEL", {"train": 9, "validation": 4, "test": 7})
    files = harvested(fakes, tmp_path / "out")
    for split, number in task.ROWS_PER_LABEL.items():
        labels = [label for _, label, _ in rows_of(files, split)]
        assert {label: labels.count(label) for label in LABELS} == dict.fromkeys(LABELS, number)


def test_a_package_stops_at_its_cap(fakes, monkeypatch):
    monkeypatch.setattr(task, "MAX_PACKAGE_WORDS", 300)
    monkeypatch.setattr(task, "HAND", 2)
    words_per_module = max(each.num_words for each in task.read_documents(fakes[:1]))
    for fake in fakes:
        total = sum(each.num_words for each in task.read_documents([fake]))
        assert 300 <= total < 300 + 2 * words_per_module


def test_same_bytes_whatever_the_hash_seed_and_the_folder(tmp_path):
    program = (
        "import random, sys; from pathlib import Path\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "import test_demo_harvest as test, harvest, task\n"
        "task.LABELS = harvest.LABELS = test.LABELS\n"
        "here = Path(sys.argv[2]); rng = random.Random(5)\n"
        "fakes = [test.write_package(here / 'lib' / name, num_modules=n, rng=rng)"
        " for name, n in test.NUM_MODULES.items()]\n"
        "print(*test.harvested(fakes, here / 'out').items())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", program, str(Path(__file__).parent), str(tmp_path / hash_seed)],
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "23")
    ]
    assert len(runs[0]) > 10_000
    assert runs[0] == runs[1]


def test_an_output_is_up_to_date_refused_or_made(fakes, tmp_path):
    output = tmp_path / "out"
    recipe = harvest.recipe_of(fakes)
    assert not harvest.is_up_to_date(output, recipe)
    harvest.harvest(fakes, output)
    assert harvest.is_up_to_date(output, recipe)
    with pytest.raises(harvest.Refused, match=r"beta 1\.0 → 2\.0"):
        harvest.is_up_to_date(output, recipe | {"beta": "2.0"})
    with pytest.raises(harvest.Refused, match="no harvest made"):
        harvest.is_up_to_date(tmp_path / "lib", recipe)


def test_a_module_that_could_not_be_imported_is_read(tmp_path):
    path = tmp_path / "zeta.py"
    path.write_text(
        '"""Words of a module that fails as it is run."""\nimport no_such_module\n1 / 0\n'
    )
    module = Module(package="zeta", name="zeta", paths=(path,))
    assert packages.docstring_prose(module) == [["Words of a module that fails as it is run."]]
    assert "zeta" not in sys.modules


def test_a_module_and_its_stub_are_one_document(tmp_path):
    folder = tmp_path / "delta"
    folder.mkdir()
    (folder / "__init__.py").write_text('"""What the module says of itself here."""')
    (folder / "__init__.pyi").write_text('"""What the stub says of it there."""')
    package = Package(name="delta", version="3.1", roots=(folder,))
    (module,) = packages.modules(package)
    assert module == Module(
        package="delta",
        name="delta",
        paths=(folder / "__init__.py", folder / "__init__.pyi"),
    )
    assert packages.docstring_prose(module) == [
        ["What the module says of itself here."],
        ["What the stub says of it there."],
    ]


def test_docstrings_of_methods_and_coroutines_come_in_source_order(tmp_path):
    path = tmp_path / "epsilon.py"
    path.write_text(
        'async def first():\n    """The first one that the file has."""\n'
        'class Second:\n    """The second one that the file has."""\n'
        '    def third(self):\n        """The third one that the file has."""\n'
        'def fourth():\n    """Too short."""\n'
        'def fifth():\n    """The fifth one that the file has."""\n'
    )
    module = Module(package="epsilon", name="epsilon", paths=(path,))
    ordinals = [paragraph.split()[1] for (paragraph,) in packages.docstring_prose(module)]
    assert ordinals == ["first", "second", "third", "fifth"]


def test_the_standard_library_and_our_dependencies_are_found():
    found = {each.name: each for each in packages.installed_packages()}
    assert {"python", *packages.CORE} <= found.keys()
    assert {*task.LABELS} <= found.keys()
    assert "bertctl" not in found
    assert [root.name for root in found["click"].roots] == ["click"]
    names = {module.name for module in packages.modules(found["click"])}
    assert {"click", "click.core"} <= names
