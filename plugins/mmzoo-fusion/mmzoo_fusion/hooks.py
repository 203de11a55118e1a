"""The components of this plugin, by kind and name."""

from mmzoo import hookimpl


@hookimpl
def mmzoo_fusions() -> dict[str, str]:
    return {
        "bottleneck": "mmzoo_fusion.bottleneck:Bottleneck",
        "concat": "mmzoo_fusion.concat:Concat",
        "cross_attention": "mmzoo_fusion.cross_attention:CrossAttention",
        "early": "mmzoo_fusion.early:Early",
        "film": "mmzoo_fusion.film:Film",
        "gated": "mmzoo_fusion.gated:Gated",
        "hybrid": "mmzoo_fusion.hybrid:Hybrid",
        "late": "mmzoo_fusion.late:Late",
    }
