"""The hooks of this plugin: the components that it contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {
        "frames": "mmzoo_video.frames:Frames",
        "vectors": "mmzoo_video.vectors:Vectors",
    }


@hookimpl
def mmzoo_encoders() -> dict[str, str]:
    return {
        "features": "mmzoo_video.given_features:GivenFeatures",
        "frame_mean": "mmzoo_video.frame_mean:FrameMean",
        "video_transformer": "mmzoo_video.video_transformer:VideoTransformer",
    }
