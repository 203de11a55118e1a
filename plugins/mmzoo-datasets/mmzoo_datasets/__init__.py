"""Data sets for mmzoo: OpenMoji drawings, clips of moving emoji, files of your own, any TFDS builder."""
