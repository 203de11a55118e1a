"""Run, split -> Scores: the served answers, scored beside trivial baselines."""
