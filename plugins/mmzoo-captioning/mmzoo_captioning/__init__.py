"""Captioning for mmzoo: the GRU captioner with attention, its losses and caption metrics."""
