"""`python -m mmzoo`."""

from mmzoo.cli.verbs import main

main()
