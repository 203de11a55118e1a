"""What this plugin contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {"words": "mmzoo_text.words:Words"}
