"""The components of this plugin, by kind and name."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_heads() -> dict[str, str]:
    return {"gru_captioner": "mmzoo_captioning.gru_captioner:GRUCaptioner"}


@hookimpl
def mmzoo_losses() -> dict[str, str]:
    return {
        "token_cross_entropy": "mmzoo_captioning.losses:token_cross_entropy",
        "doubly_stochastic": "mmzoo_captioning.losses:doubly_stochastic",
    }


@hookimpl
def mmzoo_metrics() -> dict[str, str]:
    return {
        "bleu": "mmzoo_captioning.bleu:Bleu",
        "cider": "mmzoo_captioning.cider:Cider",
        "rouge_l": "mmzoo_captioning.rouge_l:RougeL",
        "exact_match": "mmzoo_captioning.exact_match:ExactMatch",
    }
