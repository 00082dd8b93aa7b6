"""The command line: the only package that prints, draws progress and exits.

Import `main`, the program; each command has a file of its own, ``cmd_NAME.py``. A command reads
its options, calls a verb of `privsynth.pipeline` and prints the result: nothing here may fit,
sample or evaluate.
"""

from privsynth.cli.program import main

__all__ = ["main"]
