"""The commands: they call the library and print; no logic. Light: a command imports Keras only if it needs it."""

import io
import json
import math
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from textwrap import indent
from typing import Any

import click

from mmzoo.errors import MmzooError
from mmzoo.run.termination import Terminated, terminating

USER_FAULT, INTERRUPTED, TERMINATED = 2, 130, 143


class _Verbs(click.Group):
    """Prints errors of the user without a traceback, and after Ctrl-C or SIGTERM how to continue."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            _settle()
            with terminating():
                return super().invoke(ctx)
        except MmzooError as error:
            click.echo("\n".join([str(error), *getattr(error, "__notes__", ())]), err=True)
            ctx.exit(USER_FAULT)
        except (KeyboardInterrupt, click.Abort) as stop:
            click.echo(f"\nStopped. {' '.join(map(str, stop.args)) or 'No file is incomplete.'}", err=True)
            ctx.exit(TERMINATED if isinstance(stop, Terminated) else INTERRUPTED)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order of the work, not of the alphabet


def _settle() -> None:
    """Escapes what the terminal's encoding lacks, and checks that the working folder exists."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        Path.cwd()
    except FileNotFoundError as error:
        raise MmzooError("the working folder does not exist any more. Change to another one.") from error


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mmzoo", message="mmzoo %(version)s")
def main() -> None:
    """The plugin model zoo for multimodal Keras: from a YAML recipe to a trained and served model."""


RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
RUN = click.argument("run", type=click.Path(path_type=Path))
SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Set a value of the recipe: train.epochs=1.")


@main.command()
@RECIPE
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; runs/<name> by default.")
@SET
@click.option("--resume", is_flag=True, help="Train the run on to another number of epochs.")
@click.option("--force", is_flag=True, help="Replace an existing run.")
@click.option("--explain", is_flag=True, help="Say which stages a build would run and why; build nothing.")
def build(recipe: Path, out: Path | None, overrides: tuple[str, ...], resume: bool, force: bool, explain: bool) -> None:
    """Train, evaluate and export RECIPE, and first the recipes that it needs. What has not changed is not done again."""
    from mmzoo.build import build as build_run
    from mmzoo.cli.tables import explained, finished
    from mmzoo.planned import plan_build, plan_works
    from mmzoo.recipe.source import read_recipe
    from mmzoo.registry.discovery import discover
    from mmzoo.training.backend import backend_of, set_backend

    if explain:
        source = read_recipe(recipe, overrides)
        set_backend(backend_of(source))
        _show(explained(plan_works(plan_build(source, discover(), out), resume, force)))
        return
    try:
        run = build_run(recipe, out=out, overrides=overrides, resume=resume, force=force)
    except (KeyboardInterrupt, click.Abort) as stop:
        again = ["mmzoo", "build", str(recipe), *(["--out", str(out)] if out is not None else [])]
        again += [word for override in overrides for word in ("--set", override)]
        kind = Terminated if isinstance(stop, Terminated) else KeyboardInterrupt
        raise kind(f"Go on from the last checkpoint with:  {shlex.join(again)}") from stop
    _show(finished(run))


@main.command()
@RECIPE
@SET
def check(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Check RECIPE without training: show its components, its layers and what its data needs."""
    from mmzoo.build import check as check_recipe
    from mmzoo.cli.tables import checked

    _show(checked(check_recipe(recipe, overrides=overrides)))


@main.command("list")
@click.argument("kind", required=False)
def list_(kind: str | None) -> None:
    """List the components of the installed plugins; of one KIND if it is given."""
    from mmzoo.cli.tables import broken, listed
    from mmzoo.registry.catalog import kind_of
    from mmzoo.registry.discovery import discover
    from mmzoo.registry.hookspecs import KINDS

    kinds = [kind_of(kind)] if kind is not None else KINDS
    catalog = discover()
    _show(listed(catalog, kinds))
    click.echo(broken(catalog), err=True, nl=False)


@main.command()
@click.argument("component", metavar="KIND/NAME")
def show(component: str) -> None:
    """Show a component: what it does, its options and its source file."""
    from mmzoo.cli.tables import shown
    from mmzoo.registry.discovery import discover
    from mmzoo.training.backend import hushed

    found = discover().find(component)
    with hushed():
        found.load()
    _show(shown(found))


@main.command()
def plugins() -> None:
    """List the installed plugins and what is wrong with them."""
    from mmzoo.cli.tables import plugged
    from mmzoo.registry.discovery import discover

    _show(plugged(discover()))


def _share(word: str | float) -> float:
    """Parses a share of the examples. Click takes RUN for the share if RUN follows the option."""
    share = math.nan
    with suppress(ValueError):  # NaN is refused below
        share = float(word)
    if not 0 < share <= 1:  # also refuses NaN
        advice = "Put RUN before the option: `mmzoo evaluate RUN --missing`."
        raise click.BadParameter(f"expected a share, above 0 and at most 1, received '{word}'. {advice}")
    return share


@main.command()
@RUN
@click.option(
    "--missing",
    metavar="SHARE",
    type=_share,
    is_flag=False,
    flag_value=1.0,
    help="Also score the model with each input missing, in this share of the examples; in all examples if no share is given.",
)
@SET
def evaluate(run: Path, missing: float | None, overrides: tuple[str, ...]) -> None:
    """Score RUN on its held-out split again and rewrite its report; with --set data.KEY=VALUE on data that lie elsewhere."""
    from mmzoo.build import evaluate as score
    from mmzoo.cli.tables import missed, scored
    from mmzoo.contracts.progress import Screen
    from mmzoo.run.folder import Run
    from mmzoo.run.owner import claimed
    from mmzoo.trained import load

    screen = Screen()
    with claimed(Run(run), screen.say, make=False):
        model = load(run, overrides=overrides)
        score(model, screen, missing=missing)
    _show(scored(model.run))
    if missing is not None:
        _show(missed(model.run))


@main.command()
@RUN
@SET
def export(run: Path, overrides: tuple[str, ...]) -> None:
    """Export RUN again as a SavedModel, for example as another version or with another gallery."""
    from mmzoo.build import export as write
    from mmzoo.contracts.progress import Screen
    from mmzoo.run.folder import Run
    from mmzoo.run.owner import claimed
    from mmzoo.trained import load

    screen = Screen()
    with claimed(Run(run), screen.say, make=False):
        click.echo(write(load(run, overrides=overrides), screen))


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})  # `-hat` may be a value
@RUN
@click.option("--signature", metavar="NAME", help="Signature of the model that answers; the first one by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON with all outputs in full.")
@click.argument("values", nargs=-1, type=click.UNPROCESSED, metavar="--INPUT VALUE...")
def predict(run: Path, signature: str | None, as_json: bool, values: tuple[str, ...]) -> None:
    """Answer with the exported model of RUN.

    Give one or more values for each input, files or texts: `mmzoo predict runs/captioner --image a.png b.png`. A text
    that begins with two dashes needs an equals sign: `--question=--why`.
    """
    from mmzoo.training.backend import hushed

    with hushed():
        from mmzoo.cli.typed import ask, parse
        from mmzoo.serving.predict import open_export
    from mmzoo.cli.tables import answered
    from mmzoo.contracts.progress import Screen
    from mmzoo.run.folder import Run

    answers = ask(open_export(Run(run)), parse(values), signature, Screen(stderr=True))
    if as_json:
        for number, answer in enumerate(answers):
            click.echo((",\n" if number else "[\n") + indent(_json(answer.plain()), "  "), nl=False)
        click.echo("\n]")
    else:
        _show(answered(answers))


@main.command()
def schema() -> None:
    """Print the JSON schema of recipes for editors, with the components of all installed plugins."""
    from mmzoo.recipe.schema import recipe_schema
    from mmzoo.registry.discovery import discover
    from mmzoo.training.backend import hushed

    with hushed():
        made = recipe_schema(discover())
    click.echo(_json(made))


def _json(value: Any) -> str:
    """Formats JSON data; in ASCII where the standard output takes no more."""
    return json.dumps(value, indent=2, ensure_ascii=sys.stdout.encoding.lower() not in ("utf-8", "utf8"), allow_nan=False)


def _show(renderable: Any) -> None:
    from mmzoo.contracts.progress import Screen

    Screen().show(renderable)
