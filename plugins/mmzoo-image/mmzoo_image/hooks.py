"""The hooks of this plugin: the components that it contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {"image": "mmzoo_image.image:Image"}


@hookimpl
def mmzoo_encoders() -> dict[str, str]:
    return {
        "efficientnet": "mmzoo_image.efficientnet:EfficientNet",
        "keras_hub": "mmzoo_image.keras_hub:KerasHub",
        "resnet": "mmzoo_image.resnet:ResNet",
        "tfhub": "mmzoo_image.tfhub:TFHub",
        "vit": "mmzoo_image.vit:ViT",
    }
