"""BERT with the heads of fine-tuning (Devlin et al. 2018, section 4), each returning its logits.

B sequences, T token rows, H hidden.
"""

from __future__ import annotations

from torch import Tensor, nn

from .config import BertConfig
from .dropout import DropoutKey, dropout
from .encoder import BertModel
from .layers import Linear
from .precision import Precision
from .tokens import Tokens


class BertForSequenceClassification(nn.Module):
    """One vector of scores for each sequence (or pair); one score is a regression."""

    def __init__(
        self, config: BertConfig, *, num_labels: int, precision: Precision = "float32"
    ) -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config, precision=precision)
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Return logits (B, num_labels), float32, in the order the batch was given."""
        return _classify(self, self.bert.pooled(tokens, key), key)


class BertForMultipleChoice(nn.Module):
    """One score for each sequence; a question's choices are sequences, compared by softmax."""

    def __init__(self, config: BertConfig, *, precision: Precision = "float32") -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config, precision=precision)
        self.classifier = Linear(config.hidden_size, 1)

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Return logits (B,), float32, in the order the batch was given."""
        return _classify(self, self.bert.pooled(tokens, key), key).squeeze(-1)


class BertForTokenClassification(nn.Module):
    """One vector of scores for each token."""

    def __init__(
        self, config: BertConfig, *, num_labels: int, precision: Precision = "float32"
    ) -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config, precision=precision, pooler=False)
        self.classifier = Linear(config.hidden_size, num_labels)

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> Tensor:
        """Return logits (T, num_labels), float32, row by row."""
        return _classify(self, self.bert(tokens, key), key)


class BertForQuestionAnswering(nn.Module):
    """For each token, how likely an answer starts there and ends there."""

    def __init__(self, config: BertConfig, *, precision: Precision = "float32") -> None:
        super().__init__()
        self.config = config
        self.bert = BertModel(config, precision=precision, pooler=False)
        self.qa_outputs = Linear(config.hidden_size, 2)

    def forward(self, tokens: Tokens, key: DropoutKey | None = None) -> tuple[Tensor, Tensor]:
        """Return start logits and end logits, (T,) each, float32, row by row."""
        hidden_states = self.bert(tokens, key)
        start, end = self.qa_outputs(hidden_states.to(self.qa_outputs.weight.dtype)).unbind(-1)
        return start, end


def _classify(
    model: BertForSequenceClassification | BertForMultipleChoice | BertForTokenClassification,
    features: Tensor,
    key: DropoutKey | None,
) -> Tensor:
    return classify(features, model.classifier, model.config, key=key if model.training else None)


def classify(
    features: Tensor, classifier: Linear, config: BertConfig, *, key: DropoutKey | None
) -> Tensor:
    """Drop units of features (…, H) and map them to (…, labels), in the classifier's precision."""
    prob = config.classifier_dropout
    features = dropout(
        features.to(classifier.weight.dtype),
        config.hidden_dropout_prob if prob is None else prob,
        key=key,
        site="classifier",
    )
    return classifier(features)


def rescaled_head(
    state: dict[str, Tensor], head: str, *, scale: float, shift: float
) -> dict[str, Tensor]:
    """Return weights whose head gives `scale` times its output plus `shift`, computed in float64.

    `head` is how the names of its weight and bias begin.
    """
    weight, bias = f"{head}weight", f"{head}bias"
    return {
        **state,
        weight: (state[weight].double() * scale).to(state[weight].dtype),
        bias: (state[bias].double() * scale + shift).to(state[bias].dtype),
    }
