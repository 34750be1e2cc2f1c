"""Images to attribute scores and visual vectors: the FineTag network and all around it.

The network, its loss, its training and evaluation, the reader of CUB-200-2011, checkpoints, and
`Embedder`, through which the packages `indexer` and `retrieval` use a trained network. Importing
this package imports neither torch nor ONNX Runtime.
"""

from finetag_model.embedder import Embedder, Embedding, ModelInfo, load_embedder
from finetag_model.errors import (
    CatalogueError,
    CheckpointError,
    DataError,
    FineTagError,
    ImageError,
    UsageError,
)
from finetag_model.vocabulary import Vocabulary

__all__ = [
    "CatalogueError",
    "CheckpointError",
    "DataError",
    "Embedder",
    "Embedding",
    "FineTagError",
    "ImageError",
    "ModelInfo",
    "UsageError",
    "Vocabulary",
    "load_embedder",
]
