"""What this plugin contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {"words": "mmzoo_text.words:Words"}


@hookimpl
def mmzoo_encoders() -> dict[str, str]:
    return {
        "gru": "mmzoo_text.gru:GRU",
        "text_transformer": "mmzoo_text.text_transformer:TextTransformer",
    }
