"""Rows in and rows out: what people hold events in becomes one array with named columns, and answers become arrays that
know their columns.

Shapes: rows are events, columns are features, (rows, columns). Values are float32 or float64; NaN stands for an
optional feature that an event does not have.
"""
from __future__ import annotations

import io
from typing import Any, Iterable, Mapping, NamedTuple, Sequence, Union

import numpy as np
import numpy.typing as npt

from ._optional import need

__all__ = ["Events", "Table", "Rows", "as_table"]

Floats = npt.NDArray[Any]
"""float32 or float64"""

Rows = Any
"""An array (rows, columns), a structured array, a mapping of columns, a pandas or polars DataFrame, an awkward array of
records, `Events` or a `Table`."""


class Table(NamedTuple):
    """Rows on their way to the daemon."""

    values: Floats
    """(rows, columns), float32 or float64, C order"""
    columns: Union[tuple[str, ...], None] = None
    """names; None: the features of the definition in their order"""
    weights: Union[Floats, None] = None
    """(rows), one an event"""


class Events(np.ndarray[Any, np.dtype[np.float32]]):
    """An array (rows, columns) that knows its columns and what made it.

    It is a float32 array like any other. `events["pt"]` is a column, (rows); `events[["pt", "eta"]]` two of them, and
    ranges or masks of rows keep the names; anything else gives a plain array.
    """

    columns: tuple[str, ...]
    """names; empty where arithmetic made the array"""
    version: int | None
    """the version of the twin that made the events"""
    seed: int | None
    """the same version, seed and number give the same events"""

    def __array_finalize__(self, source: Any) -> None:
        self.columns, self.version, self.seed = (), None, None

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            return np.asarray(self)[:, self._index(key)]
        plain = np.asarray(self)
        if isinstance(key, list) and key and all(isinstance(name, str) for name in key):
            return events(plain[:, [self._index(name) for name in key]], tuple(key), self.version, self.seed)
        result = plain[key]
        of_rows = isinstance(key, slice) or (isinstance(key, (list, np.ndarray)) and np.ndim(key) == 1)
        if of_rows and self.columns:
            return events(result, self.columns, self.version, self.seed)
        return result

    def copy(self, order: Any = "C") -> Events:
        """The same events, which may be changed."""
        return events(np.array(self, order=order, subok=False), self.columns, self.version, self.seed)

    def __reduce__(self) -> Any:
        return events, (np.asarray(self), self.columns, self.version, self.seed)

    def _index(self, name: str) -> int:
        if name not in self.columns:
            raise KeyError(f"no column {name!r} among {', '.join(self.columns) or 'none'}")
        return self.columns.index(name)

    def to_pandas(self) -> Any:
        """A pandas DataFrame with the columns' names."""
        return need("pandas").DataFrame(np.asarray(self), columns=list(self.columns) or None)

    def to_awkward(self) -> Any:
        """An awkward array of records with the columns' names."""
        return need("awkward").zip({name: np.asarray(self)[:, i] for i, name in enumerate(self.columns)})


def events(values: npt.ArrayLike, columns: tuple[str, ...], version: int | None = None,
           seed: int | None = None) -> Events:
    made = np.asarray(values, dtype=np.float32).view(Events)
    made.columns, made.version, made.seed = columns, version, seed
    return made


# --- in ---


def as_table(rows: Rows, columns: Sequence[str] | None = None, weights: Any = None) -> Table:
    """Makes a `Table` of whatever holds the events; `columns` names the columns, or
    renames them. Raises TypeError for what holds no numbers, ValueError for a wrong shape."""
    if isinstance(rows, Table):
        table = rows
    else:
        values, names = _split(rows)
        table = Table(values, names)
    values = _floats(table.values)
    names = tuple(columns) if columns is not None else table.columns
    if names is not None and len(names) != values.shape[1]:
        raise ValueError(f"{len(names)} names for {values.shape[1]} columns")
    if weights is None:
        weights = table.weights
    if weights is not None:
        weights = np.ascontiguousarray(_number(weights, "weights"))
        if weights.shape != (values.shape[0],):
            raise ValueError(f"weights of shape {weights.shape} for {values.shape[0]} rows")
    return Table(values, names, weights)


def _split(rows: Rows) -> tuple[Any, tuple[str, ...] | None]:
    if isinstance(rows, Events):
        return np.asarray(rows), rows.columns or None
    if isinstance(rows, np.ndarray) and rows.dtype.names:
        return _stack({name: rows[name] for name in rows.dtype.names})
    if isinstance(rows, Mapping):
        return _stack(rows)
    library = type(rows).__module__.split(".")[0]
    if library == "awkward":
        return _of_awkward(rows)
    if library == "pandas" and hasattr(rows, "columns"):
        return _stack({str(name): rows.iloc[:, i] for i, name in enumerate(rows.columns)})
    if hasattr(rows, "columns") and hasattr(rows, "to_numpy"):  # polars and its like
        return rows.to_numpy(), tuple(str(name) for name in rows.columns)
    return np.asanyarray(rows), None


def _stack(columns: Mapping[str, Any]) -> tuple[Floats, tuple[str, ...]]:
    each = [_number(column, f"column {name!r}") for name, column in columns.items()]
    if not each:
        raise ValueError("there are no columns")
    for name, column in zip(columns, each):
        if column.ndim != 1:
            raise ValueError(f"column {name!r} has shape {column.shape}, not (rows)")
        if len(column) != len(each[0]):
            raise ValueError(f"column {name!r} has {len(column)} rows, and {next(iter(columns))!r} has {len(each[0])}")
    return np.column_stack(each), tuple(columns)


def _of_awkward(rows: Any) -> tuple[Any, tuple[str, ...] | None]:
    columns = dict(_fields(rows, ""))
    return _stack(columns) if columns else (_regular(rows, "the array"), None)


def _fields(rows: Any, prefix: str) -> Iterable[tuple[str, Any]]:
    """Fields of records; those of records inside are named outer_inner."""
    for name in rows.fields:
        inner = rows[name]
        if inner.fields:
            yield from _fields(inner, f"{prefix}{name}_")
        else:
            yield prefix + name, _regular(inner, f"column {prefix + name!r}")


def _regular(column: Any, what: str) -> Any:
    awkward = need("awkward")
    try:
        return awkward.to_numpy(awkward.fill_none(column, np.nan), allow_missing=False)
    except ValueError as error:
        raise ValueError(f"{what} is ragged: choose one a row, as in pt[:, 0] of pad_none(pt, 1)") from error


def _number(column: Any, what: str) -> Floats:
    """`_float_type`; missing values of pandas become NaN."""
    if hasattr(column, "to_numpy") and type(column).__module__.split(".")[0] == "pandas":
        kind = np.float32 if str(column.dtype).lower() == "float32" else np.float64
        try:
            return np.asarray(column.to_numpy(dtype=kind, na_value=np.nan))
        except (TypeError, ValueError) as error:
            raise TypeError(f"{what} holds no numbers but {column.dtype}") from error
    return _float_type(np.asanyarray(column), what)


def _float_type(values: Floats, what: str) -> Floats:
    """float32 where that holds the values, else float64; what is masked becomes NaN."""
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{what} holds no numbers but {values.dtype}")
    wide = np.result_type(values.dtype, np.float32).itemsize > 4
    return np.asarray(np.ma.filled(values.astype(np.float64 if wide else np.float32, copy=False), np.nan))


def _floats(values: Any) -> Floats:
    array = _float_type(np.asanyarray(values), "the array")
    if array.ndim == 1:
        raise ValueError(f"an array of shape {array.shape}, not (rows, columns): one event is events[:1], not events[0]")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"an array of shape {array.shape}, not (rows, columns)")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


# --- .npy ---


def to_npy(values: Floats) -> bytes:
    """A .npy file, C order."""
    out = io.BytesIO()
    np.lib.format.write_array(out, values, version=(1, 0), allow_pickle=False)
    return out.getvalue()


def from_npy(data: bytes) -> Floats:
    array: Floats = np.load(io.BytesIO(data), allow_pickle=False)
    return array
