"""Text for mmzoo: text processors and text encoders."""
