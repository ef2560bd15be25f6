"""Our BERT computes what transformers' does: forward, losses and every gradient."""

from __future__ import annotations

import dataclasses
from typing import Literal

import pytest
import torch
import transformers
from torch import Tensor, nn

from bertctl.model.config import BertConfig
from bertctl.model.finetuning import (
    BertForMultipleChoice,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
)
from bertctl.model.pretraining import BertForPreTraining, PretrainingSums
from bertctl.model.tokens import pack_causal_batch, pad_tokens
from bertctl.model.weights import canonical_state_dict

from .model_batches import SMALL, padded_batch, randomise

TIGHT = {torch.float64: (1e-9, 1e-12), torch.float32: (1e-4, 1e-5)}


def peer_config(config: BertConfig, **others: object) -> transformers.BertConfig:
    return transformers.BertConfig(**{**config.to_dict(), **others}, attn_implementation="eager")


def load_from(model: nn.Module, peer: nn.Module) -> None:
    """Copy a peer's weights, strictly, and prove that every one of them came along."""
    state = canonical_state_dict(peer.state_dict())
    model.load_state_dict(state, strict=True)
    assert set(model.state_dict()) == set(state)


def assert_same_gradients(model: nn.Module, peer: nn.Module, *, dtype: torch.dtype) -> None:
    rtol, atol = TIGHT[dtype]
    expected = {name: parameter.grad for name, parameter in peer.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
        torch.testing.assert_close(
            parameter.grad, expected[name], rtol=rtol, atol=atol, msg=lambda m, n=name: f"{n}: {m}"
        )


def pretraining_pair(
    config: BertConfig, dtype: torch.dtype
) -> tuple[BertForPreTraining, transformers.BertForPreTraining]:
    peer = transformers.BertForPreTraining(peer_config(config)).to(dtype).eval()
    randomise(peer)
    model = BertForPreTraining(config).to(dtype).eval()
    load_from(model, peer)
    return model, peer


def mean_loss(sums: PretrainingSums) -> Tensor:
    return sums.mlm_loss_sum / sums.mlm_count + sums.nsp_loss_sum / sums.nsp_count


@pytest.mark.parametrize("form", ["padded", "packed"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_pretraining_losses_and_all_gradients_equal_transformers(
    form: str, dtype: torch.dtype
) -> None:
    rtol, atol = TIGHT[dtype]
    model, peer = pretraining_pair(SMALL, dtype)
    batch = padded_batch((5, 3))
    theirs = peer(**dataclasses.asdict(batch))
    theirs.loss.backward()

    ours = model(getattr(batch, form)())
    mean_loss(ours).backward()

    torch.testing.assert_close(mean_loss(ours), theirs.loss, rtol=rtol, atol=atol)
    assert ours.mlm_count == int((batch.labels != -100).sum())
    assert ours.nsp_count == 2
    masked = batch.labels != -100
    hits = theirs.prediction_logits.argmax(-1)[masked] == batch.labels[masked]
    assert int(ours.mlm_correct) == int(hits.sum())
    hits = theirs.seq_relationship_logits.argmax(-1) == batch.next_sentence_label
    assert int(ours.nsp_correct) == int(hits.sum())
    assert_same_gradients(model, peer, dtype=dtype)


@pytest.mark.parametrize("form", ["padded", "packed"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_masked_tokens_alone_and_all_gradients_equal_transformers(
    form: str, dtype: torch.dtype
) -> None:
    rtol, atol = TIGHT[dtype]
    peer = transformers.BertForMaskedLM(peer_config(SMALL)).to(dtype).eval()
    randomise(peer)
    model = BertForPreTraining(SMALL, objective="mlm").to(dtype).eval()
    load_from(model, peer)
    batch = padded_batch((5, 3))
    columns = dataclasses.asdict(batch)
    del columns["next_sentence_label"]
    theirs = peer(**columns)
    theirs.loss.backward()

    ours = model(getattr(batch, form)())
    (ours.mlm_loss_sum / ours.mlm_count).backward()

    torch.testing.assert_close(
        ours.mlm_loss_sum / ours.mlm_count, theirs.loss, rtol=rtol, atol=atol
    )
    assert (float(ours.nsp_loss_sum), int(ours.nsp_correct), ours.nsp_count) == (0, 0, 0)
    assert_same_gradients(model, peer, dtype=dtype)


@pytest.mark.parametrize("position_embedding_type", ["absolute", "sinusoidal"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_left_to_right_losses_and_all_gradients_equal_transformers(
    dtype: torch.dtype, position_embedding_type: Literal["absolute", "sinusoidal"]
) -> None:
    rtol, atol = TIGHT[dtype]
    config = dataclasses.replace(
        SMALL, is_decoder=True, position_embedding_type=position_embedding_type
    )
    peer = transformers.BertLMHeadModel(peer_config(config)).to(dtype).eval()
    randomise(peer)
    model = BertForPreTraining(config, objective="causal").to(dtype).eval()
    load_from(model, peer)
    batch = padded_batch((7, 4, 2))
    real = batch.attention_mask.bool()
    theirs = peer(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
    # Their loss would round to float32: it is taken by hand, of what follows each real token.
    predicting = real[:, 1:]
    loss = nn.functional.cross_entropy(
        theirs[:, :-1][predicting], batch.input_ids[:, 1:][predicting]
    )
    loss.backward()

    segment_a_lengths = ((batch.token_type_ids == 0) & real).sum(1)
    ours = model(pack_causal_batch(batch.input_ids[real], real.sum(1), segment_a_lengths))
    (ours.mlm_loss_sum / ours.mlm_count).backward()

    assert ours.mlm_count == 6 + 3 + 1
    torch.testing.assert_close(ours.mlm_loss_sum / ours.mlm_count, loss, rtol=rtol, atol=atol)
    assert_same_gradients(model, peer, dtype=dtype)
    logits, relationship = model.logits(batch.padded().tokens)
    assert relationship is None
    torch.testing.assert_close(logits.view(3, 7, -1)[real], theirs[real], rtol=rtol, atol=atol)


@pytest.mark.parametrize("hidden_act", ["gelu", "gelu_new", "gelu_pytorch_tanh", "relu"])
def test_pretraining_logits_equal_transformers_for_every_activation(hidden_act: str) -> None:
    config = dataclasses.replace(SMALL, hidden_act=hidden_act)
    model, peer = pretraining_pair(config, torch.float64)
    batch = padded_batch((4, 7, 2))
    theirs = peer(batch.input_ids, batch.attention_mask, batch.token_type_ids)

    prediction_logits, seq_relationship_logits = model.logits(batch.padded().tokens)

    real = batch.attention_mask.bool()
    torch.testing.assert_close(
        prediction_logits.view(3, 7, -1)[real],
        theirs.prediction_logits[real],
        rtol=1e-9,
        atol=1e-12,
    )
    torch.testing.assert_close(
        seq_relationship_logits, theirs.seq_relationship_logits, rtol=1e-9, atol=1e-12
    )


def test_logits_at_chosen_rows_are_those_rows_of_all_logits() -> None:
    model, _ = pretraining_pair(SMALL, torch.float64)
    batch = padded_batch((4, 7, 2)).packed()
    everywhere, _ = model.logits(batch.tokens)
    chosen, _ = model.logits(batch.tokens, batch.masked_rows)
    torch.testing.assert_close(chosen, everywhere[batch.masked_rows], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", ["padded", "packed"])
def test_sequence_classification_and_its_gradients_equal_transformers(form: str) -> None:
    peer = transformers.BertForSequenceClassification(peer_config(SMALL, num_labels=4))
    peer = peer.double().eval()
    randomise(peer)
    model = BertForSequenceClassification(SMALL, num_labels=4).double().eval()
    load_from(model, peer)
    batch = padded_batch((3, 6, 2))
    labels = torch.tensor([3, 0, 1])
    theirs = peer(batch.input_ids, batch.attention_mask, batch.token_type_ids, labels=labels)
    theirs.loss.backward()

    logits = model(getattr(batch, form)().tokens)
    nn.functional.cross_entropy(logits, labels).backward()

    torch.testing.assert_close(logits, theirs.logits, rtol=1e-9, atol=1e-12)
    assert_same_gradients(model, peer, dtype=torch.float64)


def test_token_classification_equals_transformers() -> None:
    peer = transformers.BertForTokenClassification(peer_config(SMALL, num_labels=4))
    peer = peer.double().eval()
    randomise(peer)
    model = BertForTokenClassification(SMALL, num_labels=4).double().eval()
    load_from(model, peer)
    batch = padded_batch((3, 6))
    theirs = peer(batch.input_ids, batch.attention_mask, batch.token_type_ids).logits
    ours = model(batch.padded().tokens).view(2, 6, 4)
    real = batch.attention_mask.bool()
    torch.testing.assert_close(ours[real], theirs[real], rtol=1e-9, atol=1e-12)


def test_question_answering_equals_transformers() -> None:
    peer = transformers.BertForQuestionAnswering(peer_config(SMALL)).double().eval()
    randomise(peer)
    model = BertForQuestionAnswering(SMALL).double().eval()
    load_from(model, peer)
    batch = padded_batch((3, 6))
    theirs = peer(batch.input_ids, batch.attention_mask, batch.token_type_ids)
    start, end = model(batch.padded().tokens)
    real = batch.attention_mask.bool()
    torch.testing.assert_close(
        start.view(2, 6)[real], theirs.start_logits[real], rtol=1e-9, atol=1e-12
    )
    torch.testing.assert_close(end.view(2, 6)[real], theirs.end_logits[real], rtol=1e-9, atol=1e-12)


def test_multiple_choice_equals_transformers() -> None:
    peer = transformers.BertForMultipleChoice(peer_config(SMALL)).double().eval()
    randomise(peer)
    model = BertForMultipleChoice(SMALL).double().eval()
    load_from(model, peer)
    batch = padded_batch((3, 6, 5, 2, 4, 6))
    grid = (2, 3, 6)
    theirs = peer(
        batch.input_ids.view(grid), batch.attention_mask.view(grid), batch.token_type_ids.view(grid)
    ).logits
    ours = model(batch.packed().tokens).view(2, 3)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_batch_without_token_types_is_one_segment() -> None:
    model, peer = pretraining_pair(SMALL, torch.float64)
    batch = padded_batch((4, 7))
    theirs = peer(batch.input_ids, batch.attention_mask).seq_relationship_logits
    _, ours = model.logits(pad_tokens(batch.input_ids, batch.attention_mask))
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
