"""The run folder: its layout and atomic writes."""
