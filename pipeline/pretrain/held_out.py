"""The held-out instances of a run: what the model scores on them, and what no model has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...model.config import Objective
from ...model.pretraining import BertForPreTraining, PretrainingSums
from ..training.loop import naming_micro_batches
from ..training.team import Team
from .course import deal, has_pairs, pack
from .instances import Instances, Integers, offsets_of
from .reading import ShardSet

_INSTANCES = 4096
"""The first rows of the validation shards, which were permuted when they were written."""
_MASKED = 0.15
"""Whatever share is masked for training, losses are told at BERT's own, to compare runs by."""


@dataclass(frozen=True)
class HeldOut:
    """The instances of every evaluation, and what is measured on them."""

    instances: Instances
    objective: Objective

    @property
    def num_pairs(self) -> int:
        """How many instances have a label that the model is to guess."""
        return len(self.instances) if has_pairs(self.objective) else 0

    @naming_micro_batches()
    @torch.no_grad()
    def evaluate(
        self, model: BertForPreTraining, *, micro_batch_size: int, team: Team
    ) -> dict[str, float]:
        """Return losses in nats and accuracies, masked tokens and next sentence apart."""
        model.eval()
        totals = torch.zeros(5, dtype=torch.float64)
        for _, rows in deal(self.instances.lengths, micro_batch_size, team.place):
            batch = pack(self.instances.take(rows), self.objective)
            sums: PretrainingSums = model(batch.to(team.device))
            totals += torch.tensor(
                [
                    float(sums.mlm_loss_sum),
                    float(sums.mlm_correct),
                    float(sums.nsp_loss_sum),
                    float(sums.nsp_correct),
                    float(sums.mlm_count),
                ],
                dtype=torch.float64,
            )
        mlm_loss, mlm_correct, nsp_loss, nsp_correct, predicted = team.add_up(totals).tolist()
        measured = {"mlm_loss": mlm_loss / predicted, "mlm_accuracy": mlm_correct / predicted}
        if self.num_pairs:
            measured["nsp_loss"] = nsp_loss / self.num_pairs
            measured["nsp_accuracy"] = nsp_correct / self.num_pairs
        return measured

    def baseline(self) -> dict[str, float]:
        """Return what a model scores that knows word counts only, and one that tosses a coin."""
        counts = np.bincount(self._predicted())
        shares = counts[counts > 0] / counts.sum()
        scores = {
            "mlm_loss": float(-(shares * np.log(shares)).sum()),
            "mlm_accuracy": float(shares.max()),
        }
        if self.num_pairs:
            scores |= {"nsp_loss": float(np.log(2)), "nsp_accuracy": 0.5}
        return scores

    def _predicted(self) -> Integers:
        """Return the ids that are to be predicted."""
        if self.objective != "causal":
            return self.instances.masked_lm_ids
        firsts = offsets_of(self.instances.lengths)[:-1]
        return np.delete(self.instances.unmasked().input_ids, firsts)


def held_out(
    shards: ShardSet, objective: Objective, *, masked_lm_prob: float, whole_words: bool
) -> HeldOut | None:
    """Read what was held out; None where nothing was.

    Where more was masked than BERT's 15 %, the text is put back over the rest, unless words are
    masked whole.
    """
    if not len(shards):
        return None
    instances = shards.read(np.arange(min(len(shards), _INSTANCES)))
    if masked_lm_prob > _MASKED and not whole_words:
        instances = instances.masked_at_most(_MASKED, seed=0)
    return HeldOut(instances, objective)
