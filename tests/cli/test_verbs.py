"""Every verb prints what it promises; the whole way from a recipe to an answer runs through the command line."""

import base64
import inspect
import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from PIL import Image

from mmzoo.cli.tables import _samples, answered
from mmzoo.cli.typed import Answer, ask, parse
from mmzoo.cli.verbs import main
from mmzoo.errors import MmzooError, RunError
from mmzoo.recipe.options import CORE_PARAMETERS
from mmzoo.registry.discovery import discover
from mmzoo.registry.hookspecs import KINDS, plural
from mmzoo.run.folder import FORMAT, Run
from mmzoo.serving.predict import Exported, _signatures, open_export

FIRST_PARTY = (
    "mmzoo-answering",
    "mmzoo-captioning",
    "mmzoo-datasets",
    "mmzoo-fusion",
    "mmzoo-image",
    "mmzoo-matching",
    "mmzoo-text",
    "mmzoo-video",
)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return "".join(f"{line.rstrip()}\n" for line in result.stdout.splitlines())


def rows(printed: str) -> list[list[str]]:
    """Splits a printed table into cells."""
    return [re.split(r" {2,}", line.strip()) for line in printed.splitlines() if line.strip()]


# Looking around


def test_help_names_every_verb_in_the_order_of_the_work():
    listed = run("--help").partition("Commands:")[2]
    verbs = [line.split()[0] for line in listed.strip().splitlines()]
    assert verbs == ["build", "check", "list", "show", "plugins", "evaluate", "export", "predict", "schema"]
    assert all(run(verb, "--help").startswith(f"Usage: main {verb}") for verb in verbs)


def test_list_shows_every_component_with_its_plugin_and_summary():
    printed = rows(run("list"))
    assert printed[0] == ["kind", "name", "plugin", "what it does"]
    expected = [[c.kind, c.name, str(c.plugin)] for kind in KINDS for c in discover().of(kind)]
    assert [row[:3] for row in printed[1:] if row[0] in KINDS] == expected
    assert next(row[3] for row in printed if row[1:2] == ["words"]).startswith("Turns text into word ids")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_listed_by_its_singular_and_plural(kind):
    printed = run("list", kind)
    assert printed == run("list", plural(kind))
    assert {row[0] for row in rows(printed)[1:] if row[0] in KINDS} <= {kind}


def test_list_says_what_is_missing(install_plugin):
    install_plugin("mmzoo-zz", "import nothing_of_the_kind")
    result = CliRunner().invoke(main, ["list", "losses"])
    assert result.stderr == "The plugin mmzoo-zz 0.1 did not load: ModuleNotFoundError: No module named 'nothing_of_the_kind'\n"
    assert "token_cross_entropy" in result.stdout


@pytest.mark.parametrize("path", ["encoder/resnet", "encoders/resnet", "encoder/mmzoo-image/resnet"])
def test_show_tells_a_components_options_and_source(path):
    printed = run("show", path)
    loaded = discover().get("encoder", "resnet").load()
    source, line = inspect.getsourcefile(loaded), inspect.getsourcelines(loaded)[1]
    assert "".join(printed.split()).startswith(f"encoderresnetpluginmmzoo-image0.1.0source{source}:{line}")
    assert inspect.getdoc(loaded).splitlines()[0] in printed
    options = {row[0]: row[1:] for row in rows(printed.partition("what it does\n")[2]) if len(row) > 2}
    parameters = [p for p in inspect.signature(loaded.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY]
    expected = {p.name: str(p.default) for p in parameters if p.name not in CORE_PARAMETERS} | {"trainable": "True"}
    assert expected == {name: option[1] for name, option in options.items()}
    assert options["block"] == ["'basic' | 'bottleneck'", "basic", options["block"][2]]


@pytest.mark.parametrize(
    ("path", "first"),
    [
        ("processor/image", ["field", "str", "required", "Field of the data set that the input reads."]),
        (
            "loss/token_cross_entropy",
            ["logits", "str", "logits", "Name of the head's output or the input of the recipe to use as `logits`."],
        ),
        ("dataset/openmoji", ["on_error", "'stop' | 'skip'", "stop"]),
    ],
)
def test_show_tells_the_keys_that_the_core_reads_itself(path, first):
    printed = rows(run("show", path).partition("what it does\n")[2])
    assert printed[0][: len(first)] == first


def test_plugins_shows_health_and_still_ends_well(install_plugin):
    install_plugin("mmzoo-yy", "from mmzoo import hookimpl\n@hookimpl\ndef mmzoo_losses(): return {'gap': 'yy_none:gap'}")
    install_plugin("mmzoo-zz", "raise RuntimeError('no  such\\nfile')")
    printed = {row[0]: row[1:] for row in rows(run("plugins"))}
    assert printed["mmzoo-yy"] == ["0.1", "mmzoo_yy_hooks", "no module for the loss 'gap': yy_none:gap"]
    assert printed["mmzoo-zz"] == ["0.1", "mmzoo_zz_hooks", "RuntimeError: no such file"]
    assert set(FIRST_PARTY) <= set(printed)
    assert printed["mmzoo-image"][:2] == ["0.1.0", "mmzoo_image.hooks"]
    assert printed["mmzoo-image"][2].startswith("good, ")


def test_schema_is_json():
    made = json.loads(run("schema"))
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert set(made["required"]) == {"name", "data", "inputs", "encoders", "head", "loss"}


def test_check_shows_the_parts_and_writes_nothing(toys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("r.yaml").write_text(toys, "utf-8")
    printed = run("check", "r.yaml", "--set", "head.units=4")
    labels = {row[0]: row[1:] for row in rows(printed)}
    assert labels["recipe"] == ["toy", "Says what colour a square has or where it is."]
    assert labels["data"] == ["toy_squares"]
    assert "24 train, 12 validation, 12 test" in printed
    assert labels["inputs.answer"] == ["the field 'answer' read by toy_label"]
    encoder, head = (9 * 9 * 3 + 1) * 16, (16 + 1) * 4 + (4 + 1) * 6  # of pixels and biases; of six labels
    assert labels["encoders.image"] == [f"toy_flat, {encoder:,} weights"]
    assert labels["head"] == [f"toy_classify, {head} weights"]
    assert labels["weights"] == [f"{encoder + head:,} in total"]
    assert "takes (batch, 9, 9, 3) uint8" in printed
    assert "gives {tokens: (batch, 1, 16) float32, mask: (batch, 1) bool}" in printed
    assert "gives {logits: (batch, 6) float32}" in printed
    assert labels["loss"] == ["toy_cross_entropy(logits, answer), weight 1"]
    assert labels["metrics"] == ["exact_match"]
    assert labels["signature"] == ["answer: takes image, predicts answer"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.yaml", "site"]


# The whole way


@pytest.fixture(scope="module")
def built(toy_world):
    """What the build of the toys' recipe printed; its run is runs/toy, some files lie beside."""
    from mmzoo_toys.squares import bmp

    for name, level in (("dark", 20), ("light", 200)):
        Path(f"{name}.bmp").write_bytes(bmp(np.full((9, 9, 3), level, "uint8")))
    Path("notes.txt").write_text("no picture", "utf-8")
    Path("empty.bmp").touch()
    return run("build", "r.yaml")


RUN = "runs/toy"


@pytest.mark.slow
def test_a_build_ends_with_scores_samples_and_how_to_ask(built):
    scores = json.loads(Path(RUN, "scores.json").read_text("utf-8"))
    table = rows(built.partition("Scores on 12 examples of 'test'")[2])
    assert table[0] == ["metric", "model", "most_frequent", "nearest"]
    found = [scores["exact_match"], scores["baseline.most_frequent.exact_match"], scores["baseline.nearest.exact_match"]]
    assert table[1] == ["exact_match", *[f"{number:.4g}" for number in found]]
    answers = [json.loads(line) for line in Path(RUN, "answers.jsonl").read_text("utf-8").splitlines()]
    samples = rows(built.partition("Held-out examples")[2])
    assert samples[0] == ["answer (expected)", "answer (model)"]
    assert samples[1:7] == [[one["references"]["answer"][0], one["answers"]["model"]["answer"]] for one in answers[::2]]
    end = {row[0]: row[1] for row in samples[7:]}
    assert end == {
        "report": f"{RUN}/report.html",
        "model": f"{RUN}/export/1",
        "predict": f"mmzoo predict {RUN} --image FILE",
    }
    assert Path(end["report"]).is_file()
    assert (Path(end["model"]) / "saved_model.pb").is_file()


def test_text_may_hold_what_ends_a_line_elsewhere(tmp_path):
    text = "one\u2028two\x85three\x0bfour"
    row = json.dumps({"references": {"said": [text]}, "answers": {"model": {"said": text}}}, ensure_ascii=False)
    (tmp_path / "answers.jsonl").write_text(f"{row}\n{row}\n", "utf-8")
    table, _ = _samples(Run(tmp_path))
    assert table.row_count == 2


@pytest.mark.slow
def test_the_printed_command_answers(built):
    command = built.rpartition("\npredict ")[2].strip().replace("FILE", "dark.bmp")
    printed = rows(run(*shlex.split(command)[1:]))
    assert printed[0] == ["image", "answer", "score", "top"]
    assert printed[1][:2] == ["dark.bmp", printed[1][3].split(", ")[0]]


@pytest.mark.slow
def test_predict_gives_json_with_a_reason_for_what_cannot_be_read(built):
    words = ["--image", "dark.bmp", "notes.txt", "light.bmp"]
    found = json.loads(run("predict", RUN, "--json", *words))
    assert [one["inputs"] for one in found] == [{"image": name} for name in words[1:]]
    assert [one["outputs"]["ok"] for one in found] == [True, False, True]
    assert found[1]["outputs"]["reason"] == "image: this is no BMP picture of 9 by 9 pixels"
    printed = rows(run("predict", RUN, *words))
    assert printed[2] == ["notes.txt", "not answered: image: this is no BMP picture of 9 by 9 pixels"]
    for row, one in ((printed[1], found[0]), (printed[3], found[2])):
        assert row[1] == one["outputs"]["answer"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--image", "gone.bmp"], "--image gone.bmp: the file cannot be read: No such file or directory.\n"),
        (["--image", "."], "--image .: the file cannot be read: Is a directory.\n"),
        (["--image", "dark.bmp", "empty.bmp"], "--image empty.bmp: the file is empty.\n"),
        (["--picture", "dark.bmp"], "--picture: the exported model takes no such input. Known: image.\n"),
        (["--image"], "--image: expected one or more values after it.\n"),
        ([], "the exported model needs --image, each with one or more values.\n"),
        (["dark.bmp"], "expected --INPUT before its values, received 'dark.bmp'.\n"),
        (
            ["--signature", "captoin", "--image", "dark.bmp"],
            f"{RUN}/export/1: the exported model has no signature 'captoin'. Known: answer.\n",
        ),
    ],
)
@pytest.mark.slow
def test_a_wrong_question(built, words, message):
    result = CliRunner().invoke(main, ["predict", RUN, *words])
    assert (result.exit_code, result.output) == (2, message)


@pytest.mark.slow
def test_evaluate_and_export_do_again_what_the_build_did(built, asked_here):
    scores, exported = Path(RUN, "scores.json"), Path(RUN, "export/1/saved_model.pb")
    kept = scores.read_text("utf-8")
    scores.unlink()
    exported.unlink()
    printed = run("evaluate", RUN)
    assert scores.read_text("utf-8") == kept
    assert "Scores on 12 examples of 'test'" in printed
    assert run("export", RUN).splitlines()[-1] == f"{RUN}/export/1"
    assert exported.exists()


@pytest.mark.slow
def test_what_is_made_from_one_input_can_miss_none(built):
    result = CliRunner().invoke(main, ["evaluate", RUN, "--missing"])
    assert result.exit_code == 2
    assert "so no input can be missing; expected two inputs or more." in result.output


@pytest.mark.parametrize("share", [RUN, "0", "1.5", "nan"])
def test_a_share_is_one_and_the_run_stands_before_it(share):
    result = CliRunner().invoke(main, ["evaluate", "--missing", share])
    assert result.exit_code == 2
    assert result.stderr.endswith(
        f"Error: Invalid value for '--missing': expected a share, above 0 and at most 1, received '{share}'. "
        "Put RUN before the option: `mmzoo evaluate RUN --missing`.\n"
    )


# Asking a model of another shape: the sum of numbers per row, and the lengths of two texts and of a list of files


class Measure(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.float32)])
    def text(self, text, factor):
        return {
            "length": tf.cast(tf.strings.length(text), tf.float32) * factor,
            "ok": factor > 0,
            "reason": tf.strings.as_string(factor),
        }

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.string)])
    def clip(self, clip):
        lengths = tf.strings.length(clip)
        return {
            "lengths": lengths,
            "png": tf.strings.join([b"\x89PNG", clip[:, 0]]),
            "ok": lengths[:, 0] > 0,
            "reason": clip[:, 0],
        }


@pytest.fixture(scope="module")
def measure(tmp_path_factory):
    folder = tmp_path_factory.mktemp("measure")
    for version in ("2", "10"):
        module = Measure()
        signatures = {"serving_default": module.text, "text": module.text, "clip": module.clip}
        tf.saved_model.save(module, str(folder / "export" / version), signatures=signatures)
    (folder / "export" / ".11.half").mkdir()
    (folder / "plan.json").write_text(json.dumps({"format": FORMAT, "recipe": {"inputs": {}, "encoders": {}}}), "utf-8")
    found = open_export(Run(folder))
    assert found.folder.name == "10"
    return Exported(found.folder, found.signatures, frozenset(["clip"]))


def test_many_examples_are_answered_in_batches(measure, monkeypatch):
    asked = []
    predict = Exported.predict
    monkeypatch.setattr(
        Exported, "predict", lambda self, raw, *given: asked.append(len(raw["text"])) or predict(self, raw, *given)
    )
    words = [str(number) for number in range(1, 71)]
    answers = ask(measure, parse(["--text", *words, "--factor", *words]))
    assert asked == []
    assert [answer.outputs["length"] for answer in answers] == [len(word) * float(word) for word in words]
    assert asked == [32, 32, 6]


def test_what_is_wrong_with_a_late_example_is_said_before_the_first_answer(measure, tmp_path):
    (tmp_path / "a").write_text("a", "utf-8")
    with pytest.raises(MmzooError, match="the file cannot be read"):
        ask(measure, parse(["--clip", *[str(tmp_path / "a")] * 40, "--clip", str(tmp_path / "gone")]), "clip")


def test_json_has_null_for_what_is_no_number():
    outputs = {"score": float("nan"), "scores": [float("-inf"), 1.0]}
    assert Answer({}, outputs).plain()["outputs"] == {"score": None, "scores": [None, 1.0]}


def test_a_value_may_begin_with_a_dash(tmp_path):
    result = CliRunner().invoke(main, ["predict", str(tmp_path), "--caption", "-hat", "--caption=--json"])
    assert (result.exit_code, result.output) == (2, f"{tmp_path}: there is no run. `mmzoo build RECIPE` makes one.\n")
    assert parse(["--caption", "-hat", "--caption=--json"]) == {"caption": [["-hat"], ["--json"]]}


def test_a_terminal_without_unicode_gets_escapes(install_plugin, tmp_path):
    text = "from mmzoo import hookimpl\n@hookimpl\ndef mmzoo_losses(): return {'图': 'yy_none:gap'}"
    install_plugin("mmzoo-yy", text)
    result = CliRunner(charset="ascii").invoke(main, ["plugins"], catch_exceptions=False)
    assert "no module for the loss '\\u56fe'" in result.stdout


def test_a_working_folder_that_is_gone_is_said(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    result = CliRunner().invoke(main, ["check", "r.yaml"])
    assert (result.exit_code, result.output) == (2, "the working folder does not exist any more. Change to another one.\n")


def test_texts_and_numbers_are_asked_about(measure):
    answers = list(ask(measure, parse(["--text", "four", "seven!!", "--factor", "2", "-1.5"])))
    assert [answer.inputs for answer in answers] == [{"factor": "2", "text": "four"}, {"factor": "-1.5", "text": "seven!!"}]
    assert [answer.outputs["length"] for answer in answers] == [8.0, -10.5]
    assert [answer.outputs["ok"] for answer in answers] == [True, False]


def test_a_list_of_files_is_one_example_each_time_it_stands(measure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a", "bb", "ccc"):
        Path(name).write_text(name, "utf-8")
    answers = list(ask(measure, parse(["--clip", "a", "bb", "--clip", "ccc"]), "clip"))
    assert [answer.inputs["clip"] for answer in answers] == [["a", "bb"], ["ccc"]]
    assert [answer.outputs["lengths"] for answer in answers] == [[1, 2], [3, 0]]
    assert answers[0].outputs["png"] == b"\x89PNGa"
    assert answers[0].plain()["outputs"]["png"] == {"b64": "iVBOR2E="}


def test_a_folder_stands_for_its_files_in_the_order_of_their_numbers(measure, tmp_path):
    for name in ("frame10", "frame9", "frame1"):
        (tmp_path / name).write_text("x" * int(name[5:]), "utf-8")
    (answer,) = ask(measure, parse(["--clip", str(tmp_path)]), "clip")
    assert answer.outputs["lengths"] == [1, 9, 10]
    assert answer.inputs["clip"] == [str(tmp_path / name) for name in ("frame1", "frame9", "frame10")]


def test_an_input_that_is_encoded_may_be_left_out_but_not_empty(tmp_path):
    class Both(tf.Module):
        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.string),
                tf.TensorSpec([None], tf.string),
                tf.TensorSpec([None, None], tf.float32),
            ]
        )
        def say(self, clip, text, vector):
            there = tf.reduce_any(clip != "", axis=1) | tf.reduce_any(vector != 0, axis=1)
            return {"there": there, "text": text, "ok": there, "reason": text}

    module = Both()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.say})
    exported = Exported(tmp_path, _signatures(tmp_path), frozenset(["clip"]), frozenset(["clip", "vector"]), {"clip": "video"})
    answers = list(ask(exported, parse(["--text", "a", "b", "--vector", "0", "--vector", "1"])))
    assert [(one.inputs, one.outputs["there"], one.outputs["text"]) for one in answers] == [
        ({"text": "a", "vector": ["0"]}, False, "a"),
        ({"text": "b", "vector": ["1"]}, True, "b"),
    ]
    (tmp_path / "clip" / "deeper").mkdir(parents=True)
    (tmp_path / "clip" / ".hidden").write_text("no frame")
    (tmp_path / "frame").touch()
    red, blue = (Image.new("RGB", (2, 2), colour) for colour in ("red", "blue"))
    red.save(tmp_path / "moves.gif", save_all=True, append_images=[blue])
    for words, message in (
        (["--clip", __file__], "the exported model needs --text, each with one or more values."),
        (["--text", "a"], "the exported model needs --clip and --vector, each with one or more values."),
        (
            ["--text", "a", "--clip", f"{tmp_path}/clip"],
            f"--clip {tmp_path}/clip: there is no file in the folder. Leave --clip out to predict without it.",
        ),
        (
            ["--text", "a", "--clip", __file__, f"{tmp_path}/frame"],
            f"--clip {tmp_path}/frame: the file is empty. Leave --clip out to predict without it.",
        ),
        (
            ["--text", "a", "--clip", f"{tmp_path}/moves.gif"],
            f"--clip {tmp_path}/moves.gif: expected the folder of a clip's frames, or the files of its frames; "
            "this one file holds 2 frames, and the model would read only the first.",
        ),
        (["--text", "a", "--clip", "x" * 300], f"--clip {'x' * 300}: the folder cannot be read: File name too long."),
    ):
        with pytest.raises(MmzooError) as raised:
            ask(exported, parse(words))
        assert str(raised.value) == message
    pages = replace(exported, modalities={"clip": "document"})  # only of a video is a single animation refused
    (answer,) = ask(pages, parse(["--text", "a", "--clip", f"{tmp_path}/moves.gif"]))
    assert answer.outputs["ok"]


def test_what_a_search_finds_is_printed_one_below_the_other():
    found = {"id": list("abcdefghij"), "caption": ["red", *["blue"] * 9], "score": [0.5] * 10, "ok": True, "reason": ""}
    table = answered([Answer({"text": "red"}, found)])
    assert [list(column.cells) for column in table.columns] == [
        ["red"],
        ["\n".join("abcdefghij")],
        ["\n".join(["red", *["blue"] * 9])],
        ["\n".join(["0.5"] * 10)],
    ]


def test_of_what_a_search_found_a_build_shows_the_first(tmp_path):
    answer = {"id": ["a", "b"], "caption": ["red", "blue"], "score": [0.5, 0.25], "ok": True, "reason": ""}
    row = json.dumps({"references": {"caption": ["red"]}, "answers": {"model": answer}})
    (tmp_path / "answers.jsonl").write_text(f"{row}\n", "utf-8")
    table, _ = _samples(Run(tmp_path))
    assert [list(column.cells) for column in table.columns] == [["red"], ["a"], ["red"]]


def test_pictures_are_left_out_of_the_examples_of_a_build(tmp_path):
    picture = {"b64": base64.b64encode(b"\x89PNG\r\n\x1a\nand more").decode()}
    answer, said = {"image_bytes": picture, "ok": True, "reason": ""}, ["label (expected)", "said (model)"]
    for further, left in (({}, []), ({"said": "red"}, said)):
        row = json.dumps({"references": {"image": [picture], "label": ["red"]}, "answers": {"model": answer | further}})
        (tmp_path / "answers.jsonl").write_text(f"{row}\n{row}\n", "utf-8")
        tables = list(_samples(Run(tmp_path)))
        assert [column.header for table in tables[:1] for column in table.columns] == left
    answers = [Answer({"text": "red"}, {"image_bytes": b"GIF89a", "ok": True, "reason": ""})]
    assert [list(column.cells) for column in answered(answers).columns] == [["red"], ["picture"]]


def test_an_array_is_printed_by_its_shape():
    answers = [Answer({"clip": ["a", "b"]}, {"seen": [[0.5] * 9] * 4, "png": b"\x89", "ok": True, "reason": ""})]
    assert [list(column.cells) for column in answered(answers).columns] == [
        ["a b"],
        ["4 x 9 numbers; --json prints them"],
        ["1 bytes"],
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--text a b --factor 1", "expected the same number of values for each input; --factor has 1, --text has 2."),
        ("--text a --factor one", "--factor one: expected a number (float32)."),
        ("--factor 1", "the exported model needs --text, each with one or more values."),
    ],
)
def test_inputs_that_do_not_fit(measure, words, message):
    with pytest.raises(MmzooError) as raised:
        ask(measure, parse(words.split()))
    assert str(raised.value) == message


def test_a_broken_export_is_named(measure, tmp_path):
    run_ = Run(tmp_path)
    (tmp_path / "export" / "1").mkdir(parents=True)
    (tmp_path / "plan.json").write_text(json.dumps({"format": FORMAT, "recipe": {"inputs": {}, "encoders": {}}}), "utf-8")
    (tmp_path / "export" / "1" / "saved_model.pb").write_bytes(b"no model")
    with pytest.raises(
        RunError, match=f"^{tmp_path}/export/1: the exported model is incomplete: .* `mmzoo export` makes it anew.$"
    ):
        open_export(run_)
