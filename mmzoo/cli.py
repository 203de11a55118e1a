"""The command line: verbs that print; no logic. Light until a verb needs Keras."""

import sys
from pathlib import Path
from typing import Any

import click

from mmzoo.errors import MmzooError

USER_FAULT, INTERRUPTED = 2, 130


class _Verbs(click.Group):
    """Prints what the user can mend without a traceback, and how to go on after Ctrl-C."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except MmzooError as error:
            click.echo(str(error), err=True)
            ctx.exit(USER_FAULT)
        except KeyboardInterrupt:
            click.echo(f"\nStopped. {_how_to_go_on(sys.argv)}", err=True)
            ctx.exit(INTERRUPTED)


def _how_to_go_on(argv: list[str]) -> str:
    arguments = [a for a in argv[1:] if a not in ("--resume", "--force")]
    if arguments[:1] != ["build"]:
        return "Nothing is half written."
    return f"Go on from the last finished epoch with:  mmzoo {' '.join(arguments)} --resume"


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="mmzoo", message="mmzoo %(version)s")
def main() -> None:
    """The plugin model zoo for multimodal Keras: from a YAML recipe to a trained and served model."""


RECIPE = click.argument("recipe", type=click.Path(path_type=Path))
RUN = click.argument("run", type=click.Path(path_type=Path))
SET = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace or add a value: train.epochs=1.")


@main.command()
@RECIPE
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; runs/<name> by default.")
@SET
@click.option("--resume", is_flag=True, help="Continue the run from its last checkpoint.")
@click.option("--force", is_flag=True, help="Replace a run that is there.")
def build(recipe: Path, out: Path | None, overrides: tuple[str, ...], resume: bool, force: bool) -> None:
    """Train, evaluate and export RECIPE."""
    from mmzoo.build import build as build_run

    run = build_run(recipe, out=out, overrides=overrides, resume=resume, force=force)
    from mmzoo.tables import finished

    click.echo(finished(run))


@main.command()
@RECIPE
@SET
def check(recipe: Path, overrides: tuple[str, ...]) -> None:
    """Resolve and assemble RECIPE; show its parts and what it needs; train nothing."""
    from mmzoo.build import check as check_recipe
    from mmzoo.tables import checked

    click.echo(checked(*check_recipe(recipe, overrides=overrides)))


def finish_run(folder: str) -> int:
    """Evaluates and exports a run that another backend trained; gives the exit code."""
    from mmzoo.build import finish
    from mmzoo.progress import Screen
    from mmzoo.run import Run

    try:
        finish(Run(Path(folder)), Screen())
    except MmzooError as error:
        click.echo(str(error), err=True)
        return USER_FAULT
    return 0
