"""A Secret as a kubelet mounts it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class Mount:
    """A Secret as a kubelet mounts it: files behind a link that is exchanged at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0
        folder.mkdir()

    def put(self, values: Mapping[str, str]) -> None:
        """Renew the files. A Secret that is gone leaves none."""
        self._count += 1
        state = self.folder / f"..state-{self._count}"
        state.mkdir()
        for name, value in values.items():
            (state / name).write_text(value + "\n")
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        fresh = self.folder / "..data_tmp"
        fresh.symlink_to(state.name)
        os.replace(fresh, self.folder / "..data")
