"""Scores and history -> files and a page that a person can look at."""

import json
from typing import Any

from mmzoo.data import Data
from mmzoo.evaluate import Scores
from mmzoo.plan import Plan
from mmzoo.run import Run, write_json, write_text
from mmzoo.serving import Served


def report(plan: Plan, run: Run, served: Served, data: Data, scores: Scores) -> None:
    """Writes `scores.json`, `answers.jsonl`, `report.html` and the model card of a run."""
    write_json(run.scores, scores.flat())
    write_text(run.answers, "".join(json.dumps(row, ensure_ascii=False, default=_listed) + "\n" for row in scores.rows))


def _listed(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else repr(value)
