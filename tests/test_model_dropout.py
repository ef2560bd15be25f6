"""Dropout: right in distribution, and a function of its key alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from bertctl.model import attention
from bertctl.model import dropout as module
from bertctl.model.dropout import DropoutKey, draw_keep, dropout
from bertctl.model.finetuning import BertForSequenceClassification
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise

from .model_batches import SMALL, padded_batch

KEY = DropoutKey(seed=1, step=2, position=3)
N = 1_000_003


def kept(prob: float, *, key: DropoutKey = KEY, site: str = "here") -> Tensor:
    return dropout(torch.ones(N), prob, key=key, site=site) != 0


@pytest.mark.parametrize("prob", [0.1, 0.5, 0.013])
def test_kept_share_is_one_minus_the_probability(prob: float) -> None:
    deviation = (prob * (1 - prob) / N) ** 0.5
    assert abs(float(kept(prob).double().mean()) - (1 - prob)) < 5 * deviation


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
def test_kept_elements_are_scaled_so_that_the_mean_stays(dtype: torch.dtype) -> None:
    dropped = dropout(torch.full((N,), 3.0, dtype=dtype), 0.1, key=KEY, site="here")
    values = dropped[dropped != 0].double()
    assert float(values.mean()) == pytest.approx(3 / 0.9, rel=2**-8)
    assert float(dropped.double().mean()) == pytest.approx(3, rel=5e-3)


def test_gradient_is_zero_exactly_where_the_value_is() -> None:
    x = torch.ones(N, requires_grad=True)
    y = dropout(x, 0.1, key=KEY, site="here")
    y.sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, y.detach())


def test_same_key_and_site_drop_the_same_units() -> None:
    torch.manual_seed(1)
    one = kept(0.1)
    torch.manual_seed(2)
    assert torch.equal(one, kept(0.1))


@pytest.mark.parametrize(
    ("key", "site"),
    [
        (KEY, "there"),
        (dataclasses.replace(KEY, seed=2), "here"),
        (dataclasses.replace(KEY, step=3), "here"),
        (dataclasses.replace(KEY, position=4), "here"),
        (DropoutKey(seed=12, step=3, position=0), "here"),
    ],
)
def test_another_key_or_site_drops_independently(key: DropoutKey, site: str) -> None:
    one, other = kept(0.1).double(), kept(0.1, key=key, site=site).double()
    correlation = float(torch.corrcoef(torch.stack([one, other]))[0, 1])
    assert abs(correlation) < 5 / N**0.5


def test_neighbouring_units_drop_independently() -> None:
    mask = kept(0.1).double()
    for distance in (1, 2, 7, 8, 16, 64, 128):
        pair = torch.stack([mask[distance:], mask[:-distance]])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / N**0.5, distance


def test_blocks_of_one_draw_are_independent_and_the_same_for_any_number_of_threads() -> None:
    size = torch.Size([3, 1 << 20])
    before = torch.get_num_threads()
    drawn: list[Tensor] = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        drawn.append(draw_keep(size, 0.1, key=KEY, site="here", device=torch.device("cpu")))
    torch.set_num_threads(before)
    assert torch.equal(drawn[0], drawn[1])
    correlations = torch.corrcoef(drawn[0].double()) - torch.eye(3)
    assert float(correlations.abs().max()) < 5 / size[1] ** 0.5


def test_what_a_gpu_draws_for_itself_is_as_likely_and_comes_again_with_its_seed() -> None:
    # The code is the same on every device; without a GPU it can be tried on this one.
    def drawn(seed: int) -> Tensor:
        return module._drawn_by(torch.device("cpu"), torch.Size([7, N]), 0.1, seed=seed)

    keep = drawn(3)
    assert keep.dtype == torch.uint8
    assert set(keep.unique().tolist()) == {0, 1}
    assert float(keep.double().mean()) == pytest.approx(0.9, abs=5 * 0.3 / (7 * N) ** 0.5)
    assert torch.equal(keep, drawn(3))
    pair = torch.stack([keep.double().view(-1), drawn(2**64 - 1).double().view(-1)])
    assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / (7 * N) ** 0.5


def test_nothing_drops_without_a_key_or_at_probability_zero() -> None:
    x = torch.ones(7)
    assert dropout(x, 0.9, key=None, site="here") is x
    assert dropout(x, 0.0, key=KEY, site="here") is x


def trained_model() -> BertForPreTraining:
    model = BertForPreTraining(SMALL)
    initialise(model, SMALL, seed=1)
    return model


def loss(model: BertForPreTraining, key: DropoutKey | None) -> float:
    return float(model(padded_batch((13, 5, 9)).packed(), key).mlm_loss_sum.detach())


def test_model_drops_by_its_key_while_training_and_not_at_all_in_evaluation() -> None:
    model = trained_model()
    assert loss(model, KEY) == loss(model, KEY)
    assert loss(model, KEY) != loss(model, dataclasses.replace(KEY, step=9))
    model.eval()
    assert loss(model, KEY) == loss(model, None)


def test_training_without_a_key_is_refused_unless_nothing_drops() -> None:
    with pytest.raises(ValueError, match="DropoutKey"):
        loss(trained_model(), None)
    quiet = dataclasses.replace(SMALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    assert loss(BertForPreTraining(quiet), None) > 0


def test_every_place_the_paper_names_drops_by_a_draw_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sites: list[str] = []

    def recorded(
        shape: torch.Size, prob: float, *, key: DropoutKey, site: str, device: torch.device
    ) -> Tensor:
        sites.append(site)
        return draw_keep(shape, prob, key=key, site=site, device=device)

    monkeypatch.setattr(module, "draw_keep", recorded)
    monkeypatch.setattr(attention, "draw_keep", recorded)
    model = BertForSequenceClassification(SMALL, num_labels=4)
    model(padded_batch((13, 13)).packed().tokens, KEY)
    assert sites == [
        "embeddings",
        "layer 0 attention",
        "layer 0 attention output",
        "layer 0 output",
        "layer 1 attention",
        "layer 1 attention output",
        "layer 1 output",
        "classifier",
    ]


@pytest.mark.parametrize("name", ["hidden_dropout_prob", "attention_probs_dropout_prob"])
def test_each_dropout_setting_takes_effect_by_itself(name: str) -> None:
    other = {"hidden_dropout_prob", "attention_probs_dropout_prob"} - {name}
    config = dataclasses.replace(SMALL, **dict.fromkeys(other, 0.0))
    model = BertForPreTraining(config)
    initialise(model, config, seed=1)
    dropped = loss(model, KEY)
    model.eval()
    assert dropped != loss(model, None)
