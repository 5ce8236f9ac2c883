"""What libraries raise, between them, on files that make no sense: none of them promises less."""

import struct

NONSENSE: tuple[type[Exception], ...] = (
    ValueError,
    RuntimeError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    ArithmeticError,
    EOFError,
    OSError,
    MemoryError,
    struct.error,
)
