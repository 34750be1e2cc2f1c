"""Heat maps of single pictures, as JPEGs, by the network that embeds them."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from finetag_model.checkpoint import read_checkpoint
from finetag_model.embedder import ModelInfo, Network
from finetag_model.errors import CatalogueError
from finetag_model.explain import Explainer
from finetag_model.overlay import overlay
from retrieval.service.decoding_process import as_jpeg

if TYPE_CHECKING:
    from retrieval.query import QueryImage
    from retrieval.request import Crop
    from retrieval.service.decoding import Decoder


class Heat:
    """Paints where in a picture an attribute is seen."""

    def __init__(self, model: Path | None, network: Network, decoder: Decoder) -> None:
        """Explain what this checkpoint, by default the one shipped, sees with its network."""
        self._model, self._network, self._decoder = model, network, decoder
        self._explainer: Explainer | None = None
        self._loading = threading.Lock()

    def jpeg(
        self,
        image: QueryImage,
        attribute: str,
        side: int,
        crop: Crop | None,
        made_with: ModelInfo,
    ) -> bytes:
        """Return a picture, its longer side of `side` pixels at most, under its heat.

        Raises:
            UsageError: there is no such attribute.
            ImageError: the picture cannot be read.
            CatalogueError: the catalogue was made with another model.
            CheckpointError: the model cannot be loaded or explained.
        """
        made_with.vocabulary.position(attribute)  # a wrong name costs no picture
        picture = Image.open(io.BytesIO(self._decoder.jpeg(image, side, crop)))
        with self._loading:
            explainer = self._loaded(made_with)
        (heat,) = explainer.explain(picture, [attribute])
        return as_jpeg(overlay(picture, heat))

    def _loaded(self, made_with: ModelInfo) -> Explainer:
        if self._explainer is None:
            checkpoint = read_checkpoint(self._model)
            self._explainer = Explainer(checkpoint, self._network)
            self._digest = checkpoint.model.digest
        if made_with.digest != self._digest:
            raise CatalogueError("the catalogue was made with another model than is served")
        return self._explainer
