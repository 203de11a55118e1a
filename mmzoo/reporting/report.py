"""Scores and history -> files and a page that a person can look at."""

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import jinja2
import numpy as np

from mmzoo.contracts.processor import Processor, inputs_of
from mmzoo.data.splits import Data
from mmzoo.evaluation import error_analysis
from mmzoo.evaluation.baselines import DENSE
from mmzoo.evaluation.scores import Scores, side_by_side, with_missing
from mmzoo.recipe.plan import Plan
from mmzoo.reporting import curves, samples
from mmzoo.run.atomic import write_json, write_text
from mmzoo.run.folder import Run
from mmzoo.serving.predict import predict_command
from mmzoo.serving.served import Served

SCORERS = {
    "model": "this model",
    "most_frequent": "the most frequent answer of the training split, whatever is asked",
    "nearest": "the answer of the nearest training example, by the distance of {what}",
    "single_frame": "the answer of the nearest training example, by the pixels of the middle frame alone",
    "chance": "what any answer reaches",
}
"""What each scorer is, in words."""
NEAREST = ("nearest", "single_frame")
"""Scorers that look for the nearest training example."""


def report(plan: Plan, run: Run, served: Served, data: Data, scores: Scores) -> None:
    """Writes `scores.json`, `answers.jsonl`, `report.html` and the model card of a run."""
    write_json(run.scores, scores.flat())
    write_text(run.answers, "".join(json.dumps(row, ensure_ascii=False, default=_listed) + "\n" for row in scores.rows))
    facts = _facts(plan, run, served, data, scores) | _sights(served, data, scores)
    write_text(run.report, render("report.html", facts))
    write_text(run.card, render("card.md", facts))


def render(template: str, facts: Mapping[str, Any]) -> str:
    """Fills in one of the package's templates; in HTML everything is escaped, in Markdown what `md` is put on."""
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
        value: As in `scores.json`; None if the scorer has none.
        best: Whether no other scorer did better, and one did worse.
        share: Its size beside the largest in its row, 0 to 1.
        span: Its interval, if there is one.
    """

    value: float | None
    best: bool = False
    share: float = 0.0
    span: tuple[float, float] | None = None


def score_rows(numbers: Mapping[str, Mapping[str, float]], falling: Sequence[str] = ()) -> dict[str, list[Cell]]:
    """Lays out metric -> a cell for each scorer, in the order of `numbers`; less is better for the `falling` metrics."""
    metrics = dict.fromkeys(metric for found in numbers.values() for metric in found)
    return {metric: _cells([found.get(metric) for found in numbers.values()], metric in falling) for metric in metrics}


def _cells(values: Sequence[float | None], falling: bool) -> list[Cell]:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    if not finite:
        return [Cell(value) for value in values]
    best = min(finite) if falling else max(finite)
    largest, tied = max(map(abs, finite)) or 1.0, min(finite) == max(finite)
    return [
        Cell(v, v == best and not tied, abs(v) / largest) if v is not None and math.isfinite(v) else Cell(v) for v in values
    ]


def number(value: float | None) -> str:
    """Writes a score so that it can be read: three decimals, fewer from 10 and from 100 on; a dash if there is none."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "no number"
    return f"{value:.{3 - (abs(value) >= 10) - (abs(value) >= 100)}f}"


def _facts(plan: Plan, run: Run, served: Served, data: Data, scores: Scores) -> dict[str, Any]:
    numbers = {scorer: found for scorer, found in scores.numbers.items() if found or scorer == "model"}
    numbers, spans = side_by_side(numbers)
    rows = score_rows(numbers, _falling(plan))
    rows |= {metric: [replace(rows[metric][0], span=span), *rows[metric][1:]] for metric, span in spans.items()}
    return {
        "plan": plan,
        "card": data.card,
        "sizes": data.sizes,
        "faults": {split: faults for split, faults in data.faults.items() if faults},
        "scores": scores,
        "scorers": {scorer: _scorer(scorer, served) for scorer in numbers},
        "rows": rows,
        "heads": ["this model" if scorer == "model" else scorer.replace("_", " ") for scorer in numbers],
        "missing": _missing(plan, run),
        "spanned": bool(spans),
        "beaten": [metric for metric, cells in rows.items() if any(cell.best for cell in cells) and not cells[0].best],
        "parts": list(_parts(plan)),
        "notes": {name: processor.note for name, processor in data.processors.items() if processor.note},
        "known": {name: processor.features["vocabulary"] for name, processor in data.processors.items()},
        "targets": {name for signature in served.answers.values() for name in signature.answers.values()},
        "signatures": {name: _signature(served, name) for name in served.answers},
        "predict": _predict(run, served),
        "body": _body(served),
        "folder": str(run.folder),
    } | _training(plan, run, served)


def _missing(plan: Plan, run: Run) -> dict[str, Any]:
    """Lays out the scores with inputs missing, if they are known: conditions side by side."""
    if not run.missing.exists():
        return {}
    found = run.load_json(run.missing)
    numbers, share = with_missing(found)
    return {
        "conditions": list(numbers),
        "rows": score_rows(numbers, _falling(plan)),
        "caption": f"Scores of this model on the split “{found['split']}” with an input missing in {share}.",
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


def _sights(served: Served, data: Data, scores: Scores) -> dict[str, Any]:
    judged = error_analysis.judge(served, scores)
    chosen = samples.choose([one.right for one in judged])
    shown, unexplained = samples.show(served, data, scores.split, [judged[index] for index in chosen])
    decided = [one.right for one in judged if one.right is not None]
    return {
        "samples": shown,
        "unexplained": unexplained,
        "searches": bool(served.answers[served.default].gallery),
        "right": sum(decided) if decided else None,
        "judged": len(decided),
        "confusions": error_analysis.confusions(judged),
    }


def _falling(plan: Plan) -> list[str]:
    return [name for metric in plan.metrics for name in getattr(metric.bound.component.load(), "lower_is_better", ())]


def _scorer(scorer: str, served: Served) -> str:
    signature = served.answers[served.default]
    texts = inputs_of(served.processors, signature.inputs, "text")
    if scorer == "nearest" and not signature.answers:
        dense, words = (inputs_of(served.processors, served.processors, *kinds) for kinds in (DENSE, ("text",)))
        what, text = dense[0], words[0]
        return f"of each {what}, the words of the {text} beside the nearest training {what}; of each {text}, its own words"
    if scorer == "_".join(texts) + "_only":
        return f"the most frequent answer of the training split to the same {' and '.join(texts)}"
    dense = inputs_of(served.processors, signature.inputs, *DENSE)
    pixels = served.processors[dense[0]].modality in ("image", "video") if dense else False
    compared = f"the {'pixels' if pixels else 'features'} of its {dense[0]}" if dense else "its features"
    what = SCORERS.get(scorer, scorer.replace("_", " ")).format(what=compared)
    return f"{what}, among those with the same {' and '.join(texts)}" if texts and scorer in NEAREST else what


def _parts(plan: Plan) -> Iterator[tuple[str, Any]]:
    yield "data", plan.data.component
    yield from ((f"input {name}", column.processor.component) for name, column in plan.inputs.items())
    yield from ((f"encoder of {name}", bound.component) for name, bound in plan.encoders.items())
    if plan.fusion is not None:
        yield "fusion", plan.fusion.component
    yield "head", plan.head.component
    yield from (("loss", loss.bound.component) for loss in plan.losses)
    yield from (("metric", metric.bound.component) for metric in plan.metrics)


def _signature(served: Served, name: str) -> dict[str, list[tuple[str, str, str]]]:
    return {
        "inputs": [_tensor(spec.name, spec, f"{_modality(served, name, spec.name)}, ") for spec in served.specs(name)],
        "outputs": [_tensor(one, spec) for one, spec in served.outputs(name).items()],
    }


def _modality(served: Served, signature: str, name: str) -> str:
    return served.processors[served.answers[signature].reads.get(name, name)].modality


def _tensor(name: str, spec: Any, modality: str = "") -> tuple[str, str, str]:
    sizes = ["batch", *("any" if size is None else str(size) for size in spec.shape[1:])]
    return name, modality + spec.dtype.name, f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


# How to ask


def _predict(run: Run, served: Served) -> str:
    files = [name for name, processor in served.processors.items() if processor.from_file]
    return predict_command(run, {spec.name: spec for spec in served.specs(served.default)}, files)


def _body(served: Served) -> str:
    """Gives the JSON that TF Serving is sent, with a shell's command in the place of each encoded file."""
    inputs = served.answers[served.default].inputs
    instance = {name: _example(served.processors[name]) for name in inputs}
    return json.dumps({"signature_name": served.default, "instances": [instance]}, ensure_ascii=False)


def _example(processor: Processor) -> Any:
    one: Any = {"b64": "$(base64 < FILE)"} if processor.from_file else "TEXT" if processor.raw.dtype == "string" else 0
    return [one] if processor.raw.shape.rank else one


# Values in words


def _listed(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b64": b64encode(value).decode()}
    return value.tolist() if isinstance(value, np.ndarray) else repr(value)


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def _markdown(text: Any) -> str:
    """Takes from a text what Markdown or HTML would read as markup, and its line breaks."""
    kept = "".join(f"\\{sign}" if sign in "\\`*_[]|#~" else sign for sign in " ".join(str(text).split()))
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
