"""The documentation is true: its commands, snippets and recipes run, its plugin works, nothing is left out."""

import argparse
import configparser
import inspect
import itertools
import json
import re
import runpy
import shlex
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import tensorflow as tf
from click.testing import CliRunner
from markdown_it import MarkdownIt
from rich.console import Console
from ruamel.yaml import YAML

import mmzoo
from mmzoo import errors
from mmzoo.cli.tables import finished
from mmzoo.cli.verbs import main
from mmzoo.contracts.progress import Screen
from mmzoo.planned import plan_build
from mmzoo.recipe.resolve import resolve
from mmzoo.recipe.source import parse_recipe, read_recipe
from mmzoo.registry.discovery import discover
from mmzoo.registry.hookspecs import KINDS, hook_name
from mmzoo.run.folder import Run
from mmzoo.testing import check, read_split

ROOT = Path(__file__).parents[1]
README, DOCS = ROOT / "README.md", ROOT / "docs"
PAGES = [README, *sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("plugins/*/README.md"))]
TEXT = "\n".join(page.read_text("utf-8") for page in PAGES)
SHOWN = {"docker", "curl", ".", "pip"}
"""Commands that are no part of the project: shown, and not run."""
PICTURES = 12

# What the pages hold


def snippets(page: Path, *languages: str) -> list[str]:
    """Gives the fenced blocks of some languages, but for those that are files of a plugin."""
    return [text for language, name, text in blocks(page) if language in languages and not name]


def files(page: Path) -> dict[str, str]:
    """Gives the fenced blocks that are files: each stands below its path."""
    return {name: text for _, name, text in blocks(page) if name}


def blocks(page: Path) -> Iterator[tuple[str, str, str]]:
    """Gives each fenced block: its language, the path that stands alone in the paragraph above it, its text."""
    before = ""
    for token in MarkdownIt().parse(page.read_text("utf-8")):
        if token.type == "inline":
            before = token.content
        elif token.type == "fence":
            path = re.fullmatch(r"`([\w./-]+\.\w+)`", before)
            yield token.info, path[1] if path else "", token.content
            before = ""


def inline(page: Path, of: str) -> list[str]:
    """Gives the code in running text and tables, or the targets of links."""
    tokens = MarkdownIt().enable("table").parse(page.read_text("utf-8"))
    children = list(itertools.chain.from_iterable(token.children or () for token in tokens))
    if of == "link":
        return [str(token.attrs["href"]) for token in children if token.type == "link_open"]
    return [token.content.replace("\\|", "|") for token in children if token.type == "code_inline"]


def commands(page: Path) -> list[str]:
    return [line for text in snippets(page, "sh") for line in text.splitlines() if line.strip()]


COMMANDS = sorted({command for page in PAGES for command in commands(page)})
OWN = [command for command in COMMANDS if command.startswith("mmzoo")]
CODE = sorted({code for page in PAGES for code in inline(page, "code")})


BUILD = next(text for text in snippets(README, "python") if "mmzoo.build(" in text)
"""The snippet that builds; the run that it makes is the one that all others ask."""


# Where they run


@pytest.fixture(scope="module")
def world(tmp_path_factory, unrehearsed):
    """A folder like a newcomer's: small recipes under the real names, a table, a finished run, the tutorial's plugin."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        install_tutorial(folder / "mmzoo-patches")
        patch.syspath_prepend(folder / "mmzoo-patches")
        write_pictures()
        write(Path("recipes/files/captioner.yaml"), small(ROOT / "recipes/files/captioner.yaml"))
        write(Path("recipes/openmoji/captioner.yaml"), renamed(Path("recipe.yaml")))
        write(Path("recipes/openmoji/retriever.yaml"), on_the_table(ROOT / "recipes/openmoji/retriever.yaml"))
        with pytest.MonkeyPatch.context() as short:  # what stands in other tests is left out: two builds are enough to wait for
            short.setattr("mmzoo.serving.export._verify", lambda *_: None)
            exec(BUILD, {})
            for name in ("openmoji-captioner", "mine"):
                Path("runs", name).symlink_to("short")
            short.setattr(import_module("mmzoo.build"), "evaluate", lambda *_: None)
            mmzoo.build("recipes/openmoji/retriever.yaml", screen=Screen(quiet=True))
        patch.setattr(tf.saved_model, "load", loaded_once(tf.saved_model.load))
        yield folder


def loaded_once(load: Callable[[str], Any]) -> Callable[[str | Path], Any]:
    """Loads each exported model once for all the commands that ask it."""
    keep = cache(load)
    return lambda folder: keep(str(Path(folder).resolve()))


def install_tutorial(folder: Path) -> None:
    """Writes the files of the tutorial, and what pip would write of its `setup.cfg`."""
    for name, text in files(DOCS / "writing-a-plugin.md").items():
        write(folder / name if name != "recipe.yaml" else Path(name), text)
    parser = configparser.ConfigParser()
    parser.read(folder / "setup.cfg", "utf-8")
    name, version = parser["metadata"]["name"], parser["metadata"]["version"]
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    write(info / "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    write(info / "entry_points.txt", f"[mmzoo]\n{parser['options.entry_points']['mmzoo']}\n")
    write(folder / parser["options"]["packages"] / "__init__.py", "")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def write_pictures() -> None:
    """Writes pictures and the tables that the README tells of."""
    pairs, several, lines = ["image,caption,photo,text,split,note"], ["image,caption_1,caption_2"], []
    Path("my/photos").mkdir(parents=True)
    for number in range(PICTURES):
        pixels, path = np.full((20, 20, 3), [200, 20 * number, 0], "uint8"), f"photos/{number}.jpg"
        Path("my", path).write_bytes(tf.io.encode_jpeg(pixels).numpy())
        split = {0: "test", 1: "val"}.get(number, "train")
        pairs.append(f"{path},a red square,{path},red,{split},note")
        several.append(f"{path},one,two")
        lines.append(json.dumps({"image": path, "caption": ["one", "two"]}))
    for name, rows in (("pairs.csv", pairs), ("several.csv", several), ("pairs.jsonl", lines)):
        write(Path("my", name), "\n".join(rows))
    Path("a.png").write_bytes(tf.io.encode_png(pixels).numpy())
    shutil.copy("my/photos/1.jpg", "b.jpg")
    write(Path("notes.txt"), "no picture")


def small(recipe: Path) -> str:
    """Makes a captioner's recipe build in seconds."""
    made = YAML(typ="safe").load(recipe)
    made["inputs"]["image"]["size"] = 16
    made["inputs"]["caption"]["sequence_length"] = 5  # the head unrolls its words
    made["encoders"]["image"] = {"type": "resnet", "blocks": [1], "stem": 3}
    made["head"] |= {"units": 8, "beam": 2}
    made["train"] = {"epochs": 1, "batch_size": 4}
    return json.dumps(made)  # JSON is YAML


def renamed(recipe: Path) -> str:
    """Puts the tutorial's recipe in the place of OpenMoji's, so that one build serves the whole documentation."""
    made = YAML(typ="safe").load(recipe) | {"name": "openmoji-captioner", "metrics": ["word_f1", "exact_match"]}
    made["inputs"]["caption"]["sequence_length"] = 5
    return json.dumps(made)


def on_the_table(recipe: Path) -> str:
    """Makes a retriever's recipe build in seconds from the newcomer's table."""
    made = YAML(typ="safe").load(recipe)
    made["data"] = {"type": "files", "table": "my/pairs.csv", "columns": ["image", "caption"]}
    made["inputs"]["image"]["size"], made["inputs"]["caption"]["field"] = 16, "caption"
    made["encoders"] = {"image": {"type": "resnet", "blocks": [1], "stem": 3}, "caption": {"type": "gru", "dim": 4, "units": 8}}
    made["head"].pop("key")
    made["train"] = {"epochs": 1, "batch_size": 4}
    return json.dumps(made)


# Commands


def parsed(command: str) -> tuple[str, click.Context]:
    """Parses one of our commands as the command line does; gives the verb and its parameters."""
    verb, *arguments = shlex.split(command.partition(" > ")[0])[1:]
    return verb, main.commands[verb].make_context(verb, arguments)


@cache
def invoked(words: tuple[str, ...]) -> tuple[int, str]:
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    return result.exit_code, result.output


@pytest.mark.parametrize("command", OWN)
@pytest.mark.slow
def test_a_command_works(world, command):
    words = shlex.split(command.partition(" > ")[0])[1:]
    if words[0] in ("evaluate", "export"):  # tests/test_cli.py runs them
        assert (parsed(command)[1].params["run"] / "plan.json").exists()
        return
    if words[0] == "build" and "--help" not in words:  # two recipes are built, and the commands of `check` assemble them
        params = parsed(command)[1].params
        plan_build(read_recipe(params["recipe"], params["overrides"]), discover())
        return
    code, printed = invoked(tuple(words))
    assert code == 0, printed


def test_every_other_command_is_known():
    rest = {shlex.split(command)[0] for command in COMMANDS if command not in OWN}
    assert rest - SHOWN == {"make"}


@pytest.mark.parametrize("target", sorted({c.split()[1] for c in [*COMMANDS, *CODE] if c.startswith("make ")}))
def test_make_has_the_target(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


@pytest.mark.parametrize("command", [code for code in CODE if "python benchmarks/" in code])
def test_a_benchmark_takes_its_arguments(command, monkeypatch):
    words = shlex.split(command.partition("python ")[2])
    parse = argparse.ArgumentParser.parse_args

    def stop(parser):
        parse(parser, words[1:])
        raise KeyboardInterrupt

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.syspath_prepend(ROOT / "benchmarks")  # as Python does for the script that it runs
    with pytest.raises(KeyboardInterrupt):
        runpy.run_path(str(ROOT / words[0]), run_name="__main__")


@pytest.mark.parametrize("code", [code for code in CODE if re.match(r"mmzoo [a-z]", code)])
def test_a_command_in_the_text_names_a_verb_and_its_options(code):
    verb, *words = code.split()[1:]
    known = {option for parameter in main.commands[verb].params for option in parameter.opts}
    inputs = {"--INPUT", "--image", "--video", "--question"} if verb == "predict" else set()
    assert set(re.findall(r"--[a-zA-Z-]+", " ".join(words))) <= known | inputs


@pytest.mark.parametrize("verb", list(main.commands))
def test_every_verb_stands_in_the_readme_with_all_of_its_options(verb):
    options = {option for parameter in main.commands[verb].params for option in parameter.opts if option.startswith("--")}
    synopsis = next(code for code in inline(README, "code") if re.match(rf"mmzoo {verb}( [A-Z\[]|$)", code))
    assert set(re.findall(r"--[a-z]+", synopsis)) == options
    assert f"mmzoo {verb}" in TEXT


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*/*.yaml")), ids=lambda path: path.parent.name)
def test_the_commands_in_the_header_of_a_recipe_name_it(path):
    found = re.findall(r"^#\s+(mmzoo (?:build|check) .*)", path.read_text("utf-8"), re.MULTILINE)
    assert found
    for command in found:
        assert ROOT / parsed(command)[1].params["recipe"] == path


SETS = re.compile(r'(?:--set (?:"[^"]+"|\S*[^\s.;]) ?)+')
OVERRIDES = [code for code in inline(README, "code") if code.startswith("--set")]
OVERRIDES += [found.strip() for found in SETS.findall((ROOT / "recipes/files/captioner.yaml").read_text("utf-8"))]


@pytest.mark.parametrize("words", sorted(set(OVERRIDES)))
@pytest.mark.slow
def test_a_table_of_your_own_is_read_as_the_readme_says(world, words):
    given = [word.replace("/data/photos", "my") for word in shlex.split(words) if word != "--set"]
    table = "my/several.csv" if "caption_1" in words else "my/pairs.csv"
    plan = resolve(read_recipe("recipes/files/captioner.yaml", (f"data.table={table}", *given)), discover())
    splits = plan.dataset.splits()
    assert set(splits) == {"train", "validation", "test"}
    rows = [row for split in splits.values() for row in read_split(split)]
    assert len(rows) == PICTURES
    assert {row[mmzoo.fault_of(column.field)] for row in rows for column in plan.inputs.values()} == {b""}
    several = any(word in words for word in ("group_by", "lists", "jsonl"))
    assert {isinstance(row[plan.inputs["caption"].field], list) for row in rows} == {several}


# Python, YAML, JSON, links


def numbered(*languages: str) -> list:
    return [
        pytest.param(text, id=f"{page.parent.name}-{page.stem}-{number}")
        for page in PAGES
        for number, text in enumerate(snippets(page, *languages))
        if text != BUILD
    ]


@pytest.mark.parametrize("text", numbered("python"))
@pytest.mark.slow
def test_a_python_snippet_runs(world, text, capsys):
    exec(compile(text, "snippet", "exec"), {})
    assert capsys.readouterr().out


def filled_in(part: dict) -> dict:
    """Puts parts in a recipe for pictures, or for clips, all inputs read from one field of its data."""
    clips = "video" in str(part) or "moving_emoji" in str(part)
    found = YAML(typ="safe").load(ROOT / "recipes/openmoji/captioner.yaml")
    found["inputs"] = {"image": {"type": "image", "field": "image"}, "caption": {"type": "words"}}
    if clips:
        found |= {"data": "moving_emoji", "encoders": {"video": {"type": "video_transformer"}}}
        found["inputs"] = {"video": {"type": "frames", "picture": "image"}, "caption": {"type": "words"}}
    field = {"field": "caption" if clips or "files" in str(part.get("data")) else "name"}
    inputs = found["inputs"] | {name: column | field for name, column in part.get("inputs", {}).items()}
    return found | part | {"inputs": {name: field | column for name, column in inputs.items()}}


@pytest.mark.parametrize("text", numbered("yaml"))
@pytest.mark.slow
def test_a_yaml_snippet_resolves(world, text):
    found = YAML(typ="safe").load(text)
    if "name" not in found:  # a part: it takes the place of that part of a recipe
        found = filled_in(found)
    assert resolve(parse_recipe(json.dumps(found)), discover())


def test_the_recipe_of_the_readme_is_the_one_that_quickstart_builds():
    shown = YAML(typ="safe").load(snippets(README, "yaml")[0])
    assert shown == YAML(typ="safe").load(ROOT / "recipes/openmoji/captioner.yaml")
    assert "recipes/openmoji/captioner.yaml" in (ROOT / "Makefile").read_text("utf-8").partition("quickstart:")[2]


@pytest.mark.slow
def test_bodies_of_requests_and_answers_fit_the_signatures(world):
    outputs = tf.saved_model.load("runs/openmoji-captioner/export/1").signatures["caption"].structured_outputs
    rows, answer, columns = map(json.loads, snippets(DOCS / "serving.md", "json"))
    assert {rows["signature_name"], columns["signature_name"]} == {"caption"}
    assert set(columns["inputs"]) == {"image"}
    assert all(set(row) == set(outputs) for row in answer["predictions"])
    assert len(answer["predictions"]) == len(rows["instances"])


@pytest.mark.slow
def test_the_signatures_are_those_that_the_page_lists(world):
    page = (DOCS / "serving.md").read_text("utf-8")
    found = tf.saved_model.load("runs/openmoji-captioner/export/1").signatures
    assert all(f"`{name}`" in page for name in found)
    assert all(f"`{output}`" in page for signature in found.values() for output in signature.structured_outputs)


@pytest.mark.slow
def test_a_build_ends_as_the_readme_says(world):
    console = Console(width=120)
    with console.capture() as capture:
        console.print(finished(Run(Path("runs/openmoji-captioner"))))
    printed = [line.rstrip() for line in capture.get().splitlines()]
    assert snippets(README, "text")[0].splitlines()[-3:] == printed[-3:]


@pytest.mark.slow
def test_the_answer_of_a_broken_picture_is_the_one_that_is_shown(world):
    answers = mmzoo.load("runs/openmoji-captioner").predict(image=[b"no picture"])
    assert f'"reason": "{answers["reason"][0].decode()}"' in (DOCS / "serving.md").read_text("utf-8")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}-{page.stem}")
def test_links_lead_somewhere(page):
    found = [link for link in inline(page, "link") if "://" not in link]
    assert [link for link in found if not (page.parent / link).exists()] == []


@pytest.mark.slow
def test_the_run_folder_holds_what_the_readme_says(world):
    told = {name.strip("/") for name in inline(README, "code")} & {
        path.name for path in Path("runs/openmoji-captioner").iterdir()
    }
    assert told | {"export"} == {path.name for path in Path("runs/openmoji-captioner").iterdir()}


# The tutorial's plugin


@pytest.mark.slow
def test_the_plugin_keeps_its_contract(world):
    catalog = discover()
    for path in Path("mmzoo-patches/tests").glob("*.py"):
        made: dict = {}
        exec(compile(path.read_text("utf-8"), str(path), "exec"), made)
        cases = [one.values for one in made["test_conformance"].pytestmark[0].args[1]]
        assert len(cases) > 10
        for case, name in cases:
            check(case, name, catalog)


@pytest.mark.slow
def test_the_plugin_is_found_and_healthy(world):
    found = {str(plugin): plugin.fault for plugin in discover().plugins}
    assert found["mmzoo-patches 0.1.0"] == ""


@pytest.mark.slow
def test_the_recipe_of_the_plugin_is_built(world):
    run = Run(Path("runs/short"))
    scores, plan = run.load_json(run.scores), run.load_json(run.plan)
    assert plan["recipe"]["encoders"]["image"]["type"] == "mmzoo-patches/patches"
    assert plan["versions"]["mmzoo-patches"] == "0.1.0"
    # Every caption is the same, so the baseline is right, whatever the model learned.
    assert scores["baseline.most_frequent.word_f1"] == 1
    assert 0 <= scores["word_f1"] <= 1


def test_the_plugin_on_one_screen_is_a_part_of_the_tutorials():
    whole = files(DOCS / "writing-a-plugin.md")
    shown = files(README)
    assert set(shown) - set(whole) == {"tests/test_patches.py"}
    for name in set(shown) & set(whole):
        assert shown[name].strip() in whole[name]
    exec(shown["tests/test_patches.py"], made := {})
    assert {str(one.values[0]) for one in made["test_conformance"].pytestmark[0].args[1]} == {"encoder-patches"}


# Nothing is left out


@pytest.mark.parametrize("kind", KINDS)
def test_every_hook_and_case_is_described(kind):
    text = (DOCS / "writing-a-plugin.md").read_text("utf-8")
    assert f"| {kind} | `{hook_name(kind)}` |" in text
    assert f"`{kind.title()}Case`" in text


ERRORS = [e for _, e in inspect.getmembers(errors, inspect.isclass) if issubclass(e, errors.MmzooError)]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_described(error):
    assert re.search(rf"`(mmzoo\.)?{error.__name__}`", TEXT)


def test_every_component_stands_in_the_readme_beside_its_plugin():
    plugins = {path.name for path in ROOT.glob("plugins/*")}
    rows = {
        name: next(line for line in README.read_text("utf-8").splitlines() if line.startswith(f"| [{name}]"))
        for name in plugins
    }
    offered = [c for c in discover().components if c.plugin.name in plugins and c.kind != "loss"]
    assert [c.name for c in offered if f"`{c.name}`" not in rows[c.plugin.name]] == []
