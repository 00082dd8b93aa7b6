"""SDV's engines, made safe: Gaussian copula, CTGAN, TVAE and CopulaGAN.

`copulas` and `ctgan`, the libraries that SDV wraps, learn from codes or values drawn from codes;
sampling is plain numpy with one generator. Import the recipes and `NetworkModel` from here.
Nothing here may import SDV itself, whose log files, pickles and prints stay out, or keep more of
what was learnt than parameters.
"""

from privsynth.engines.sdv.copula import GaussianCopula
from privsynth.engines.sdv.model import NetworkModel
from privsynth.engines.sdv.networks import CTGAN, TVAE, CopulaGAN

__all__ = ["CTGAN", "TVAE", "CopulaGAN", "GaussianCopula", "NetworkModel"]
