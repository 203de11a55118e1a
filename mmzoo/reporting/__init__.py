"""Scores, history -> what a person looks at: the report and the model card."""
