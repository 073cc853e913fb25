"""Answer rows that lie somewhere, part by part, and go on where an earlier execution was ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final

import polars as pl

from mlops.api.job_names import scheduled_time
from mlops.api.reasons import Reason
from mlops.api.score_task import ScoreReport, ScoreTask
from mlops.workloads.floor.log import say
from mlops.workloads.floor.model.opening import load
from mlops.workloads.floor.pod import BadInput, Pod
from mlops.workloads.ingest.own_place import overlap
from mlops.workloads.ingest.problems import shown
from mlops.workloads.ingest.rows import Progress
from mlops.workloads.score.scorer import PIECE, RefusedRow, Scorer
from mlops.workloads.score.sources import OpenedRows, RowSource, ScoredFile, bucket_of, source_of
from mlops.workloads.score.target import CLAIM, MANIFEST, PartName, ScoreTarget, cut

FILE, ROW, MODEL, REASON, INPUTS = "out.file", "out.row", "out.model", "out.reason", "out.inputs"
FORMAT_VERSION: Final = 1
# So many different reasons are counted by name; the rest together.
_MOST_REASONS: Final = 50
_OTHERS: Final = "other reasons"


@dataclass
class _Totals:
    rows: int = 0
    answered: int = 0
    quarantined: int = 0
    kept_parts: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    parts: list[dict[str, Any]] = field(default_factory=list)

    def add(self, noted: dict[str, Any], *, kept: bool) -> None:
        self.parts.append(noted)
        self.rows += noted["rows"] + noted["unread"]
        self.answered += noted["answered"]
        self.quarantined += noted["refused"] + noted["unread"]
        self.kept_parts += kept
        for reason, count in noted["reasons"].items():
            self.reasons[reason if reason in self.reasons or len(self.reasons) < _MOST_REASONS else _OTHERS] += count


def score(pod: Pod, task: ScoreTask) -> ScoreReport:
    """Write the answers, and return how many there are. Raises BadInput, PassingFault, or an error of a store."""
    uri, output = _addressed(pod, task, task.input.uri), str(_addressed(pod, task, task.output))
    bucket, key = bucket_of(pod, output, task.namespace)
    if uri is not None:
        _check_apart(uri, output)
        bucket_of(pod, uri, task.namespace)
    loaded = load(pod.store, task.artifact, pod.scratch / "model")
    with source_of(pod, task, loaded.predictor.signature, uri) as source:
        target = ScoreTarget(bucket, key, output, pod.scratch)
        totals = _Work(task, source, Scorer(loaded), target).all()
    quarantined = f"; {totals.quarantined:,} are put aside" if totals.quarantined else ""
    parts = f"{len(totals.parts)} part{'s' if len(totals.parts) > 1 else ''}"
    say(f"{totals.answered:,} of {totals.rows:,} rows are answered, in {parts}{quarantined}")
    return ScoreReport(
        artifact=task.artifact,
        output=output,
        rows=totals.rows,
        answered=totals.answered,
        quarantined=totals.quarantined,
        parts=len(totals.parts),
        kept_parts=totals.kept_parts,
    )


def _addressed(pod: Pod, task: ScoreTask, address: str | None) -> str | None:
    """Return an address of this Job, whose name says for which time it is."""
    if address is None or ("{date}" not in address and "{time}" not in address):
        return address
    minutes = scheduled_time(pod.job)
    if minutes is None:
        raise BadInput(
            Reason.CONFIGURATION_INVALID,
            f"{address}: {{date}} and {{time}} are those of a CronJob's Job, and the name of this one ({pod.job!r}) "
            "ends in no scheduled time: write the address out, or name the Job such as score-29000000, minutes since "
            "1970",
        )
    at = datetime.fromtimestamp(minutes * 60, UTC)
    return address.replace("{date}", f"{at:%Y-%m-%d}").replace("{time}", f"{at:%Y%m%dT%H%MZ}")


def _check_apart(uri: str, output: str) -> None:
    """Refuse answers among the rows, which the next run would take for rows."""
    ours, theirs = (tuple(part for part in one.split("/") if part) for one in (uri, output))
    if overlap(ours, theirs):
        raise BadInput(
            Reason.CONFIGURATION_INVALID, f"{output}: lies in {uri}, or around it: answers go to a place of their own"
        )


class _Work:
    def __init__(self, task: ScoreTask, source: RowSource, scorer: Scorer, target: ScoreTarget) -> None:
        self._task, self._source, self._scorer, self._target = task, source, scorer, target
        own = {FILE: pl.String(), ROW: pl.Int64()}
        if taken := sorted({*own, MODEL, *scorer.schema} & set(source.beside)):
            raise BadInput(
                Reason.CONFIGURATION_INVALID,
                f"columns: the field {taken[0]!r} has the name of a column of the answers: let columns be none",
            )
        self.schema: dict[str, pl.DataType] = {**own, **source.beside, **scorer.schema, MODEL: pl.String()}

    def all(self) -> _Totals:
        """Answer all files."""
        task = self._task
        claim = {
            "formatVersion": FORMAT_VERSION,
            "program": metadata.version("mlops-operator"),
            "model": {"name": task.model_name, "version": task.version, "artifact": task.artifact},
            "input": self._source.identity(),
            "beside": task.columns,
            "onInvalid": task.on_invalid,
            "partRows": task.part_rows,
        }
        self._target.claim(claim)
        totals = _Totals()
        progress = Progress("read")
        for number, file in enumerate(self._source.files):
            self._file(number, file, totals, progress)
        if not totals.rows:
            raise BadInput(Reason.DATA_UNUSABLE, f"{self._source.files[0].name}: there is no row to answer")
        document = {
            **claim,
            "rows": totals.rows,
            "answered": totals.answered,
            "quarantined": totals.quarantined,
            "reasons": dict(totals.reasons.most_common()),
            "columns": [{"name": name, "type": str(kind)} for name, kind in self.schema.items()],
            "parts": totals.parts,
        }
        self._target.note(MANIFEST, document)
        return totals

    def _file(self, number: int, file: ScoredFile, totals: _Totals, progress: Progress) -> None:
        whole = self._whole(number)
        if whole and whole[-1]["last"]:
            # The claim says that it is the file that it was: it need not be read.
            for noted in whole:
                totals.add(noted, kept=True)
            return
        opened = self._source.open(file)
        if other := next((one for one in whole if one["source"] != opened.sha256), None):
            raise BadInput(
                Reason.CONFIGURATION_INVALID,
                f"{file.name}: holds other bytes than when {other['name']} was written, and they are not mixed: name "
                f"another place, or empty this one ({CLAIM} says of what it is)",
            )
        # Closed at once, so that what a reader holds is gone before the next file.
        with closing(opened.frames):
            frames = progress.watch(opened.frames)
            for count, (rows, before, last) in enumerate(cut(frames, self._task.part_rows)):
                if count < len(whole):
                    totals.add(whole[count], kept=True)
                    continue
                totals.add(self._part(PartName(number, count), file, opened, rows, before, last), kept=False)

    def _whole(self, number: int) -> list[dict[str, Any]]:
        """Return what is noted of a file's first parts, up to one that is not whole."""
        found: list[dict[str, Any]] = []
        while (noted := self._target.whole(PartName(number, len(found)))) is not None:
            found.append(noted)
            if noted["last"]:
                break
        return found

    def _part(
        self, part: PartName, file: ScoredFile, opened: OpenedRows, rows: pl.DataFrame | None, before: int, last: bool
    ) -> dict[str, Any]:
        """Answer one part, write it, and return what is noted of it."""
        answers: list[pl.DataFrame] = [pl.DataFrame(schema=self.schema)]
        aside: list[pl.DataFrame] = []
        reasons: Counter[str] = Counter()
        for piece in rows.iter_slices(PIECE) if rows is not None else ():
            found, places, refused = self._scorer.answer(piece)
            numbered = piece.with_columns(
                pl.lit(file.name).alias(FILE), opened.numbers(before, piece.height).alias(ROW)
            )
            before += piece.height
            kept = numbered[places].hstack(found).with_columns(pl.lit(self._task.artifact).alias(MODEL))
            answers.append(kept.select(list(self.schema)))
            if refused:
                self._check_may_refuse(file, numbered, refused[0])
                aside.append(_refused_rows(numbered, refused, list(self._source.beside), self._scorer))
                reasons.update(one.rule for one in refused)
        files = {part.answers: self._target.put(part.answers, pl.concat(answers))}
        if aside:
            files[part.refused] = self._target.put(part.refused, pl.concat(aside))
        unread = opened.aside.rows if last else []
        if unread:
            table = pl.DataFrame([asdict(one) for one in unread], infer_schema_length=None)
            files[part.unread] = self._target.put(part.unread, table)
            reasons.update(opened.aside.rules)
        noted = {
            "name": part.answers,
            "of": file.name,
            "source": opened.sha256,
            "rows": rows.height if rows is not None else 0,
            "answered": sum(one.height for one in answers),
            "refused": sum(one.height for one in aside),
            "unread": len(unread),
            "reasons": dict(reasons.most_common(_MOST_REASONS)),
            "last": last,
            "files": files,
        }
        self._target.note(part.note, noted)
        return noted

    def _check_may_refuse(self, file: ScoredFile, rows: pl.DataFrame, refused: RefusedRow) -> None:
        if self._task.on_invalid == "quarantine":
            return
        values = ", ".join(f"{name} = {self._value(rows, refused.at, name)}" for name in refused.inputs)
        raise BadInput(
            Reason.REJECTED,
            f"{file.name}: row {rows[ROW][refused.at]}: {values}: {refused.rule}; a server refuses such a row: mend "
            "it, or say --on-invalid quarantine, which answers the others and puts such rows aside",
        )

    def _value(self, rows: pl.DataFrame, at: int, name: str) -> str:
        value = rows[name][at]
        if value is None:
            return "nothing"
        return "a value that is personal" if name in self._source.pii else f'"{shown(value)}"'


def _refused_rows(
    rows: pl.DataFrame, refused: Sequence[RefusedRow], beside: Sequence[str], scorer: Scorer
) -> pl.DataFrame:
    """Return rows without an answer, as they were read, with why and which inputs that is about."""
    names = list(dict.fromkeys([FILE, ROW, *beside, *(one.name for one in scorer.signature.inputs)]))
    return (
        rows[[one.at for one in refused]]
        .select(names)
        .with_columns(
            pl.Series(REASON, [one.rule for one in refused], dtype=pl.String),
            pl.Series(INPUTS, [", ".join(one.inputs) for one in refused], dtype=pl.String),
        )
    )
