"""What the command line prints at the end of a verb, as rich tables and text."""

from mmzoo.run import Run


def finished(run: Run) -> str:
    return str(run.folder)


def checked(plan, joins) -> str:
    return "\n".join(map(str, joins))
