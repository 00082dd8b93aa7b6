"""``python -m privsynth``."""

from privsynth.cli.program import main

if __name__ == "__main__":
    main()
