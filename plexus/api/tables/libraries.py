"""How each library of tables makes a column of what an answer has. Each is loaded when it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from plexus.api.tables.needs import need

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Library(Protocol):
    """Columns of one library."""

    def times(self, t_ns: NDArray[np.int64]) -> Any:
        """Moments, UTC, in nanoseconds since 1970."""
        ...

    def names(self, codes: NDArray[np.int32], names: list[str]) -> Any:
        """Names that repeat: `codes` says which of `names`."""
        ...

    def texts(self, texts: list[str | None]) -> Any:
        """Text, None for none."""
        ...

    def numbers(self, numbers: NDArray[np.float64], missing: NDArray[np.bool_] | None) -> Any:
        """Doubles; `missing` says where there is none, which is another thing than NaN to who can tell."""
        ...


class Pandas:
    """Columns of a pandas DataFrame: what is missing among numbers is NaN."""

    def __init__(self, what: str) -> None:
        self.module = need("pandas", what)

    def times(self, t_ns: Any) -> Any:
        """See Library."""
        return self.index(t_ns)

    def index(self, t_ns: Any, name: str | None = None) -> Any:
        """Times as an index."""
        # A copy, which is cheap: pandas would make what it is given read-only or change it in place.
        return self.module.DatetimeIndex(t_ns.view("M8[ns]"), name=name, copy=True).tz_localize("UTC")

    def names(self, codes: Any, names: list[str]) -> Any:
        """See Library."""
        return self.module.Categorical.from_codes(codes, names)

    def texts(self, texts: list[str | None]) -> Any:
        """See Library."""
        return texts

    def numbers(self, numbers: Any, missing: Any) -> Any:  # noqa: ARG002 - NaN says it
        """See Library."""
        return numbers


class Polars:
    """Columns of a polars DataFrame."""

    def __init__(self, what: str) -> None:
        self.module = need("polars", what)

    def times(self, t_ns: Any) -> Any:
        """See Library."""
        return self.module.Series("time", t_ns, self.module.Int64).cast(self.module.Datetime("ns", "UTC"))

    def names(self, codes: Any, names: list[str]) -> Any:
        """See Library."""
        kind = self.module.Categorical
        if not names:
            return self.module.Series([], dtype=kind)
        return self.module.Series(names, dtype=self.module.String).gather(codes).cast(kind)

    def texts(self, texts: list[str | None]) -> Any:
        """See Library."""
        return self.module.Series(texts, dtype=self.module.String)

    def numbers(self, numbers: Any, missing: Any) -> Any:
        """See Library."""
        made = self.module.Series(numbers)
        return made if missing is None else made.set(self.module.Series(missing), None)


class Arrow:
    """Columns of a pyarrow.Table."""

    def __init__(self, what: str) -> None:
        self.module = need("pyarrow", what)

    def times(self, t_ns: Any) -> Any:
        """See Library."""
        return self.module.array(t_ns, self.module.int64()).cast(self.module.timestamp("ns", "UTC"))

    def names(self, codes: Any, names: list[str]) -> Any:
        """See Library."""
        return self.module.DictionaryArray.from_arrays(codes, self.texts([*names]))

    def texts(self, texts: list[str | None]) -> Any:
        """See Library."""
        return self.module.array(texts, self.module.string())

    def numbers(self, numbers: Any, missing: Any) -> Any:
        """See Library."""
        return self.module.array(numbers, self.module.float64(), mask=missing)
