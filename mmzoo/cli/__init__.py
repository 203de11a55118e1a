"""Command line -> exit code: verbs, the tables they print, and what is typed for `predict`."""
