"""Images for mmzoo: the `image` processor and image encoders."""
