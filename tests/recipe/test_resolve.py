"""A recipe is resolved against a catalog; everything that is wrong with it is said at once, in the order of the file."""

import json
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from mmzoo import EncoderPart, HeadPart, InputName, NeededModel, PositiveInt, Rate, hookimpl
from mmzoo.errors import DataError, RecipeError
from mmzoo.recipe.plan import Plan
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe
from mmzoo.registry.discovery import catalog_of

GOOD = """\
name: toy
about: A toy.
data: {type: drawings, size: 8, on_error: skip}
inputs:
  image: {type: pixels, field: picture}
  label: {type: names, field: name, sequence_length: 3}
encoders:
  image: {type: eye, dim: 4}
head: {type: namer, target: label}
loss:
  - {type: gap, weight: 2, labels: label, margin: 0.5}
  - spread
train: {epochs: 2, optimizer: {type: sgd, learning_rate: 0.1}}
metrics: [hits]
"""


class Drawings:
    """Draws."""

    def __init__(self, *, size: PositiveInt = 16, kind: Literal["round", "square"] = "round"):
        if size == 13:
            raise DataError("the size 13 brings bad luck.\nTake 12.")
        self.card = SimpleNamespace(fields={"picture": "bytes", "name": "text"})


class Pixels:
    """Decodes."""


class Names:
    """Looks up."""

    def __init__(self, *, sequence_length: PositiveInt):
        pass


class Eye:
    """Sees."""

    def __init__(self, *, features: Any, dim: PositiveInt, dropout: Rate = 0.0):
        pass


class Join:
    """Joins."""


class Namer:
    """Names."""

    def __init__(self, *, inputs: Any, target: InputName, beam: PositiveInt = 1):
        pass


def gap(scores: Any, labels: Any, *, margin: float = 1.0) -> Any:
    """Compares."""


def spread(scores: Any) -> Any:
    """Spreads."""


def heavy(scores: Any, weight: Any) -> Any:
    """Weighs."""


class Hits:
    """Counts."""

    def update(self, scores: Any, labels: list[str]) -> None:
        pass


class Asks:
    """Asks another model."""

    def __init__(self, *, judge: NeededModel | None = None):
        pass

    def update(self, labels: list[str]) -> None:
        pass


class Over:
    """Stands on another head."""

    def __init__(self, *, first: HeadPart):
        pass


def offer(**components: str) -> dict[str, str]:
    return {name: f"{__name__}:{attribute}" for name, attribute in components.items()}


class Toys:
    mmzoo_datasets = hookimpl(lambda self: offer(drawings="Drawings"), specname="mmzoo_datasets")
    mmzoo_processors = hookimpl(lambda self: offer(pixels="Pixels", names="Names"), specname="mmzoo_processors")
    mmzoo_encoders = hookimpl(lambda self: offer(eye="Eye", frames="Frames", blind="Blind"), specname="mmzoo_encoders")
    mmzoo_fusions = hookimpl(lambda self: offer(join="Join"), specname="mmzoo_fusions")
    mmzoo_heads = hookimpl(lambda self: offer(namer="Namer", over="Over"), specname="mmzoo_heads")
    mmzoo_losses = hookimpl(lambda self: offer(gap="gap", spread="spread", heavy="heavy"), specname="mmzoo_losses")
    mmzoo_metrics = hookimpl(lambda self: offer(hits="Hits", asks="Asks"), specname="mmzoo_metrics")
    __name__ = "toys"


CATALOG = catalog_of({"toys": Toys()})


def resolved(text: str, *overrides: str) -> Plan:
    return resolve(parse_recipe(text, "r.yaml", overrides), CATALOG)


def said(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as raised:
        resolved(text, *overrides)
    return str(raised.value)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


JUDGED = "metrics={type: asks, judge: reader, labels: label}"


def test_a_metric_asks_a_model_that_the_recipe_needs():
    plan = resolved(GOOD, "needs={reader: other.yaml}", JUDGED)
    assert plan.metrics[0].bound.options == {"judge": "reader"}
    assert plan.metrics[0].bound.make(needed={"reader": "the model"}).__class__ is Asks
    assert resolved(GOOD, "metrics={type: asks, labels: label}").metrics[0].bound.options == {"judge": None}


@pytest.mark.parametrize(
    ("needs", "advice"), [([], ""), (["needs={readers: other.yaml}"], "\n  Nearest: readers. Known: readers.")]
)
def test_a_model_that_the_recipe_does_not_need_is_a_fault(needs, advice):
    assert said(GOOD, *needs, JUDGED) == f"--set metrics  metrics.judge: the recipe needs no 'reader'.{advice}"


def test_a_head_inside_a_head_starts_from_a_needed_run():
    inside = "head={type: over, first: {type: namer, target: label, weights: PART}}"
    plan = resolved(GOOD, "needs={base: other.yaml}", inside.replace("PART", "base/head.layer"))
    assert {place: bound.start for place, bound in plan.starts().items()} == {"head.first": "base/head.layer"}
    assert plan.starts()["head.first"].options == {"target": "label", "beam": 1}
    assert resolved(json.dumps(plan.plain())).plain() == plan.plain()
    assert said(GOOD, "needs={base: other.yaml}", inside.replace("PART", "base/fusion")).endswith(
        "expected NEED/head, a part of a run that the recipe needs, received 'base/fusion'."
    )


def test_a_plan_has_every_default():
    plan = resolved(GOOD)
    assert (plan.name, plan.about, plan.on_error, plan.fusion) == ("toy", "A toy.", "skip", None)
    assert plan.data.options == {"size": 8, "kind": "round"}
    assert list(plan.inputs) == ["image", "label"]
    assert (plan.inputs["label"].field, plan.inputs["label"].processor.options) == ("name", {"sequence_length": 3})
    assert plan.encoders["image"].options == {"dim": 4, "dropout": 0.0}
    assert plan.head.options == {"target": "label", "beam": 1}
    first, second = plan.losses
    assert (first.bound.options, dict(first.tensors), first.weight) == (
        {"margin": 0.5},
        {"scores": "scores", "labels": "label"},
        2.0,
    )
    assert (dict(second.tensors), second.weight) == ({"scores": "scores"}, 1.0)
    assert [metric.bound.component.name for metric in plan.metrics] == ["hits"]
    assert (plan.train.epochs, plan.train.batch_size, plan.export.version) == (2, 64, 1)


def test_a_bare_name_is_a_component_without_options():
    plan = resolved(changed("{type: drawings, size: 8, on_error: skip}", "drawings"))
    assert (plan.data.options["size"], plan.on_error) == (16, "stop")


def test_a_fusion_is_bound():
    assert resolved(GOOD + "fusion: join\n").fusion.component.name == "join"


def test_a_component_can_be_named_with_its_plugin():
    assert resolved(changed("type: eye", "type: toys/eye")).encoders["image"].component.name == "eye"


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("about:", "abuot:", "r.yaml:2:1  abuot: a recipe has no such key.\n  Nearest: about. Known: name, about, needs, data, "
         "inputs, encoders, fusion, head, loss, train, metrics, evaluate, export."),
        ("head:", "haed:", "r.yaml:1:1  head: this key is missing; every recipe needs it.\n"
         "r.yaml:9:1  haed: a recipe has no such key.\n  "
         "Nearest: head, name. Known: name, about, needs, data, inputs, encoders, fusion, head, loss, train, metrics, "
         "evaluate, export."),
        ("name: toy", "name: to/y", "r.yaml:1:7  name: expected a name of letters, digits, '.', '_' and '-', received 'to/y'.\n"
         "  It becomes the name of the run's folder."),
        ("name: toy", "name: 3", "r.yaml:1:7  name: expected a name of letters, digits, '.', '_' and '-', received 3.\n"
         "  It becomes the name of the run's folder."),
        ("A toy.", "[1]", "r.yaml:2:8  about: expected text, received [1]."),
        ("type: eye", "type: eyes", "r.yaml:8:17  encoders.image.type: no encoder named 'eyes'.\n  Nearest: eye (toys 0). "
         "`mmzoo list encoders` shows all."),
        ("type: eye", "type: blind", f"r.yaml:8:17  encoders.image.type: encoder 'blind' of toys 0 cannot be imported from "
         f"'{__name__}:Blind': AttributeError: module '{__name__}' has no attribute 'Blind'.\n"
         "  Install what is missing, or leave the plugin out with MMZOO_BLOCK=toys."),
        ("type: eye, ", "", "r.yaml:8:10  encoders.image: the key 'type' is missing; it names the encoder."),
        ("type: eye", "type: [eye]", "r.yaml:8:17  encoders.image.type: expected the encoder's name, received ['eye']."),
        ("dim: 4", "dim: big", "r.yaml:8:27  encoders.image.dim: expected int > 0, received 'big'."),
        ("dim: 4", "dim: 4, size: 3", "r.yaml:8:30  encoders.image.size: there is no such option.\n"
         "  Known: dim, dropout, trainable, weights."),
        (", dim: 4", "", "r.yaml:8:10  encoders.image: the option 'dim' is missing; expected int > 0."),
        ("field: picture", "field: image", "r.yaml:5:32  inputs.image.field: the data set 'drawings' has no field 'image'.\n"
         "  Its fields: picture, name."),
        ("field: picture", "field: [picture]", "r.yaml:5:32  inputs.image.field: expected str, received ['picture']."),
        (", field: picture", "", "r.yaml:5:10  inputs.image: the option 'field' is missing; expected str.\n"
         "  Field of the data set that the input reads."),
        ("target: label", "target: lable", "r.yaml:9:29  head.target: the recipe has no input 'lable'.\n"
         "  Nearest: label. Known: image, label."),
        ("  image: {type: eye", "  imag: {type: eye", "r.yaml:8:3  encoders.imag: the recipe has no input 'imag' to encode.\n"
         "  Nearest: image. Known: image, label."),
        ("on_error: skip", "on_error: ignore", "r.yaml:3:43  data.on_error: expected 'stop' or 'skip', received 'ignore'."),
        ("size: 8", "size: 13", "r.yaml:3:7  data: the size 13 brings bad luck.\n  Take 12."),
        ("weight: 2", "weight: much", "r.yaml:11:25  loss[0].weight: expected float, received 'much'."),
        ("labels: label", "label: label", "r.yaml:11:28  loss[0].label: there is no such option.\n"
         "  Nearest: labels. Known: margin, scores, labels, weight."),
        ("[hits]", "[hit]", "r.yaml:14:11  metrics[0]: no metric named 'hit'.\n  Nearest: hits (toys 0). "
         "`mmzoo list metrics` shows all."),
        ("metrics: [hits]", "metrics: [hits]\nevaluate: {baselines: [nearest, singleframe]}",
         "r.yaml:15:33  evaluate.baselines[1]: expected 'most_frequent', 'text_only', 'nearest' or 'single_frame', received "
         "'singleframe'.\n  Nearest: single_frame."),
        ("epochs: 2", "epochs: 2.5", "r.yaml:13:17  train.epochs: expected int > 0, received 2.5."),
        ("train: {epochs: 2, optimizer: {type: sgd, learning_rate: 0.1}}", "train: 3",
         "r.yaml:13:8  train: expected a mapping, received 3."),
        ("  image: {type: eye, dim: 4}", "  - eye",
         "r.yaml:8:3  encoders: expected a mapping of names to components, received ['eye']."),
    ],
)  # fmt: skip
def test_one_fault(old, new, text):
    assert said(changed(old, new)) == text


@pytest.mark.parametrize("key", ["name", "data", "inputs", "encoders", "head", "loss"])
def test_a_required_key_that_is_null_is_missing(key):
    assert f"r.yaml:1:1  {key}: this key is missing; every recipe needs it." in said(GOOD, f"{key}=null")


@pytest.mark.parametrize("override", ["encoders={}", "loss=[]", "inputs={}"])
def test_a_required_key_that_is_empty(override):
    key = override.partition("=")[0]
    assert f"--set {key}: it is empty; expected at least one." in said(GOOD, override)


SHAPES = ["3", "[3]", "text", "true", "[[]]", "{type: 3}", "{type: null}", "{x: {y: []}}", "[null]", "{? [1] : 2}"]


@pytest.mark.parametrize(
    "key", ["data", "inputs", "encoders", "fusion", "head", "loss", "train", "metrics", "evaluate", "export"]
)
@pytest.mark.parametrize("value", SHAPES)
def test_any_shape_of_a_key_is_a_fault_and_no_crash(key, value):
    assert said(GOOD, f"{key}={value}")


def test_two_faults_at_once_in_the_order_of_the_file():
    text = changed("dim: 4", "dim: 0").replace("size: 8", "size: x").replace("[hits]", "[hits, cider]")
    assert said(text).splitlines() == [
        "r.yaml:3:30  data.size: expected int > 0, received 'x'.",
        "r.yaml:8:27  encoders.image.dim: expected a number greater than 0, received 0.",
        "r.yaml:14:17  metrics[1]: no metric named 'cider'.",
        "  `mmzoo list metrics` shows all.",
    ]


def test_a_fault_of_an_override_stands_first_and_names_it():
    assert said(changed("dim: 4", "dim: 0"), "train.epochs=x").splitlines()[0] == (
        "--set train.epochs: expected int > 0, received 'x'."
    )


def test_without_a_data_set_the_fields_are_not_guessed():
    assert said(changed("type: drawings", "type: drawing").replace("field: picture", "field: anything")).splitlines() == [
        "r.yaml:3:14  data.type: no dataset named 'drawing'.",
        "  Nearest: drawings (toys 0). `mmzoo list datasets` shows all.",
    ]


@pytest.mark.parametrize("seed", [2**31, -1])
def test_a_seed_is_one_that_numpy_takes(seed):
    assert f"train.seed: expected a number {'less' if seed > 0 else 'greater'} than" in said(GOOD, f"train.seed={seed}")


def test_a_parameter_may_not_be_called_as_what_recipes_write_for_every_component_of_its_kind():
    text = said(changed("  - spread", "  - heavy"))
    assert "the loss 'heavy' of toys has a parameter 'weight', but recipes use this key for something else." in text
    assert "Report this to the authors of the plugin." in text


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("inputs.label.optional", "this input cannot be optional: it has no encoder.\n"
         "  Remove `optional`, or give it an encoder."),
        ("inputs.image.optional", "this input cannot be optional: no other input has an encoder.\n"
         "  Remove `optional`, or give another input an encoder."),
        ("train.modality_dropout", "at least two inputs must have an encoder.\n"
         "  Remove it, or give another input an encoder."),
    ],
)  # fmt: skip
def test_what_leaves_out_an_input_needs_two_that_are_encoded(override, text):
    value = "0.5" if override.startswith("train") else "true"
    assert said(GOOD, f"{override}={value}") == f"--set {override}: {text}"
    more = ("encoders.label={type: eye, dim: 4}", f"{override}={value}")
    plan = resolved(GOOD, *more)
    assert plan.train.modality_dropout or any(column.optional for column in plan.inputs.values())


# Components inside components


class Frames:
    """Looks at each frame with another encoder."""

    def __init__(self, *, features: Any, frame: EncoderPart, other: EncoderPart | None = None, pooled: bool = True):
        self.made = frame(features="a frame's", inputs="nothing")
        self.other = other(features="another's") if other is not None else None


def nested(frame: str) -> str:
    return GOOD.replace("{type: eye, dim: 4}", f"{{type: frames, frame: {frame}}}")


def test_a_component_may_hold_another():
    plan = resolved(nested("{type: eye, dim: 4}"))
    bound = plan.encoders["image"]
    assert bound.options["frame"].options == {"dim": 4, "dropout": 0.0}
    assert bound.plain()["frame"] == {"type": "toys/eye", "dim": 4, "dropout": 0.0}
    assert {"eye", "frames"} <= {part.component.name for part in plan.components()}
    assert isinstance(bound.make(features="a clip's").made, Eye)


def test_resolving_a_plan_that_holds_a_component_in_another_gives_it_again():
    plain = resolved(nested("{type: eye, dim: 4}")).plain()
    text = json.dumps(plain)
    assert resolved(text).plain() == plain


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        ("{type: eyes, dim: 4}", "no encoder named 'eyes'"),
        ("{type: eye}", "the option 'dim' is missing"),
        ("{type: eye, dim: 4, trainable: false}", "there is no such option"),
        ("{type: [eye]}", "encoders.image.frame.type: expected the encoder's name, received ['eye']."),
    ],
)
def test_what_is_wrong_inside_is_said_at_its_place(frame, text):
    assert text in said(nested(frame))


@pytest.mark.parametrize(("frame", "found"), [("4", "4"), ("[eye]", "['eye']"), ("null", "None")])
def test_what_is_no_component_is_said_once(frame, found):
    assert said(nested(frame)) == f"r.yaml:8:32  encoders.image.frame: expected the encoder's name, received {found}."


def test_a_component_inside_another_may_be_optional():
    plain, held = resolved(nested("{type: eye, dim: 4}")), resolved(nested("{type: eye, dim: 4}, other: {type: eye, dim: 2}"))
    assert plain.encoders["image"].options["other"] is None
    assert plain.encoders["image"].make(features="a clip's").other is None
    assert held.encoders["image"].options["other"].options == {"dim": 2, "dropout": 0.0}
    assert isinstance(held.encoders["image"].make(features="a clip's").other, Eye)
