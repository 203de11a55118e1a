"""What this plugin contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    return {}
