"""Measurements of privsynth beside its peers, on the same rows in the same run."""
