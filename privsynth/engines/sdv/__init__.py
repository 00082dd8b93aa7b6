"""SDV's engines, made safe: Gaussian copula, CTGAN, TVAE and CopulaGAN.

The learning is done by the libraries that SDV's synthesizers wrap, `copulas` and `ctgan`, called
by their public classes, so that SDV's log files, pickles and prints never come in. They see codes
or values drawn from codes, and only parameters are kept of what they learn. Sampling is plain
numpy: one generator is the only source of chance, and no row depends on its neighbours.
"""

from privsynth.engines.sdv.copula import GaussianCopula
from privsynth.engines.sdv.model import NetworkModel
from privsynth.engines.sdv.networks import CTGAN, TVAE, CopulaGAN

__all__ = ["CTGAN", "TVAE", "CopulaGAN", "GaussianCopula", "NetworkModel"]
