"""What this plugin contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {}


@hookimpl
def mmzoo_encoders() -> dict[str, str]:
    return {"video_transformer": "mmzoo_video.video_transformer:VideoTransformer"}
