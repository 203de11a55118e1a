"""The components of this plugin, by kind and name."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_datasets() -> dict[str, str]:
    return {
        "openmoji": "mmzoo_datasets.openmoji:OpenMoji",
        "moving_emoji": "mmzoo_datasets.moving_emoji:MovingEmoji",
        "shapes": "mmzoo_datasets.shapes:Shapes",
        "files": "mmzoo_datasets.files:Files",
        "webdataset": "mmzoo_datasets.webdataset:WebDataset",
        "tfds": "mmzoo_datasets.tfds:TFDS",
    }
