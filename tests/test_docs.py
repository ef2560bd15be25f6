import re
import runpy
import subprocess
import sys
from pathlib import Path

from bertctl.pipeline.shard.settings import InstanceSettings
from bertctl.pipeline.shard.stage import ShardRequest, shard
from bertctl.pipeline.stage.report import Silent

from .corpora import write_corpus, write_vocabulary

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_reference_says_what_the_settings_say() -> None:
    module = runpy.run_path(str(DOCS / "reference.py"))
    assert module["page"]() == (DOCS / "reference.md").read_text(), "run: make docs"


def test_ten_lines_of_pyarrow_read_a_shard(tmp_path: Path) -> None:
    request = ShardRequest(
        inputs=(str(write_corpus(tmp_path / "corpus", files=2)),),
        vocab=write_vocabulary(tmp_path / "vocab.txt"),
        instances=InstanceSettings(max_seq_length=40, dupe_factor=1),
    )
    shard(request, tmp_path / "out", reporter=Silent())
    (program,) = re.findall(r"```python\n(.*?)```", (DOCS / "shards.md").read_text(), re.S)
    (tmp_path / "read.py").write_text(program)
    name = "train-00000-of-00001.arrow"
    command = [sys.executable, str(tmp_path / "read.py"), str(tmp_path / "out"), name]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    first, size = said.strip().split("\n")
    assert re.fullmatch(r"\[CLS\] .* \[SEP\] .* \[SEP\] (next|random)", first)
    assert "[MASK]" not in first
    assert int(size) == len(write_vocabulary(tmp_path / "again.txt").read_text().split("\n")) - 1
