"""Command line -> exit code: the commands, the tables that they print, and the parser of the values given to `predict`."""
