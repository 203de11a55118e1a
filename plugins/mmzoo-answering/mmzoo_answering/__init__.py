"""Answers out of a list for mmzoo: the classify head, its losses and metrics."""
