"""Parquet files need the extra `parquet`, which is pyarrow; it is imported when one is in use."""

from __future__ import annotations

from pathlib import Path

from finetag_model.errors import UsageError


def require_pyarrow(path: Path) -> None:
    """Check that pyarrow can be imported, before `path` is read or written with it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415
    except ImportError:
        raise UsageError(
            f"{path}: Parquet files need pyarrow, which is not installed; "
            "install it: pip install 'finetag[parquet]'"
        ) from None
