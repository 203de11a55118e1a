"""What a person gets wrong ends with a message, exit code 2, no traceback, and nothing written."""

import errno
import gc
import importlib.util
import json
import os
import re
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import click
import keras
import pytest
import tensorflow as tf
from click.testing import CliRunner

from mmzoo.build import check
from mmzoo.cli.verbs import main
from mmzoo.errors import RENAMED, RunError
from mmzoo.recipe.component_keys import component_keys
from mmzoo.recipe.options import options_of
from mmzoo.recipe.settings import Train
from mmzoo.registry.discovery import discover
from mmzoo.run.atomic import replacing, write_text
from mmzoo.run.folder import FORMAT, Run
from mmzoo.training.checkpoint import save_weights

RECIPE = """\
name: toy
data: {type: openmoji, data_dir: data}
inputs:
  image: {type: image, field: image, size: 32}
  caption: {type: words, field: name, sequence_length: 3}
encoders:
  image: {type: resnet, blocks: [1]}
head: {type: gru_captioner, target: caption, units: 8}
loss: {type: token_cross_entropy}
train: {epochs: 1, batch_size: 4}
metrics: [exact_match]
"""

HOOKS = """\
from mmzoo import hookimpl
@hookimpl
def mmzoo_{kind}s():
    return {contributed}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Works in an empty folder."""
    made = tmp_path / "work"
    made.mkdir()
    monkeypatch.chdir(made)
    return made


def said(*arguments: str, code: int = 2) -> str:
    """Runs the command line and gives what it said; it must write nothing."""
    before = {path: path.is_dir() or path.read_bytes() for path in Path.cwd().rglob("*")}
    result = CliRunner().invoke(main, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code
    assert before == {path: path.is_dir() or path.read_bytes() for path in Path.cwd().rglob("*")}
    return result.output


def fault(verb: str = "check", **changes: str) -> str:
    """Writes the recipe with changed lines and gives what a verb says of it."""
    Path("r.yaml").write_text(changed(**changes), "utf-8")
    return said(verb, "r.yaml")


def changed(old: str = "", new: str = "") -> str:
    assert old in RECIPE
    return RECIPE.replace(old, new, 1)


KEYS = "name, about, needs, data, inputs, encoders, fusion, head, loss, train, metrics, evaluate, export"


@pytest.mark.parametrize("verb", ["check", "build"])
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("metrics:", "metrix:", f"r.yaml:11:1  metrix: a recipe has no such key.\n  Nearest: metrics, train. Known: {KEYS}.\n"),
        (
            "type: openmoji",
            "type: openmoij",
            (
                "r.yaml:2:14  data.type: no dataset named 'openmoij'.\n"
                "  Nearest: openmoji (mmzoo-datasets 0.1.0). `mmzoo list datasets` shows all.\n"
            ),
        ),
        (
            "resnet",
            "resnett",
            (
                "r.yaml:7:17  encoders.image.type: no encoder named 'resnett'.\n"
                "  Nearest: resnet (mmzoo-image 0.1.0). `mmzoo list encoders` shows all.\n"
            ),
        ),
        ("size: 32", "size: '32'", "r.yaml:4:44  inputs.image.size: expected int > 0, received '32'.\n"),
        ("[1]", "[1, 0]", "r.yaml:7:37  encoders.image.blocks[1]: expected a number greater than 0, received 0.\n"),
        ("loss: {type: token_cross_entropy}\n", "", "r.yaml:1:1  loss: this key is missing; every recipe needs it.\n"),
        (
            "target: caption, ",
            "",
            "r.yaml:8:7  head: the option 'target' is missing; expected str.\n  The input with the captions.\n",
        ),
        ("{type: token_cross_entropy}", "{weight: 1}", "r.yaml:9:7  loss: the key 'type' is missing; it names the loss.\n"),
        ("name: toy", "name: toy\nname: two", "r.yaml:2:1  name: the key is given twice, first at r.yaml:1:7.\n"),
        (
            "name: toy",
            "name: ../toy",
            (
                "r.yaml:1:7  name: expected a name of letters, digits, '.', '_' and '-', received '../toy'.\n"
                "  It becomes the name of the run's folder.\n"
            ),
        ),
        (
            "size: 32",
            "size: big, sise: 3",
            (
                "r.yaml:4:44  inputs.image.size: expected int > 0, received 'big'.\n"
                "r.yaml:4:49  inputs.image.sise: there is no such option.\n"
                "  Nearest: size. Known: size, fit, shorter_side, interpolation, max_pixels, field, optional.\n"
            ),
        ),
        (
            "field: name",
            "field: names",
            (
                "r.yaml:5:33  inputs.caption.field: the data set 'openmoji' has no field 'names'.\n"
                "  Its fields: image, name, emoji, group, subgroup.\n"
            ),
        ),
        (
            "target: caption",
            "target: captoin",
            "r.yaml:8:37  head.target: the recipe has no input 'captoin'.\n  Nearest: caption. Known: image, caption.\n",
        ),
        ("batch_size: 4", "batch_size: 0", "r.yaml:10:32  train.batch_size: expected a number greater than 0, received 0.\n"),
        ("epochs: 1", "epochs: '3'", "r.yaml:10:17  train.epochs: expected int > 0, received '3'.\n"),
        (
            "batch_size: 4",
            "optimizer: {type: adamm}",
            "r.yaml:10:38  train.optimizer.type: Keras has no optimizer 'adamm'.\n  Nearest: adam, nadam, adamw.\n",
        ),
        (
            "batch_size: 4",
            "optimizer: {type: adamw, learning_rate: {type: cosine_decay, decay_stepz: 3}}",
            (
                "r.yaml:10:81  train.optimizer.learning_rate.decay_stepz: Keras' schedule 'cosine_decay' has no such option.\n"
                "  Nearest: decay_steps, warmup_steps. "
                "Known: initial_learning_rate, decay_steps, alpha, name, warmup_target, warmup_steps.\n"
            ),
        ),
        (
            "batch_size: 4",
            "optimizer: {type: adam, beta_1: true, learning_rate: {type: cosine_decay, initial_learning_rate: '1'}}",
            (
                "r.yaml:10:52  train.optimizer.beta_1: expected a number, received True.\n"
                "r.yaml:10:117  train.optimizer.learning_rate.initial_learning_rate: expected a number, received '1'.\n"
            ),
        ),
        (
            "token_cross_entropy",
            "token_cross_entropy, tokens: tokns",
            (
                "r.yaml:9:7  loss: the loss 'token_cross_entropy' needs 'tokns' (its 'tokens'), which neither the head nor the "
                "inputs give.\n  Nearest: tokens, caption. Known: step, image, caption, logits, tokens, attention.\n"
            ),
        ),
        (
            "encoders:\n",
            "  other: {type: image, field: image, size: 32}\nencoders:\n",
            (
                "r.yaml:6:3  inputs.other: nothing uses this input.\n"
                "  Give it an encoder, make it the head's target, or remove it.\n"
            ),
        ),
        (
            "target: caption",
            "target: image",
            "r.yaml:8:7  head: the target 'image' must be token ids; give it a text processor such as 'words'.\n",
        ),
    ],
)
def test_a_wrong_recipe(verb, old, new, message):
    assert fault(verb, old=old, new=new) == message


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (BOMB.encode(), "r.yaml:1:5  anchors and aliases are not allowed ('a0').\n  Write the value out.\n"),
        (b"a: [1", "r.yaml:1:6  this is not valid YAML: expected ',' or ']', but got '<stream end>'.\n"),
        (b"just words", "r.yaml:1:1  a recipe is a mapping of keys to values, found a str.\n"),
        (b"", "r.yaml:1:1  the recipe is empty.\n  See recipes/openmoji/captioner.yaml for an example.\n"),
        (b"# nothing\n", "r.yaml:1:1  the recipe is empty.\n  See recipes/openmoji/captioner.yaml for an example.\n"),
        (b"\x89PNG\r\n\x1a\n", "r.yaml:1:1  the file is not UTF-8 text (byte 0).\n  Save the recipe as UTF-8.\n"),
        (b"[" * 30, "r.yaml:1:21  values are nested more than 20 deep.\n"),
        (b"a" * 1_000_001, "r.yaml:1:1  the recipe has 1000001 bytes; at most 1000000 are read.\n"),
    ],
    ids=["bomb", "no YAML", "no mapping", "empty", "only a comment", "a picture", "deep", "large"],
)
def test_a_file_that_is_no_recipe(data, message):
    Path("r.yaml").write_bytes(data)
    assert said("check", "r.yaml") == message


def test_a_recipe_that_is_not_there():
    assert said("check", "r.yaml") == "r.yaml  there is no such file.\n  Give the path of a YAML file.\n"
    Path("folder").mkdir()
    Path("s.yaml").touch()
    assert said("build", "r.yaml") == "r.yaml  there is no such file.\n  Recipes there: s.yaml.\n"
    assert said("build", "folder") == "folder  this is a folder, not a recipe.\n  Give the path of a YAML file in it.\n"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("train.epochs", "--set train.epochs: expected KEY=VALUE, for example --set train.epochs=1.\n"),
        ("=3", "--set =3: expected KEY=VALUE, for example --set train.epochs=1.\n"),
        ("train.epochs=many", "--set train.epochs: expected int > 0, received 'many'.\n"),
        ("train.epochz=3", "--set train.epochz: there is no such option.\n  Nearest: epochs.\n"),
        ("name.x=3", "--set name.x: 'name' is 'toy', which has no 'x'.\n"),
        ("train.epochs=[1", "--set train.epochs:1:3  this is not valid YAML: expected ',' or ']', but got '<stream end>'.\n"),
        (
            "train.global_clipnorm=.inf",
            "--set train.global_clipnorm:1:1  expected a finite number, received .inf.\n",
        ),
        ("loss.weight=1e400", "--set loss.weight:1:1  expected a finite number, received 1e400.\n"),
        (
            "about=a #1 toy",
            "--set about: a `#` after a space begins a comment in YAML, and the rest of the value would be lost.\n"
            "  Quote the value: --set 'about=\"...\"'.\n",
        ),
        (
            "inputs.image.fit=bend",
            "--set inputs.image.fit: expected 'pad', 'crop', 'stretch' or 'resize_crop', received 'bend'.\n",
        ),
    ],
)
def test_a_wrong_set(given, message):
    Path("r.yaml").write_text(RECIPE, "utf-8")
    assert said("check", "r.yaml", "--set", given) == message


# Plugins


def test_a_plugin_that_fails_on_import_is_named_where_something_is_missed(install_plugin):
    install_plugin("mmzoo-zz", "import nothing_of_the_kind")
    reason = "Plugin mmzoo-zz 0.1 did not load (ModuleNotFoundError: No module named 'nothing_of_the_kind'); "
    assert fault(old="resnet", new="eye") == (
        "r.yaml:7:17  encoders.image.type: no encoder named 'eye'.\n"
        f"  `mmzoo list encoders` shows all. {reason}what it offers is missing.\n"
    )


def test_a_component_that_fails_on_import(install_plugin):
    install_plugin("mmzoo-zz", HOOKS.format(kind="encoder", contributed={"eye": "zz_eye:Eye"}), zz_eye="1 / 0")
    assert fault(old="resnet", new="eye") == (
        "r.yaml:7:17  encoders.image.type: encoder 'eye' of mmzoo-zz 0.1 cannot be imported from 'zz_eye:Eye': "
        "ZeroDivisionError: division by zero.\n"
        "  Install what is missing, or leave the plugin out with MMZOO_BLOCK=mmzoo-zz.\n"
    )


def test_a_component_whose_options_cannot_be_read(install_plugin):
    hooks = HOOKS.format(kind="encoder", contributed={"eye": "zz_eye:Eye"})
    install_plugin("mmzoo-zz", hooks, zz_eye="class Eye:\n    def __init__(self, *, width: 'Nothing'): ...")
    assert fault(old="resnet", new="eye") == (
        "r.yaml:7:17  encoders.image.type: the options of 'Eye' cannot be read: NameError: name 'Nothing' is not defined.\n"
        "  Report this to the authors of the plugin.\n"
    )


def test_two_plugins_with_one_name(install_plugin, monkeypatch):
    for plugin in ("mmzoo-yy", "mmzoo-zz"):
        module = plugin.replace("-", "_") + "_eye"
        hooks = HOOKS.format(kind="encoder", contributed={"eye": f"{module}:Eye"})
        install_plugin(plugin, hooks, **{module: f"def Eye(): raise ValueError('the eye of {plugin}')"})
    assert fault(old="resnet, blocks: [1]", new="eye") == (
        "r.yaml:7:17  encoders.image.type: 2 plugins offer the encoder 'eye': mmzoo-yy 0.1 and mmzoo-zz 0.1.\n"
        "  Write 'mmzoo-yy/eye' to choose one, or leave a plugin out with MMZOO_BLOCK=mmzoo-zz.\n"
    )
    chosen = fault(old="resnet, blocks: [1]", new="mmzoo-zz/eye")
    assert chosen == "r.yaml:7:10  encoders.image: it cannot be built: the eye of mmzoo-zz\n"
    monkeypatch.setenv("MMZOO_BLOCK", "mmzoo-zz")
    left = fault(old="resnet, blocks: [1]", new="eye")
    assert left == "r.yaml:7:10  encoders.image: it cannot be built: the eye of mmzoo-yy\n"


def test_a_metric_that_wants_what_nobody_gives_is_found_before_training(install_plugin, toys):
    text = "class Luck:\n    def update(self, answer, lukc): ...\n    def result(self): return {}"
    install_plugin("mmzoo-zz", HOOKS.format(kind="metric", contributed={"luck": "zz_luck:Luck"}), zz_luck=text)
    Path("r.yaml").write_text(toys, "utf-8")
    assert said("build", "r.yaml", "--set", "metrics=[luck]") == (
        "--set metrics  metrics[0]: the metric 'luck' needs 'lukc', which neither the answers nor the inputs give.\n"
        "  Known: answer, top, score, ok, reason, references.\n"
    )


# Backends


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("torch", "the backend 'torch' of KERAS_BACKEND cannot train; expected tensorflow or jax.\n"),
        ("jax", "the backend 'jax' is not installed: pip install 'mmzoo[jax]'.\n"),
    ],
)
def test_a_backend_that_is_not_there(monkeypatch, backend, message):
    Path("r.yaml").write_text(RECIPE, "utf-8")
    monkeypatch.setenv("KERAS_BACKEND", backend)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    monkeypatch.delitem(sys.modules, "keras")
    assert said("check", "r.yaml") == message


# Places to write to


def test_an_out_that_cannot_be_written():
    Path("r.yaml").write_text(RECIPE, "utf-8")
    Path("file").touch()
    advice = "is a file, not a folder.\nChoose another folder with --out.\n"
    found = said("build", "r.yaml", "--out", "file/run")
    assert found == f"file/run: the run cannot be written there: {Path('file').absolute()} {advice}"
    assert said("build", "r.yaml", "--out", "file") == f"file: the run cannot be written there: file {advice}"


@pytest.mark.parametrize("option", [(), ("--force",), ("--resume",)])
@pytest.mark.parametrize("plan", [None, "{}", "Write a chapter a month.", '["format", "recipe", "versions"]'])
def test_a_folder_of_something_else_is_never_replaced(option, plan):
    Path("r.yaml").write_text(RECIPE, "utf-8")
    Path("thesis").mkdir()
    Path("thesis/chapter.tex").touch()
    if plan is not None:
        Path("thesis/plan.json").write_text(plan, "utf-8")
    example = "chapter.tex" if plan is None else "plan.json"
    assert said("build", "r.yaml", "--out", "thesis", *option) == (
        f"thesis: the folder holds files that are not a run ({example} ...); they are not replaced.\n"
        "Choose another folder with --out.\n"
    )
    assert Path("thesis/chapter.tex").exists()


@pytest.mark.parametrize("verb", ["build", "evaluate", "export"])
def test_a_folder_that_another_process_works_in_is_left_alone(verb):
    Path("r.yaml").write_text(RECIPE, "utf-8")
    run = Run(Path("runs/toy"))
    run.folder.mkdir(parents=True)
    run.plan.write_text(json.dumps({"format": FORMAT, "recipe": {}, "versions": {}}), "utf-8")
    run.lock.write_text(json.dumps({"process": 7, "host": "trainer", "since": "noon"}), "utf-8")
    words = ("build", "r.yaml", "--force") if verb == "build" else (verb, "runs/toy")
    assert re.fullmatch(
        r"runs/toy: process 7 on trainer has been working there since noon; its last sign of life is \d+ s old\.\n"
        r"Wait until it has ended\. After 10 minutes without a sign of life it counts as ended\. "
        r"If you know that it has, remove runs/toy/\.lock\.\n",
        said(*words),
    )
    assert sorted(path.name for path in run.folder.iterdir()) == [".lock", "plan.json"]


def test_a_run_that_is_there_is_not_replaced_unasked():
    Path("r.yaml").write_text(RECIPE, "utf-8")
    checkpoint = Path("runs/toy/checkpoint/state.json")
    checkpoint.parent.mkdir(parents=True)
    Path("runs/toy/plan.json").write_text("{}", "utf-8")
    checkpoint.write_text('{"epoch": 3}', "utf-8")
    other = ["head.units=16", "train.batch_size=9", "train.epochs=7"]
    plain = check("r.yaml", overrides=other).plan.plain()
    Path("runs/toy/plan.json").write_text(json.dumps({"format": FORMAT, "recipe": plain, "versions": {}}), "utf-8")
    advice = "Undo the change, replace the run with --force, or choose another folder with --out."
    there = "runs/toy: there is a run of another recipe, with a checkpoint after epoch 3; changed: head"
    assert said("build", "r.yaml") == f"{there}, train.epochs, train.batch_size.\n{advice}\n"
    assert said("build", "r.yaml", "--resume") == f"{there}, train.batch_size.\n{advice}\n"
    more = " --resume trains on to other `train.epochs`."
    sets = [word for one in other[:2] for word in ("--set", one)]
    assert said("build", "r.yaml", *sets).endswith(f"changed: train.epochs.\n{advice}{more}\n")


def test_resume_and_force_exclude_each_other():
    Path("r.yaml").write_text(RECIPE, "utf-8")
    message = "runs/toy: --resume continues the run and --force replaces it; give one of the two.\n"
    assert said("build", "r.yaml", "--resume", "--force") == message


@contextmanager
def no_file_larger_than(size: int):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_model(path: Path) -> None:
    module = tf.Module()
    module.numbers = tf.Variable(tf.zeros(30_000))
    tf.saved_model.save(module, str(path))


def save_in_place(path: Path, save: Callable[[Path], object]) -> None:
    with replacing(path) as beside:
        save(beside)


def dense(size: int) -> keras.Model:
    return keras.Sequential([keras.Input((size,)), keras.layers.Dense(size)])


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (lambda path: save_in_place(path, save_model), "1"),
        (lambda path: write_text(path, "new" * 10_000), "history.json"),
        # h5py would raise again when it is collected, and HDF5 end the process with a segmentation fault
        (lambda path: save_weights(dense(3), path), "small.weights.h5"),
        (lambda path: save_weights(dense(300), path), "large.weights.h5"),
    ],
    ids=["SavedModel", "text", "small weights", "large weights"],
)
def test_what_was_saved_survives_a_full_disk(save, name):
    path = Path(name)
    write_text(path, "the one before")
    with no_file_larger_than(4_000), pytest.raises(RunError) as raised:
        save(path)
    gc.collect()
    reason = os.strerror(errno.EFBIG)
    assert str(raised.value) == f"{name}: it cannot be written: {reason}. What was there before is untouched."
    assert path.read_text("utf-8") == "the one before"
    assert list(Path.cwd().iterdir()) == [path.absolute()]


def test_saved_weights_are_those_of_keras():
    one, other = dense(3), dense(3)
    save_weights(one, Path("w.weights.h5"))
    other.load_weights("w.weights.h5")
    assert all((mine == its).all() for mine, its in zip(one.get_weights(), other.get_weights(), strict=True))


def test_an_error_that_is_not_the_disks_is_left_as_it_is():
    with pytest.raises(ZeroDivisionError), replacing(Path("a")):
        _ = 1 / 0


# Ctrl-C and SIGTERM


def asked_to_end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (click.Abort, 130), (asked_to_end, 143)])
def test_a_build_that_is_stopped_says_how_to_go_on(monkeypatch, stop, code):
    Path("my recipe.yaml").write_text(RECIPE, "utf-8")

    def interrupted(*arguments, **options):
        raise stop() or AssertionError

    monkeypatch.setattr(sys.modules["mmzoo.build"], "_train", interrupted)
    found = said("build", "my recipe.yaml", "--out", "runs/a", "--set", "train.epochs=2", "--force", code=code)
    again = "mmzoo build 'my recipe.yaml' --out runs/a --set train.epochs=2"
    assert found == f"\nStopped. Go on from the last checkpoint with:  {again}\n"


def test_ctrl_c_elsewhere(monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["mmzoo.trained"], "load", interrupted)
    assert said("evaluate", "runs/a", code=130) == "\nStopped. No file is incomplete.\n"


# Runs


@pytest.mark.parametrize("verb", ["evaluate", "export"])
def test_a_run_that_is_not_there(verb):
    message = "runs/a: expected a trained run, found no run. `mmzoo build RECIPE` makes one.\n"
    assert said(verb, "runs/a") == message
    Path("runs/a").mkdir(parents=True)
    assert said(verb, "runs/a") == message


def test_predict_without_a_run_or_an_export():
    assert said("predict", "runs/a", "--image", "a.png") == "runs/a: there is no run. `mmzoo build RECIPE` makes one.\n"
    Path("runs/a/export/.5.half").mkdir(parents=True)
    Path("runs/a/plan.json").touch()
    message = "runs/a: the run has no exported model. `mmzoo export runs/a` makes it.\n"
    assert said("predict", "runs/a", "--image", "a.png") == message


# Names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("list", "encodrs"),
            (
                "there is no kind 'encodrs'. Nearest: encoders, heads. "
                "Known: datasets, processors, encoders, fusions, heads, losses, metrics.\n"
            ),
        ),
        (("show", "resnet"), "expected KIND/NAME, such as encoder/resnet, received 'resnet'. Perhaps encoder/resnet.\n"),
        (
            ("show", "encoder/resnett"),
            "no encoder named 'resnett'.\nNearest: resnet (mmzoo-image 0.1.0). `mmzoo list encoders` shows all.\n",
        ),
    ],
)
def test_a_wrong_name(arguments, message):
    assert said(*arguments) == message


# What was called otherwise before


def test_old_keys_name_the_new_ones():
    found = fault(old="{epochs: 1, batch_size: 4}", new="{epochs: 1, batch: 4, clip: 1.0, accumulate_contrastive: 2}")
    assert [line.strip() for line in found.splitlines()] == [
        "r.yaml:10:20  train.batch: there is no such option.",
        "It is called batch_size now.",
        "r.yaml:10:30  train.clip: there is no such option.",
        "It is called global_clipnorm now.",
        "r.yaml:10:41  train.accumulate_contrastive: there is no such option.",
        "It is called grad_cache_chunks now.",
    ]
    text = said("check", "r.yaml", "--set", "train={}", "--set", "inputs.caption={type: words, field: name, length: 8}")
    assert (
        text == "--set inputs.caption  inputs.caption.length: there is no such option.\n  It is called sequence_length now.\n"
    )


def test_every_new_name_of_an_old_one_is_a_name():
    catalog = discover()
    options = {option.name for component in catalog.components for option in options_of(component.load())}
    options |= {key.name for component in catalog.components for key in component_keys(component)}
    options |= {option.name for option in options_of(Train)}
    assert {new for names in RENAMED.values() for new in names} <= options


def test_a_run_of_another_format_is_refused_in_one_line():
    Path("run").mkdir()
    Path("run/plan.json").write_text(json.dumps({"recipe": {"train": {"batch": 4}}, "versions": {}}), "utf-8")
    Path("run/task.weights.h5").write_bytes(b"weights")
    for words in (("evaluate", "run"), ("export", "run")):
        assert said(*words) == (
            "run: the run was made by another version of mmzoo, whose recipes have other keys; build it again: "
            "`mmzoo build RECIPE --force`.\n"
        )
