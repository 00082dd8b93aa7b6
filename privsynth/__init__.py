"""privsynth."""
