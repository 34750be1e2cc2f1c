"""A folder of images -> one index that searches can trust: build it, find it, open it."""

from indexer.build import build
from indexer.index import ImageRecord, Index
from indexer.locate import find_index
from indexer.quantise import cutoff
from indexer.report import BuildReport
from indexer.scan import Failure

__all__ = ["BuildReport", "Failure", "ImageRecord", "Index", "build", "cutoff", "find_index"]
