"""Where things stand in a model directory, in Hugging Face's layout; nothing heavy is imported."""

from __future__ import annotations

from pathlib import Path

MODEL = "model"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
OLD_WEIGHTS = "pytorch_model.bin"
"""What models had before safetensors; read, never written."""
TOKENIZER_FILES = (
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)

MODEL_FILES = (CONFIG, WEIGHTS, *TOKENIZER_FILES)

CHECKPOINT = "checkpoints/step-[0-9]*"
CHECKPOINT_FILES = (
    f"{CHECKPOINT}/checkpoint.json",
    f"{CHECKPOINT}/optimizer.safetensors",
    *(f"{CHECKPOINT}/{MODEL}/{name}" for name in MODEL_FILES),
)
"""What every checkpoint of a run holds, as patterns."""


def weights_name(directory: Path) -> str:
    """Return the name of the file that has, or should have, a model's weights."""
    is_old = not (directory / WEIGHTS).is_file() and (directory / OLD_WEIGHTS).is_file()
    return OLD_WEIGHTS if is_old else WEIGHTS


def model_directory(path: Path) -> Path:
    """Return where the model stands that `path` means: a run, a checkpoint, or a model itself."""
    return path / MODEL if (path / MODEL / CONFIG).is_file() else path
