"""imbalanced-learn's over-samplers as engines, to compare with and to attack.

Import the recipes and `Oversampled` from here. Their models are training rows, and what they draw
can be traced back to those (Ganev et al., *SMOTE and Mirrors*, ICLR 2026), so nothing from here may
be shared as synthetic data.
"""

from privsynth.engines.oversample.model import Oversampled
from privsynth.engines.oversample.recipes import Adasyn, BorderlineSmote, Random, Smote, Smotenc

__all__ = ["Adasyn", "BorderlineSmote", "Oversampled", "Random", "Smote", "Smotenc"]
