"""The command line: the one place that prints, draws progress and exits.

`main` is the program; each command has a file of its own. Commands read options, call a verb of
`privsynth.pipeline` and say what came of it: nothing here fits, samples or judges.
"""

from privsynth.cli.program import main

__all__ = ["main"]
