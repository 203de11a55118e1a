"""Data sets for mmzoo: OpenMoji drawings, a folder of your own, any TFDS builder."""
