"""Toys: the smallest member of each family that the frame must take, contributed as a plugin of its own."""
