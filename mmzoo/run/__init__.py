"""The folder of a run on disk: its layout and atomic writes."""
