"""What this plugin contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {"id": "mmzoo_matching.id:Id"}


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    return {
        "info_nce": "mmzoo_matching.info_nce:info_nce",
        "sigmoid": "mmzoo_matching.sigmoid:sigmoid",
        "triplet": "mmzoo_matching.triplet:triplet",
    }
