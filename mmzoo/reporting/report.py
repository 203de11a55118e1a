"""Scores, history -> `scores.json`, `answers.jsonl`, the report page and the model card."""

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import jinja2
import numpy as np

from mmzoo.contracts.processor import Processor
from mmzoo.data.splits import Data
from mmzoo.evaluation import error_analysis
from mmzoo.evaluation.scores import CHANCE, Scores, missing_table, score_table
from mmzoo.recipe.plan import Plan
from mmzoo.reporting import curves, generated, samples
from mmzoo.run.atomic import replacing, write_json, write_text
from mmzoo.run.folder import Run
from mmzoo.serving.predict import predict_command
from mmzoo.serving.served import Served


def report(plan: Plan, run: Run, served: Served, data: Data, scores: Scores) -> None:
    """Writes `scores.json`, `answers.jsonl`, `report.html` and the model card of a run."""
    write_json(run.scores, scores.flat())
    with replacing(run.answers) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row, ensure_ascii=False, default=_json) + "\n" for row in scores.rows)
    facts = _facts(plan, run, served, data, scores) | _samples(served, data, scores)
    facts |= generated.facts(run, served, data, scores)
    write_text(run.report, render("report.html", facts))
    write_text(run.card, render("card.md", facts))


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Renders a template of this package. HTML is escaped throughout; Markdown where the template applies the filter `md`."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mmzoo.reporting", ""),
        autoescape=jinja2.select_autoescape(["html"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "md": _markdown, "minutes": _minutes}
    return environment.get_template(template).render(facts)


@dataclass(frozen=True)
class Cell:
    """A score in the table.

    Args:
        value: As in `scores.json`; None if the scorer has no such score.
        best: Whether it is the best in its row, and another one is worse.
        share: Its size relative to the largest in its row, 0 to 1.
        interval: Its interval, if known.
    """

    value: float | None
    best: bool = False
    share: float = 0.0
    interval: tuple[float, float] | None = None


def score_rows(numbers: Mapping[str, Mapping[str, float]], lower_is_better: Sequence[str] = ()) -> dict[str, list[Cell]]:
    """Returns metric -> a cell for each scorer, in the order of `numbers`."""
    metrics = dict.fromkeys(metric for scores in numbers.values() for metric in scores)
    return {
        metric: _cells([scores.get(metric) for scores in numbers.values()], metric in lower_is_better) for metric in metrics
    }


def _cells(values: Sequence[float | None], lower_is_better: bool) -> list[Cell]:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return [Cell(value) for value in values]
    best = min(finite) if lower_is_better else max(finite)
    largest, tied = max(map(abs, finite)) or 1.0, min(finite) == max(finite)
    return [
        Cell(v, v == best and not tied, abs(v) / largest) if v is not None and math.isfinite(v) else Cell(v) for v in values
    ]


def number(value: float | None) -> str:
    """Formats a score: three decimals, two from 10 on, one from 100 on; a dash for None."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "no number"
    return f"{value:.{3 - (abs(value) >= 10) - (abs(value) >= 100)}f}"


def _facts(plan: Plan, run: Run, served: Served, data: Data, scores: Scores) -> dict[str, Any]:
    numbers, intervals = score_table({scorer: one for scorer, one in scores.numbers.items() if one or scorer == "model"})
    rows = score_rows(numbers, scores.lower_is_better)
    rows |= {metric: [replace(rows[metric][0], interval=one), *rows[metric][1:]] for metric, one in intervals.items()}
    about = scores.baselines | {"chance": CHANCE}
    return {
        "plan": plan,
        "card": data.card,
        "sizes": data.sizes,
        "faults": {split: faults for split, faults in data.faults.items() if faults},
        "scores": scores,
        "scorers": list(numbers),
        "baselines": {scorer: about[scorer] for scorer in numbers if scorer in about},
        "rows": rows,
        "missing": _missing(run, scores.lower_is_better),
        "has_intervals": bool(intervals),
        "beaten": [metric for metric, cells in rows.items() if any(cell.best for cell in cells) and not cells[0].best],
        "components": list(_components(plan)),
        "presets": plan.presets(),
        "starts": {place: bound.start for place, bound in plan.starts().items()},
        "notes": {name: processor.note for name, processor in data.processors.items() if processor.note},
        "vocabularies": {name: processor.features["vocabulary"] for name, processor in data.processors.items()},
        "targets": {name for signature in served.answers.values() for name in signature.answers.values()},
        "signatures": {name: _signature(served, name) for name in served.answers},
        "predict": _predict(run, served),
        "request": _request(served),
        "folder": str(run.folder),
    } | _training(plan, run, served)


def _missing(run: Run, lower_is_better: Sequence[str]) -> dict[str, Any]:
    """Lays out the scores with missing inputs, a column for each condition; empty if the run has none."""
    if not run.missing.exists():
        return {}
    content = run.load_json(run.missing)
    numbers, share = missing_table(content)
    return {
        "conditions": list(numbers),
        "rows": score_rows(numbers, lower_is_better),
        "caption": f"Scores of the model on the split “{content['split']}” with an input missing in {share}.",
    }


def _training(plan: Plan, run: Run, served: Served) -> dict[str, Any]:
    history = run.load_json(run.history) if run.history.exists() else {}
    seconds = sum(history.pop("seconds", ()))
    trained = run.weights if run.weights.exists() else run.scores
    return {
        "when": datetime.fromtimestamp(trained.stat().st_mtime, UTC).astimezone(),
        "versions": run.load_json(run.plan)["versions"] if run.plan.exists() else {},
        "backend": plan.train.backend if plan.train.backend != "auto" else "",
        "weights": sum(math.prod(variable.shape) for variable in served.task_variables if variable.dtype.is_floating),
        "epochs": max((len(values) for values in history.values()), default=0),
        "seconds": seconds,
        "panels": curves.panels(history),
        "frame": curves,
    }


def _samples(served: Served, data: Data, scores: Scores) -> dict[str, Any]:
    judged = error_analysis.judge(served, scores)
    chosen = samples.choose([one.correct for one in judged])
    shown, attention_note = samples.show(served, data, scores.split, [judged[index] for index in chosen])
    verdicts = [one.correct for one in judged if one.correct is not None]
    return {
        "samples": shown,
        "attention_note": attention_note,
        "attention_of": samples.attention_of(served),
        "searches": bool(served.answers[served.default].gallery),
        "correct": sum(verdicts) if verdicts else None,
        "judged": len(verdicts),
        "confusions": error_analysis.confusions(judged),
    }


def _components(plan: Plan) -> Iterator[tuple[str, Any]]:
    yield "data", plan.data.component
    yield from ((f"input {name}", column.processor.component) for name, column in plan.inputs.items())
    yield from ((f"encoder of {name}", bound.component) for name, bound in plan.encoders.items())
    if plan.fusion is not None:
        yield "fusion", plan.fusion.component
    yield "head", plan.head.component
    yield from (("loss", loss.bound.component) for loss in plan.losses)
    yield from (("metric", metric.bound.component) for metric in plan.metrics)


def _signature(served: Served, name: str) -> dict[str, list[tuple[str, str, str, str]]]:
    """Returns name, modality, dtype and shape of each input and output."""
    return {
        "input": [_tensor(one, spec, _modality(served, name, one)) for one, spec in served.specs(name).items()],
        "output": [_tensor(output, spec) for output, spec in served.outputs(name).items()],
    }


def _modality(served: Served, signature: str, name: str) -> str:
    if name == served.answers[signature].seed:
        return "seed"
    return served.processors[served.answers[signature].reads.get(name, name)].modality


def _tensor(name: str, spec: Any, modality: str = "") -> tuple[str, str, str, str]:
    sizes = ["batch", *("any" if size is None else str(size) for size in spec.shape[1:])]
    return name, modality, spec.dtype.name, f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


# How to use the model


def _predict(run: Run, served: Served) -> str:
    files = [name for name, processor in served.processors.items() if processor.from_file]
    return predict_command(run, served.specs(served.default), files)


def _request(served: Served) -> str:
    """Returns the JSON of a request to TF Serving, with a shell command in place of each encoded file."""
    signature = served.answers[served.default]
    instance = {name: _example(served.processors[name]) for name in signature.read} | (
        {signature.seed: 0} if signature.seed else {}
    )
    return json.dumps({"signature_name": served.default, "instances": [instance]}, ensure_ascii=False)


def _example(processor: Processor) -> Any:
    value: Any = {"b64": "$(base64 < FILE)"} if processor.from_file else "TEXT" if processor.raw.dtype == "string" else 0
    return [value] if processor.raw.shape.rank else value


# Formats


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": b64encode(value).decode()}
    return value.tolist() if isinstance(value, np.ndarray) else repr(value)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _markdown(text: Any) -> str:
    """Escapes Markdown and HTML in a text, and removes its line breaks."""
    escaped = "".join(f"\\{sign}" if sign in "\\`*_[]|#~" else sign for sign in " ".join(str(text).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
