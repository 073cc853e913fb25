"""Rows that may be more than fit into memory: frames, or files in the scratch folder, and what is done to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mlops.workloads.floor.log import say

BUDGET = 160 << 20  # bytes of rows held in memory at a time; more goes to the scratch folder
# So many files hold a budget's rows: whoever reads them has one of them in memory, or two.
PIECES = 8

Stage = Callable[[Iterator[pl.DataFrame]], Iterator[pl.DataFrame]]


@dataclass(frozen=True)
class Rows:
    """Chunks of rows in order, and the stages that they go through each time they are read."""

    sources: tuple[pl.DataFrame | Path, ...]
    stages: tuple[Stage, ...] = ()

    def through(self, stage: Stage) -> Rows:
        """Return these rows as `stage` leaves them; it runs again for each reading."""
        return replace(self, stages=(*self.stages, stage))

    def map(self, step: Callable[[pl.DataFrame], pl.DataFrame]) -> Rows:
        """Return these rows after a step that needs no other rows than those at hand."""
        return self.through(lambda chunks: (step(chunk) for chunk in chunks))

    def map_numbered(self, step: Callable[[pl.DataFrame, int], pl.DataFrame]) -> Rows:
        """Return these rows after a step that is told how many rows came before those at hand."""

        def stage(chunks: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
            before = 0
            for chunk in chunks:
                yield step(chunk, before)
                before += chunk.height

        return self.through(stage)

    def chunks(self, columns: list[str] | None = None) -> Iterator[pl.DataFrame]:
        """Read the rows; with `columns`, only those. Columns can be chosen only while there are no stages."""
        chunks = (_load(source, columns) for source in self.sources)
        for stage in self.stages:
            chunks = stage(chunks)  # type: ignore[assignment]
        return chunks

    @property
    def in_memory(self) -> bool:
        """Whether no file has to be read."""
        return not any(isinstance(source, Path) for source in self.sources)

    def discard(self, keep: Rows | None = None) -> None:
        """Remove the files: nobody will read these rows again, but for those that `keep` has too."""
        kept = {source for source in keep.sources if isinstance(source, Path)} if keep else set()
        for source in self.sources:
            if isinstance(source, Path) and source not in kept:
                source.unlink(missing_ok=True)


def _load(source: pl.DataFrame | Path, columns: list[str] | None) -> pl.DataFrame:
    if isinstance(source, pl.DataFrame):
        return source if columns is None else source.select(columns)
    return pl.read_ipc(source, columns=columns)


class Spill:
    """Keeps rows in memory up to the budget and in files beyond it."""

    def __init__(self, folder: Path, budget: int = BUDGET) -> None:
        self.folder, self.budget = folder, budget
        self._files = 0
        self.schema: dict[str, pl.DataType] = {}

    def collect(self, chunks: Iterable[pl.DataFrame]) -> Rows:
        """Read all chunks now."""
        held: list[pl.DataFrame] = []
        sources: list[pl.DataFrame | Path] = []
        size = 0.0
        for chunk in chunks:
            if not chunk.height:
                continue
            held.append(chunk)
            size += chunk.estimated_size()
            if size > self.budget:
                sources += self._write_pieces(held, size)
                held, size = [], 0.0
        if held and sources:
            sources += self._write_pieces(held, size)
        elif held:
            sources.append(pl.concat(held))
        return Rows(tuple(sources))

    def keep(self, rows: Rows, step: Callable[[pl.DataFrame], pl.DataFrame]) -> Rows:
        """Return the rows as a step leaves them, now. A file whose rows all stay is not written again."""
        if rows.stages:
            return self.collect(map(step, rows.chunks()))
        sources: list[pl.DataFrame | Path] = []
        for source in rows.sources:
            before = _load(source, None)
            after = step(before)
            if after is before:
                sources.append(source)
            elif after.height:
                sources.append(self.write([after]) if isinstance(source, Path) else after)
        return Rows(tuple(sources))

    def _write_pieces(self, frames: list[pl.DataFrame], size: float) -> list[Path]:
        whole = pl.concat(frames, rechunk=False)
        frames.clear()
        rows = max(1, int(whole.height * self.budget / PIECES / max(size, 1)))
        return [self.write([piece]) for piece in whole.iter_slices(rows)]

    def write(self, frames: list[pl.DataFrame]) -> Path:
        """Write frames into one file of the scratch folder."""
        self._files += 1
        path = self.folder / f"rows-{self._files}.arrow"
        # Not compressed: numbers hardly shrink, and to pack and unpack them took three times as long as all else here.
        pl.concat(frames, rechunk=False).write_ipc(path, compression="uncompressed")
        return path


class Progress:
    """Says on stderr how far the work is, every few seconds."""

    def __init__(self, what: str, every: float = 5.0) -> None:
        self._what, self._every = what, every
        self._rows = 0
        self._next = time.monotonic() + every

    def watch(self, chunks: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Pass the chunks on and count their rows."""
        for chunk in chunks:
            yield chunk
            self._rows += chunk.height
            if time.monotonic() >= self._next:
                say(f"{self._what}: {self._rows:,} rows so far")
                self._next = time.monotonic() + self._every
