"""Dual encoders for mmzoo: the shared space, the match head, contrastive losses, retrieval and zero-shot metrics."""
