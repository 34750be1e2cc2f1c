"""The vector files of a generation: exact vectors, and beyond a size an approximate index.

The one package that imports FAISS. It knows rows and vectors, but nothing of images.
"""

from indexer.approximation import Approximation
from indexer.vectors.files import write_flat
from indexer.vectors.search import Vectors
from indexer.vectors.training import FLAT_ROWS, write_ivf

__all__ = ["FLAT_ROWS", "Approximation", "Vectors", "write_flat", "write_ivf"]
