"""The hooks of this plugin: the components that it contributes."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_processors() -> dict[str, str]:
    return {
        "label": "mmzoo_text.label:Label",
        "preset_tokens": "mmzoo_text.preset_tokens:PresetTokens",
        "wordpiece": "mmzoo_text.wordpiece:WordPiece",
        "words": "mmzoo_text.words:Words",
    }


@hookimpl
def mmzoo_encoders() -> dict[str, str]:
    return {
        "bert": "mmzoo_text.bert:Bert",
        "gru": "mmzoo_text.recurrent:GRU",
        "lstm": "mmzoo_text.recurrent:LSTM",
        "text_transformer": "mmzoo_text.text_transformer:TextTransformer",
    }
