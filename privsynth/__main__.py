"""``python -m privsynth``."""

from privsynth.cli import main

if __name__ == "__main__":
    main()
