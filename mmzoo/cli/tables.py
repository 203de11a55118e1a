"""Values -> the tables and texts that the commands print, made with rich. Light."""

import inspect
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from mmzoo.evaluation.scores import by_scorer, missing_table, score_table
from mmzoo.registry.catalog import Catalog, Component
from mmzoo.reporting.pictures import image_format

if TYPE_CHECKING:
    from mmzoo.build import Checked
    from mmzoo.cli.typed import Answer
    from mmzoo.planned import Planned, Work
    from mmzoo.recipe.options import Option
    from mmzoo.run.folder import Run

SAMPLES = 6
"""How many held-out examples a build shows at its end."""
PICTURE = "picture"
"""What a table says of an encoded picture."""


def listed(catalog: Catalog, kinds: Iterable[str]) -> RenderableType:
    """Lists components by kind: name, plugin, first line of the docstring."""
    table = _table("kind", "name", "plugin", "what it does")
    for kind in kinds:
        for component in catalog.of(kind):
            table.add_row(kind, component.name, str(component.plugin), component.summary())
    return table


def broken(catalog: Catalog) -> str:
    """Names the plugins that did not load and why, a line for each."""
    return "".join(f"The plugin {plugin} did not load: {plugin.fault}\n" for plugin in catalog.broken())


def plugged(catalog: Catalog) -> RenderableType:
    """Lists plugins with their problems."""
    table = _table("plugin", "version", "module", "status")
    for plugin in catalog.plugins:
        own = [component for component in catalog.components if component.plugin == plugin]
        missing = [f"no module for the {c.kind} '{c.name}': {c.target}" for c in own if c.source() is None]
        status = plugin.fault or "\n".join(missing) or f"good, {len(own)} components"
        style = "red" if plugin.fault or missing else "green"
        table.add_row(plugin.name, plugin.version, plugin.origin, Text(status, style=style))
    return table


def shown(component: Component) -> RenderableType:
    """Shows one component: what it does, its options and its source file."""
    from mmzoo.recipe.component_keys import component_keys
    from mmzoo.recipe.options import options_of

    loaded = component.load()
    head = _grid()
    head.add_row(component.kind, component.name)
    head.add_row("plugin", str(component.plugin))
    head.add_row("source", _source(component, loaded))
    about = (inspect.getdoc(loaded) or "").partition("\nArgs:")[0].rstrip()
    options = _table("option", "type", "default", "what it does")
    for option in [*component_keys(component), *options_of(loaded)]:
        options.add_row(option.name, option.type_name, _default(option), option.doc)
    return Group(head, Text(f"\n{about}\n"), options if options.rows else "It has no options.")


def _source(component: Component, loaded: Any) -> str:
    try:
        return f"{inspect.getsourcefile(loaded)}:{inspect.getsourcelines(loaded)[1]}"
    except (TypeError, OSError):  # not a class or function, or without a source file
        return str(component.source() or "none")


def _default(option: "Option") -> RenderableType:
    return Text("required", style="yellow") if option.required else str(option.default)


def checked(found: "Checked") -> RenderableType:
    """Shows what a recipe builds: data, inputs, layers, losses, metrics and signatures."""
    plan, card, grid = found.plan, found.plan.dataset.card, _grid()
    grid.add_row("recipe", f"{plan.name}  {plan.about}")
    if plan.needs:
        grid.add_row("needs", _lines(*(f"{name}: {path}" for name, path in plan.needs.items())))
    sizes = ", ".join(f"{count:,} {split}" for split, count in card.sizes.items())
    about = [card.about, sizes, f"from {card.source}" if card.source else "", card.licence and f"licence {card.licence}"]
    grid.add_row("data", _lines(plan.data.component.name, *about, f"needs {card.needs}" if card.needs else "ready"))
    for name, column in plan.inputs.items():
        grid.add_row(f"inputs.{name}", f"the field '{column.field}' read by {column.processor.component.name}")
    for layer in found.layers:
        start = plan.starts().get(layer.part)
        begins = f"starts from {start.start}" if start is not None else ""
        warning = f"warning: {layer.note}" if layer.note else ""
        facts = (f"{layer.name}, {layer.weights:,} weights", begins, f"takes {layer.takes}", f"gives {layer.gives}", warning)
        grid.add_row(layer.part, _lines(*facts))
    rest = ", without those whose number depends on the data, which is not ready" if card.needs else ""
    grid.add_row("weights", f"{sum(layer.weights for layer in found.layers):,} in total{rest}")
    for loss in plan.losses:
        tensors = ", ".join(f"{name}={tensor}" if name != tensor else name for name, tensor in loss.tensors.items())
        grid.add_row("loss", f"{loss.bound.component.name}({tensors}), weight {loss.weight:g}")
    grid.add_row("metrics", ", ".join(metric.bound.component.name for metric in plan.metrics) or "none")
    for name, signature in found.signatures.items():
        predicts = f", predicts {', '.join(signature.answers.values())}" if signature.answers else ""
        grid.add_row("signature", f"{name}: takes {', '.join(signature.inputs)}{predicts}")
    return grid


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)


def explained(works: "list[tuple[Planned, Work]]") -> RenderableType:
    """Shows what a build would do: each run, its stages, and why each one runs."""
    table = _table("run", "stage", "")
    for planned, work in works:
        for stage in planned.stages:
            table.add_row(str(planned.run.folder), stage, work.due.get(stage, "done"))
    return table


def finished(run: "Run") -> RenderableType:
    """Shows a finished build: scores, examples, the paths of report and model, and how to predict."""
    from mmzoo.serving.predict import DEFAULT, open_export, predict_command

    exported = open_export(run)
    grid = _grid()
    if run.report.exists():
        grid.add_row("report", str(run.report))
    grid.add_row("model", str(exported.folder))
    grid.add_row("predict", predict_command(run, exported.signatures[DEFAULT], exported.files))
    return Group(scored(run), *_samples(run), grid)


def scored(run: "Run") -> RenderableType:
    """Shows the scores of a run: the model and the baselines."""
    flat = run.load_json(run.scores)
    scorers, intervals = score_table(by_scorer(flat))
    left_out = f", {flat['unreadable']:,} more left out as unreadable" if flat["unreadable"] else ""
    title = f"\nScores on {flat['examples']:,} examples of '{flat['split']}'{left_out}"
    if not scorers["model"]:
        return Text(f"{title}: the recipe names no metrics.\n")
    table = _table("metric", *scorers, title=title)
    for metric in scorers["model"]:
        model, *rest = [_scalar(numbers.get(metric, "")) for numbers in scorers.values()]
        interval = " ({} to {})".format(*map(_scalar, intervals[metric])) if metric in intervals else ""
        table.add_row(metric, model + interval, *rest)
    return table


def missed(run: "Run") -> RenderableType:
    """Shows the scores with missing inputs, a column for each condition."""
    content = run.load_json(run.missing)
    conditions, share = missing_table(content)
    metrics = dict.fromkeys(metric for numbers in conditions.values() for metric in numbers)
    table = _table("metric", *conditions, title=f"\nScores on '{content['split']}' with inputs missing in {share}")
    for metric in metrics:
        table.add_row(metric, *[_scalar(numbers.get(metric, "")) for numbers in conditions.values()])
    return table


def _samples(run: "Run") -> Iterator[RenderableType]:
    """Shows a few held-out examples, spread over the split: the references and the answers; of a search, the first result.

    Columns of pictures are left out, and so is a table without another answer; the report shows pictures.
    """
    lines = run.answers.read_text("utf-8").split("\n")[
        :-1
    ]  # str.splitlines also splits at characters that JSON strings may hold
    rows = [json.loads(line) for line in lines[:: max(1, len(lines) // SAMPLES)][:SAMPLES]]
    if not rows:
        return
    references, answer = rows[0]["references"], rows[0]["answers"]["model"]
    outputs = [
        name for name, value in answer.items() if isinstance(value, str | float | int | dict) and name not in ("ok", "reason")
    ] or [name for name, value in answer.items() if _are_texts(value)]
    expected = {
        f"{name} (expected)": [" / ".join(map(_scalar, row["references"][name][:3])) for row in rows] for name in references
    }
    answers = {f"{name} (model)": [_first(row["answers"]["model"].get(name)) for row in rows] for name in outputs}
    expected, answers = _without_pictures(expected), _without_pictures(answers)
    if answers:
        table = _table(*expected, *answers, title="\nHeld-out examples")
        for cells in zip(*expected.values(), *answers.values(), strict=True):
            table.add_row(*cells)
        yield table
        yield ""


def _without_pictures(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: cells for name, cells in columns.items() if set(cells) != {PICTURE}}


def answered(answers: "Iterable[Answer]") -> RenderableType:
    """Shows the answers of an exported model, a row for each example; for an unreadable one, the reason."""
    rest = iter(answers)
    first = next(rest)
    outputs = [name for name in first.outputs if name not in ("ok", "reason")]
    table = _table(*first.inputs, *outputs)
    for answer in chain([first], rest):
        inputs = [" ".join(value) if isinstance(value, list) else value for value in answer.inputs.values()]
        if answer.outputs["ok"]:
            table.add_row(*inputs, *_cells([answer.outputs[name] for name in outputs]))
        else:
            table.add_row(*inputs, Text(f"not answered: {answer.outputs['reason']}", style="red"))
    return table


def _cells(values: list[Any]) -> list[str]:
    """Formats the outputs of an example. Lists of equal length, such as ids and captions of search results, become lines."""
    lengths = [len(value) for value in values if _are_texts(value)]
    if len(lengths) < 2 or len(set(lengths)) > 1:
        return [_scalar(value) for value in values]
    return [
        "\n".join(map(_scalar, value)) if isinstance(value, list) and len(value) == lengths[0] else _scalar(value)
        for value in values
    ]


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, str) for item in value)


def _first(value: Any) -> str:
    return _scalar(value[0] if _are_texts(value) else value)


def _scalar(value: Any) -> str:
    """Formats a value briefly: four digits of a number, the shape of an array, the length of bytes that are no picture."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, bytes):
        return PICTURE if image_format(value) else f"{len(value):,} bytes"
    if isinstance(value, dict):
        return _scalar(b64decode(value["b64"]))  # bytes, as JSON holds them
    if isinstance(value, list) and not _are_texts(value) and (len(value) > 8 or any(isinstance(item, list) for item in value)):
        return f"{' x '.join(map(str, _shape(value)))} numbers; --json prints them"
    return ", ".join(map(_scalar, value)) if isinstance(value, list) else str(value)


def _shape(value: Any) -> list[int]:
    return [len(value), *(_shape(value[0]) if value else [])] if isinstance(value, list) else []


def _table(*columns: str, title: str = "") -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", title=title or None, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _grid() -> Table:
    """Makes a table of labels and values."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid
