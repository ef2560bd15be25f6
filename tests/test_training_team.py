"""Several processes train as one: the same gradients, whoever computes which part."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bertctl.pipeline.errors import BadInput
from bertctl.pipeline.training.place import Place

from .pretrain_toys import write_shards
from .teams import torchrun

pytestmark = pytest.mark.slow

ADDRESS = {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
GRADIENTS = """
import os, sys
from pathlib import Path
import torch
from bertctl.model.config import BertConfig
from bertctl.model.dropout import DropoutKey
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise
from bertctl.pipeline.training.gradient_sum import GradientSum
from bertctl.pipeline.training.place import Place
from bertctl.pipeline.training.team import Meeting, leave
from tests.pretrain_toys import course_over

shards, output, micro_batch_size, dropout, bucket_bytes = sys.argv[1:]
torch.set_num_threads(1)
place = Place.of_environment(os.environ)
if place.size > 1:
    meeting = Meeting(place)
    if place.leads:
        meeting.call()
    else:
        assert meeting.is_called()
    meeting.join(torch.device("cpu"))
config = BertConfig(
    vocab_size=90, hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
    intermediate_size=48, hidden_dropout_prob=float(dropout),
    attention_probs_dropout_prob=float(dropout),
)
model = BertForPreTraining(config)
initialise(model, config, seed=2)
model.double().train()
course = course_over(
    sorted(Path(shards).glob("train-*.arrow")), config, copies=2,
    micro_batch_size=int(micro_batch_size), place=place,
)
batch = course.batch(3)
gradient_sum = None
if place.size > 1:
    gradient_sum = GradientSum(model.parameters(), bucket_bytes=int(bucket_bytes))
    gradient_sum.begin()
for micro_batch in batch:
    if gradient_sum is not None and micro_batch is batch[-1]:
        gradient_sum.expect_last()
    loss, _ = course.loss(model, micro_batch, DropoutKey(1, 3, micro_batch.position))
    loss.backward()
if gradient_sum is not None:
    gradient_sum.finish()
torch.save({name: each.grad for name, each in model.named_parameters()}, f"{output}.{place.rank}")
leave()
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"))


def gradients(
    shards: Path, place: Path, *, processes: int, micro_batch_size: int, dropout: float = 0.0
) -> list[dict[str, torch.Tensor]]:
    """Return the gradients that each of so many processes has after one step."""
    script = place / "gradients.py"
    script.write_text(GRADIENTS)
    output = place / f"{processes}-{micro_batch_size}-{dropout}"
    arguments = [str(script), str(shards), str(output), str(micro_batch_size), str(dropout), "9000"]
    command = [sys.executable, *arguments] if processes == 1 else torchrun(processes, arguments)
    here = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    ended = subprocess.run(command, capture_output=True, text=True, env=here, check=False)
    assert ended.returncode == 0, ended.stderr
    return [torch.load(f"{output}.{rank}", weights_only=True) for rank in range(processes)]


def assert_alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, gradient in one.items():
        torch.testing.assert_close(gradient, other[name], rtol=1e-10, atol=1e-12)


def test_gradient_is_the_same_on_any_number_of_processes(shards: Path, tmp_path: Path) -> None:
    (alone,) = gradients(shards, tmp_path, processes=1, micro_batch_size=11)
    for processes, micro_batch_size in ((2, 4), (3, 1), (3, 8)):
        each = gradients(shards, tmp_path, processes=processes, micro_batch_size=micro_batch_size)
        for rank in range(processes):
            assert_alike(each[rank], alone)
        # All of them clip and step by the same numbers, to the bit.
        for name, gradient in each[0].items():
            assert all(torch.equal(gradient, other[name]) for other in each[1:])


def test_same_micro_batches_drop_the_same_units_on_any_number_of_processes(
    shards: Path, tmp_path: Path
) -> None:
    alone, two, three = (
        gradients(shards, tmp_path, processes=each, micro_batch_size=3, dropout=0.2)[0]
        for each in (1, 2, 3)
    )
    assert_alike(two, alone)
    assert_alike(three, alone)
    (otherwise,) = gradients(shards, tmp_path, processes=1, micro_batch_size=3, dropout=0.3)
    assert not torch.allclose(next(iter(otherwise.values())), next(iter(alone.values())))


@pytest.mark.parametrize(
    "variables",
    [
        {"WORLD_SIZE": "2", **ADDRESS, "RANK": "2"},
        {"WORLD_SIZE": "2", **ADDRESS, "RANK": "-1"},
        {"WORLD_SIZE": "2", "RANK": "1"},
        {"WORLD_SIZE": "2", **ADDRESS},
        {"WORLD_SIZE": "2", **ADDRESS, "RANK": "1", "MASTER_PORT": "x"},
        {"WORLD_SIZE": "two"},
        {"WORLD_SIZE": "0"},
    ],
)
def test_environment_that_makes_no_sense_is_refused(variables: dict[str, str]) -> None:
    with pytest.raises(BadInput, match="The environment says"):
        Place.of_environment(variables)
