"""Scores, history -> the report and the model card, for people."""
