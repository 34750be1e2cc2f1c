"""From a query to its hits: filters, exact search, the command line and its gallery page."""

from retrieval.answer import Answer, Hit
from retrieval.catalog import Catalog

__all__ = ["Answer", "Catalog", "Hit"]
