"""Our count of useful arithmetic, against torch's counting of what really ran."""

from __future__ import annotations

import dataclasses

import torch
from torch.utils.flop_counter import FlopCounterMode

from bertctl.model.flops import training_step_flops
from bertctl.model.pretraining import BertForPreTraining
from bertctl.model.weights import initialise

from .model_batches import SMALL, padded_batch

QUIET = dataclasses.replace(SMALL, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)


def test_useful_flops_are_what_an_unpadded_step_computes() -> None:
    # Lengths and masked tokens that fill packs and kernels to the last row.
    lengths = (32, 32, 32)
    batch = padded_batch(lengths, config=QUIET, masked=32).packed()
    model = BertForPreTraining(QUIET)
    initialise(model, QUIET, seed=1)
    with FlopCounterMode(display=False) as counter:
        sums = model(batch)
        (sums.mlm_loss_sum + sums.nsp_loss_sum).backward()
    assert counter.get_total_flops() == training_step_flops(
        QUIET,
        num_tokens=sum(lengths),
        sum_squared_lengths=sum(length**2 for length in lengths),
        num_masked=len(batch.masked_rows),
        num_sequences=len(lengths),
    )


def test_left_to_right_step_counts_each_pair_of_tokens_once() -> None:
    lengths = (7, 3)
    seen = {
        is_decoder: training_step_flops(
            dataclasses.replace(QUIET, is_decoder=is_decoder),
            num_tokens=sum(lengths),
            sum_squared_lengths=sum(length**2 for length in lengths),
            num_masked=4,
            num_sequences=0,
        )
        for is_decoder in (True, False)
    }
    pairs_of_a_token_with_a_later_one = 21 + 3
    per_pair = 3 * 2 * QUIET.num_hidden_layers * 2 * QUIET.hidden_size
    assert seen[False] - seen[True] == pairs_of_a_token_with_a_later_one * per_pair


def test_padding_adds_work_that_is_not_useful() -> None:
    batch = padded_batch((31, 9, 20), config=QUIET)
    model = BertForPreTraining(QUIET)
    counts = []
    for form in (batch.padded(), batch.packed()):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(form)
        counts.append(counter.get_total_flops())
    assert counts[0] > counts[1]
