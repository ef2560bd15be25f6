"""What says which model is built: a size, a configuration file, or a stored model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import BadInput


def refuse_two_shapes(*, names_model: bool, config: Path | None, init: Path | None) -> None:
    """Raise `BadInput` where more than one of them is given; `names_model`: --model is."""
    if config is not None and names_model:
        raise BadInput(
            "--model and --config both say what to build; expected one of them.",
            hint="--config describes the whole model; single settings, such as "
            "--num-hidden-layers 4, go with either.",
        )
    if init is not None and (config is not None or names_model):
        raise BadInput(
            f"--init and {'--model' if config is None else '--config'} both say what the model is; "
            "expected one of them.",
            hint="A stored model has a shape of its own.",
        )


def read_config(path: Path) -> dict[str, Any]:
    """Read a model's configuration.

    Raises:
        BadInput: there is none.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise BadInput(f"{path} isn't JSON: {error}.") from error
    if not isinstance(content, dict):
        raise BadInput(f"{path} holds no JSON object; expected a model's config.json.")
    return content
