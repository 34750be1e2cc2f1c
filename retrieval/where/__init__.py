"""The language of filters: one tree, written in Python, as text or as JSON.

`docs/search.md` teaches it. How hits are ranked among what passes is for `retrieval.catalog`.
"""

from retrieval.where.build import Attr, Field
from retrieval.where.evaluate import passing, select
from retrieval.where.json_form import to_json
from retrieval.where.names import Names
from retrieval.where.ranking import log_probability, named_fields, named_positions
from retrieval.where.reading import Where, read_where
from retrieval.where.reasons import why_empty
from retrieval.where.tree import Filter

__all__ = [
    "Attr",
    "Field",
    "Filter",
    "Names",
    "Where",
    "log_probability",
    "named_fields",
    "named_positions",
    "passing",
    "read_where",
    "select",
    "to_json",
    "why_empty",
]
