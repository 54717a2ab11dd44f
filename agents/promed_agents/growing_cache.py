"""A key-value cache with room to grow: reading a token costs a write, not a copy of all that was read before.

Some rows may read while others wait, so that a doctor who talks on does not cost a pass over all dialogues.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, DynamicLayer

__all__ = ["GrowingCache"]

_ROOM = 32  # tokens


class _GrowingLayer(DynamicLayer):  # type: ignore[misc]  # transformers is partly untyped
    """Keys and values as views, (B, heads, length, d), of buffers that double when they are full.

    Attributes:
        reading: Rows that read next, (n,); None for all of them.
    """

    reading: torch.Tensor | None = None
    keys: torch.Tensor
    values: torch.Tensor

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `DynamicLayer.update`; what is given back has the rows that read."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._buffers: list[torch.Tensor] = []
        length = self.get_seq_length()
        total = length + key_states.shape[-2]
        if not self._buffers or self._buffers[0].shape[-2] < total:
            old = (self.keys, self.values)
            heads, _, size = key_states.shape[1:]
            height = len(self.keys) if length else len(key_states)
            self._buffers = [
                states.new_empty(height, heads, total + _ROOM, size) for states in (key_states, value_states)
            ]
            if length:
                for buffer, kept in zip(self._buffers, old, strict=True):
                    buffer[:, :, :length] = kept
        rows: Any = slice(None) if self.reading is None else self.reading
        if self.reading is not None:
            for buffer in self._buffers:
                buffer[:, :, length:total] = 0.0
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[rows, :, length:total] = states
        self.keys, self.values = (buffer[:, :, :total] for buffer in self._buffers)
        return self.keys[rows], self.values[rows]

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """See `DynamicLayer.batch_select_indices`."""
        super().batch_select_indices(indices)
        self._buffers = []


class GrowingCache(Cache):  # type: ignore[misc]
    """A cache of such layers, empty at first."""

    def __init__(self) -> None:
        """Make it."""
        super().__init__(layer_class_to_replicate=_GrowingLayer)

    def read_by(self, rows: torch.Tensor | None) -> None:
        """Say which rows the next pass is of; the others get keys and values of 0, to be masked.

        Args:
            rows: Their indexes, (n,); None for all. The first pass is of all.
        """
        for layer in self.layers:
            layer.reading = rows
