"""Fusions for mmzoo: early, late and hybrid, by concatenation, gates, attention, bottlenecks and modulation."""
