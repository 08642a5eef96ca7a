"""Keys of rows, to find those that came before."""

# pyarrow's stubs leave many types open, which pyright strict reports on every use:
# pyright: reportUnknownMemberType=false

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa


def key_texts(keys: "pa.Table") -> Any:
    """Return each row's key as one value.

    Args:
        keys: The columns of the key alone.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    untyped: Any = pc
    parts = [
        column if pa.types.is_fixed_size_binary(column.type) else column.cast(pa.string())
        for column in keys.columns
    ]
    binary: list[Any] = [part.cast(pa.binary()) for part in parts]
    joined = untyped.binary_join_element_wise(*binary, b"\0") if len(binary) > 1 else binary[0]
    return joined.combine_chunks()
