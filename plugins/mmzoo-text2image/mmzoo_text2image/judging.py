"""Asks a needed model in batches, with errors in words. Light."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmzoo import DataError, suggest

BATCH = 64
"""Raw values that are answered at a time."""


def judge_name(judge: Any) -> str:
    """Returns the name of a needed model, also where a metric gets the name alone, without the model."""
    return judge if isinstance(judge, str) else str(judge.name)


def ask(judge: Any, who: str, signature: str, outputs: Sequence[str], **raw: list[Any]) -> list[np.ndarray]:
    """Answers any number of raw values with a needed model.

    Args:
        judge: The needed model: `judge(signature, **raw)` returns output name -> array.
        who: The subject of error messages: the metric.
        signature: The signature that answers.
        outputs: The names of the outputs to return.
        raw: Input of the signature -> raw values, at least one.

    Returns:
        Each output of all values, `(values, ...)`, in the order of `outputs`.

    Raises:
        DataError: The model has no such signature or output, or cannot read a value.
    """
    number = len(next(iter(raw.values())))
    batches = [
        _ask_batch(judge, who, signature, outputs, {name: values[start : start + BATCH] for name, values in raw.items()})
        for start in range(0, number, BATCH)
    ]
    return [np.concatenate(parts) for parts in zip(*batches, strict=True)]


def _ask_batch(judge: Any, who: str, signature: str, outputs: Sequence[str], raw: dict[str, list[Any]]) -> list[np.ndarray]:
    try:
        answers = judge(signature, **raw)
    except KeyError as error:
        what = f"{who} asks the model '{judge.name}' for the signature '{signature}', and it has no {error}"
        raise DataError(f"{what}. Set the metric's `signature` and `input` to what the model serves.") from error
    for output in outputs:
        if output not in answers:
            what = f"{who} needs the output '{output}' of '{signature}' of the model '{judge.name}', which it does not have"
            raise DataError(f"{what}. {suggest(output, answers)}".rstrip())
    readable = np.asarray(answers.get("ok", True))
    if not readable.all():
        reason = answers.get("reason", [b""] * readable.size)[int(np.argmin(readable))]
        reason = reason.decode() if isinstance(reason, bytes) else reason
        raise DataError(f"{who} gives the model '{judge.name}' a value that it cannot read: {reason}.")
    return [np.asarray(answers[output]) for output in outputs]
