"""Run, split -> Scores: the served answers and those of trivial baselines, scored the same way."""
