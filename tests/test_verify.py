import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.stage.report import Silent
from bertctl.pipeline.verify.verify import PROOFS, verify
from bertctl.pipeline.vocab.request import VocabRequest
from bertctl.pipeline.vocab.settings import VocabHow, VocabSettings
from bertctl.pipeline.vocab.stage import vocab

from .corpora import write_corpus
from .test_verify_shards import failures, sign

BERTCTL = [sys.executable, "-m", "bertctl"]
PIPELINE = Path(__file__).resolve().parent.parent / "pipeline"


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("vocabulary")
    request = VocabRequest(
        inputs=(str(write_corpus(place / "corpus", files=7, per_file=31)),),
        vocab=VocabSettings(vocab_size=97, unused_tokens=3, special_token=("[NAME]",)),
        how=VocabHow(workers=1),
    )
    vocab(request, place / "vocab", reporter=Silent())
    return place / "vocab"


def test_vocabulary_as_it_is_written_is_proven(vocabulary: Path) -> None:
    verdict = verify(vocabulary, reporter=Silent())
    assert failures(verdict) == set()
    assert "held-out fertility" in {each.name for each in verdict.checks}


def swap_two_tokens(directory: Path) -> str:
    tokens = (directory / "vocab.txt").read_text().split("\n")
    tokens[40], tokens[41] = tokens[41], tokens[40]
    (directory / "vocab.txt").write_text("\n".join(tokens))
    return "vocab.txt"


def repeat_a_token(directory: Path) -> str:
    tokens = (directory / "vocab.txt").read_text().split("\n")
    tokens[40] = tokens[41]
    (directory / "vocab.txt").write_text("\n".join(tokens))
    return "vocab.txt"


def keep_capitals(directory: Path) -> str:
    path = directory / "tokenizer.json"
    content = json.loads(path.read_text())
    content["normalizer"]["lowercase"] = False
    path.write_text(json.dumps(content))
    return "tokenizer.json"


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (swap_two_tokens, "tokens with the same id in tokenizer.json"),
        (repeat_a_token, "different tokens"),
        (keep_capitals, "tokenizer.json: lowercase"),
        (keep_capitals, "held-out unknown rate"),
    ],
)
def test_fault_in_a_vocabulary_is_found_though_the_checksums_are_right(
    vocabulary: Path, tmp_path: Path, fault: object, name: str
) -> None:
    output = shutil.copytree(vocabulary, tmp_path / "bad")
    assert callable(fault)
    sign(output, fault(output))
    assert name in failures(verify(output, reporter=Silent()))


def test_file_that_the_manifest_has_no_right_to_list_is_named(
    vocabulary: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(vocabulary, tmp_path / "bad")
    (output / "notes.md").write_text("mine")
    sign(output, "notes.md")
    assert failures(verify(output, reporter=Silent())) == {"notes.md"}


def test_unfinished_directory_says_how_far_it_is(tmp_path: Path) -> None:
    (tmp_path / "out" / ".bertctl" / "units").mkdir(parents=True)
    recipe = {"kind": "bertctl recipe", "stage": "shard"}
    (tmp_path / "out" / "recipe.json").write_text(json.dumps(recipe))
    for number in range(3):
        (tmp_path / "out" / ".bertctl" / "units" / f"{number}.json").write_text("{}")
    with pytest.raises(BadInput, match="isn't finished: `bertctl shard` began it, and 3 pieces"):
        verify(tmp_path / "out", reporter=Silent())


@pytest.mark.parametrize("content", ["", "{", '{"kind": "bertctl manifest", "files": 3}'])
def test_damaged_manifest_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(BadInput, match=r"manifest\.json is damaged"):
        verify(tmp_path, reporter=Silent())


def test_manifest_of_another_version_leaves_the_content_unproven_and_is_no_success(
    vocabulary: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(vocabulary, tmp_path / "old")
    manifest = json.loads((output / "manifest.json").read_text())
    del manifest["statistics"]["vocab_size"]
    (output / "manifest.json").write_text(json.dumps(manifest))
    verdict = verify(output, reporter=Silent())
    assert failures(verdict) == set()
    assert "doesn't tell vocab_size" in verdict.unjudged
    assert not verdict.ok


def test_directory_of_somebody_else_s_is_no_directory_of_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(BadInput, match="it isn't bertctl's"):
        verify(tmp_path, reporter=Silent())


def test_proof_uses_no_code_of_the_writers() -> None:
    for path in (PIPELINE / "verify").glob("*.py"):
        imports = [line for line in path.read_text().split("\n") if line.startswith("from ..")]
        allowed = ("from ..errors", "from ..stage.report")
        assert all(line.startswith(allowed) for line in imports), path


def test_every_stage_has_its_proof_or_checksums_at_least() -> None:
    from bertctl.cli.main import STAGES

    assert PROOFS.keys() == {*STAGES, "export"}


def test_directory_elsewhere_is_refused_with_a_way_out() -> None:
    command = [*BERTCTL, "verify", "s3://bucket/shards"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "s3://bucket/shards is elsewhere" in done.stderr


def test_command_ends_with_0_where_all_holds_and_with_2_where_something_does_not(
    vocabulary: Path, tmp_path: Path
) -> None:
    def run(directory: Path) -> tuple[int, dict[str, object], str]:
        command = [*BERTCTL, "verify", str(directory), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, json.loads(done.stdout), done.stderr

    code, verdict, _ = run(vocabulary)
    assert (code, verdict["ok"], verdict["stage"]) == (0, True, "vocab")
    output = shutil.copytree(vocabulary, tmp_path / "bad")
    (output / "vocab.txt").unlink()
    code, verdict, said = run(output)
    assert (code, verdict["ok"]) == (2, False)
    assert "vocab.txt" in said
