"""Series that are columns of a library's own until somebody looks at them as Python. Loads no library."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Union

from plexus.domain.series import BucketSeries, Series

if TYPE_CHECKING:
    from plexus.api.tables.columns import Column


class ColumnarSeries(Mapping[str, Union[Series, BucketSeries]]):
    """Series by metric, as `QueryResult.series` has them; equal to any mapping with equal series."""

    @abstractmethod
    def rows(self) -> int:
        """How many rows there are."""

    @abstractmethod
    def columns(self) -> dict[str, Column]:
        """As numpy, without a step of Python a row."""

    def __eq__(self, other: object) -> bool:
        return dict(self) == dict(other) if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # like any mapping

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self))})"
