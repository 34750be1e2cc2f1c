"""From a query to its hits: filters, exact search, the command line and its gallery page."""

from retrieval.answer import Answer, Hit
from retrieval.catalog import Catalog
from retrieval.where import Attr, Field

__all__ = ["Answer", "Attr", "Catalog", "Field", "Hit"]
