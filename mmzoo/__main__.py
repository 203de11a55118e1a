"""`python -m mmzoo`."""

from mmzoo.cli import main

main()
