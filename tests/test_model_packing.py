"""Sequences packed without padding give what each gives alone."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bertctl.model import varlen
from bertctl.model.config import BertConfig
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.tokens import Tokens, pack_causal_batch, pack_tokens, pad_tokens

from .model_batches import SMALL, padded_batch, randomise

# Whole packs and packs of many: with a lone token, and one that fills a pack to the last row.
LENGTHS = (32, 4, 4, 12, 1, 32, 17, *[9] * 9, 2, 8, 11)
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}


CAUSAL = dataclasses.replace(SMALL, is_decoder=True)
EITHER_WAY = pytest.mark.parametrize("config", [SMALL, CAUSAL], ids=["both ways", "causal"])


def build(dtype: torch.dtype, config: BertConfig = SMALL) -> BertForPreTraining:
    objective = "causal" if config.is_decoder else "mlm+nsp"
    model = BertForPreTraining(config, objective=objective).to(dtype).eval()
    randomise(model)
    return model


@EITHER_WAY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_packed_logits_equal_padded_logits(dtype: torch.dtype, config: BertConfig) -> None:
    model = build(dtype, config)
    batch = padded_batch(LENGTHS)
    padded, padded_nsp = model.logits(batch.padded().tokens)
    packed_tokens = batch.packed().tokens
    packed, packed_nsp = model.logits(packed_tokens)
    padded = padded.view(len(LENGTHS), 32, -1)
    for number, length in enumerate(LENGTHS):
        start = int(packed_tokens.layout.starts[number])
        torch.testing.assert_close(
            packed[start : start + length],
            padded[number, :length],
            rtol=0,
            atol=TOLERANCE[dtype],
        )
    if packed_nsp is not None:
        torch.testing.assert_close(packed_nsp, padded_nsp, rtol=0, atol=TOLERANCE[dtype])


@EITHER_WAY
def test_packed_gradients_equal_padded_gradients(config: BertConfig) -> None:
    batch = padded_batch(LENGTHS)
    models = [build(torch.float64, config), build(torch.float64, config)]
    for model, form in zip(models, (batch.padded(), batch.packed()), strict=True):
        sums = model(form)
        (sums.mlm_loss_sum + sums.nsp_loss_sum).backward()
    for (name, one), other in zip(
        models[0].named_parameters(), models[1].parameters(), strict=True
    ):
        torch.testing.assert_close(
            one.grad, other.grad, rtol=1e-9, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("micro_batch_size", [1, 8])
def test_gradient_does_not_depend_on_how_the_batch_is_cut(micro_batch_size: int) -> None:
    batch = padded_batch(LENGTHS)
    counts = (batch.labels != -100).sum(1)
    assert len(set(counts.tolist())) > 2  # unequal numbers of masked tokens, or this proves little
    num_masked = int(counts.sum())
    whole, cut = build(torch.float64), build(torch.float64)
    sums = whole(batch.packed())
    (sums.mlm_loss_sum / num_masked + sums.nsp_loss_sum / len(LENGTHS)).backward()
    for first in range(0, len(LENGTHS), micro_batch_size):
        sums = cut(batch.rows(first, first + micro_batch_size).packed())
        (sums.mlm_loss_sum / num_masked + sums.nsp_loss_sum / len(LENGTHS)).backward()
    for (name, one), other in zip(whole.named_parameters(), cut.parameters(), strict=True):
        torch.testing.assert_close(
            one.grad, other.grad, rtol=0, atol=1e-10, msg=lambda m, n=name: f"{n}: {m}"
        )


@EITHER_WAY
@pytest.mark.parametrize("changed", range(len(LENGTHS)))
def test_changing_one_sequence_leaves_its_neighbours_bit_for_bit(
    changed: int, config: BertConfig
) -> None:
    model = build(torch.float64, config)
    batch = padded_batch(LENGTHS)
    before_tokens = batch.packed().tokens
    before, _ = model.logits(before_tokens)
    batch.input_ids[changed, : LENGTHS[changed]] = 3
    after, _ = model.logits(batch.packed().tokens)
    moved = (before != after).any(dim=1)
    start = int(before_tokens.layout.starts[changed])
    own = torch.zeros_like(moved)
    own[start : start + LENGTHS[changed]] = True
    assert torch.equal(moved, own)


def test_no_two_sequences_share_a_row_and_none_crosses_a_pack() -> None:
    layout = padded_batch(LENGTHS).packed().tokens.layout
    owner = torch.full((layout.num_packs * layout.pack_length,), -1)
    for number, (start, length) in enumerate(zip(layout.starts.tolist(), LENGTHS, strict=True)):
        rows = slice(start, start + length)
        assert (owner[rows] == -1).all()
        owner[rows] = number
        assert start // layout.pack_length == (start + length - 1) // layout.pack_length


def test_packing_keeps_tokens_positions_and_segments() -> None:
    batch = padded_batch(LENGTHS)
    packed = batch.packed()
    tokens = packed.tokens
    for number, length in enumerate(LENGTHS):
        rows = slice(int(tokens.layout.starts[number]), int(tokens.layout.starts[number]) + length)
        assert torch.equal(tokens.input_ids[rows], batch.input_ids[number, :length])
        assert torch.equal(tokens.token_type_ids[rows], batch.token_type_ids[number, :length])
        assert torch.equal(tokens.position_ids[rows], torch.arange(length))
    padded = batch.padded()
    assert torch.equal(
        tokens.input_ids[packed.masked_rows], padded.tokens.input_ids[padded.masked_rows]
    )
    assert torch.equal(packed.masked_lm_ids, padded.masked_lm_ids)


def test_hardly_a_row_is_padding_and_whole_packs_are_not_masked() -> None:
    lengths = torch.tensor([128] * 90 + list(range(5, 125, 6)))
    tokens = pack_tokens(torch.ones(int(lengths.sum()), dtype=torch.int64), lengths)
    layout = tokens.layout
    assert tokens.num_tokens == int(lengths.sum())
    assert len(tokens.input_ids) == layout.num_packs * layout.pack_length
    assert len(tokens.input_ids) < 1.02 * tokens.num_tokens
    assert layout.apart is not None
    assert len(layout.apart) == layout.num_packs - 90


def test_batches_of_much_the_same_lengths_come_in_few_shapes() -> None:
    generator = torch.Generator().manual_seed(1)
    shapes: set[int] = set()
    for _ in range(50):
        lengths = torch.full((32,), 128)
        short = torch.rand(32, generator=generator) < 0.2
        lengths[short] = torch.randint(8, 128, (int(short.sum()),), generator=generator)
        tokens = pack_tokens(torch.ones(int(lengths.sum()), dtype=torch.int64), lengths)
        shapes.add(len(tokens.input_ids))
    assert len(shapes) < 8


@pytest.mark.parametrize("form", ["padded", "packed"])
def test_causal_attention_sees_no_later_token(form: str) -> None:
    model = build(torch.float64, CAUSAL)
    lengths = torch.tensor([6, 4])
    ids = torch.tensor([[7, 8, 9, 10, 11, 12], [13, 14, 15, 16, 0, 0]])

    def tokens() -> Tokens:
        if form == "padded":
            return pad_tokens(ids, (ids > 0).long())
        return pack_tokens(ids[ids > 0], lengths)

    before, _ = model.logits(tokens())
    ids[0, 3] = 99
    after, _ = model.logits(tokens())
    moved = (before != after).any(dim=1)[:6]
    assert moved.tolist() == [False, False, False, True, True, True]


def test_causal_batch_predicts_every_token_from_the_row_before_it() -> None:
    batch = padded_batch(LENGTHS)
    real = batch.attention_mask.bool()
    segment_a_lengths = ((batch.token_type_ids == 0) & real).sum(1)
    causal = pack_causal_batch(batch.input_ids[real], torch.tensor(LENGTHS), segment_a_lengths)
    masked = batch.packed().tokens
    assert torch.equal(causal.tokens.input_ids, masked.input_ids)
    assert torch.equal(causal.tokens.token_type_ids, masked.token_type_ids)
    assert causal.next_sentence_labels is None
    assert len(causal.masked_rows) == sum(LENGTHS) - len(LENGTHS)
    at = 0
    for number, length in enumerate(LENGTHS):
        here = slice(at, at + length - 1)
        start = int(causal.tokens.layout.starts[number])
        assert causal.masked_rows[here].tolist() == list(range(start, start + length - 1))
        assert torch.equal(causal.masked_lm_ids[here], batch.input_ids[number, 1:length])
        at = here.stop


@pytest.mark.parametrize(
    ("num_tokens", "lengths"), [(5, [2, 2]), (4, [4, 0]), (0, [])], ids=["sum", "empty", "none"]
)
def test_impossible_packing_is_refused(num_tokens: int, lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=r"lengths|packed"):
        pack_tokens(
            torch.ones(num_tokens, dtype=torch.int64), torch.tensor(lengths, dtype=torch.int64)
        )


def test_no_flash_kernel_without_a_gpu() -> None:
    rows = torch.zeros(32, 3 * 16, dtype=torch.bfloat16)
    assert not varlen.supports(rows, num_heads=2)


@EITHER_WAY
def test_flash_kernel_is_handed_every_sequence_as_it_lies(
    monkeypatch: pytest.MonkeyPatch, config: BertConfig
) -> None:
    # Stands in for torch.nn.attention.varlen.varlen_attn, which has no kernel for processors.
    def varlen_attn(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_seq_q: Tensor,
        cu_seq_k: Tensor,
        max_q: int,
        max_k: int,
        *,
        window_size: tuple[int, int],
    ) -> Tensor:
        assert cu_seq_q.dtype == cu_seq_k.dtype == torch.int32
        assert max_q == max_k == int(cu_seq_q.diff().max())
        parts = [
            F.scaled_dot_product_attention(
                *(each[begin:end].transpose(0, 1) for each in (query, key, value)),
                is_causal=window_size == (-1, 0),
            ).transpose(0, 1)
            for begin, end in itertools.pairwise(cu_seq_q.tolist())
        ]
        assert sum(len(part) for part in parts) == len(query)
        return torch.cat(parts)

    model = build(torch.float64, config)
    packed = padded_batch(LENGTHS).packed().tokens
    expected, _ = model.logits(packed)
    monkeypatch.setattr(varlen, "kernel", lambda: varlen_attn)
    monkeypatch.setattr(varlen, "supports", lambda *_, **__: True)
    torch.testing.assert_close(model.logits(packed)[0], expected, rtol=0, atol=1e-10)
