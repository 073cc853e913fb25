"""`mlops init`: read a delivery whole, write the manifests that it needs, and say what was found."""

from __future__ import annotations

import tempfile
from pathlib import Path
from zoneinfo import available_timezones

import yaml

from mlops.api.kinds import InvalidObject, parse
from mlops.cli.errors import UserError
from mlops.cli.init import roles, writing
from mlops.cli.init.deciding import decided
from mlops.cli.init.delivery import opened
from mlops.cli.init.naming import object_name
from mlops.cli.init.options import InitOptions
from mlops.cli.init.places import Placed, placed
from mlops.cli.init.proving import proved
from mlops.cli.init.reading import Profile, profiled
from mlops.workloads.floor.pod import BadInput


def init(options: InitOptions) -> list[str]:
    """Write the manifests and the scenario beside them; return what to tell. Raises UserError."""
    if options.time_zone and options.time_zone not in available_timezones():
        raise UserError(
            f"--time-zone {options.time_zone!r}: not in the time zone database: say one such as Europe/Berlin"
        )
    with tempfile.TemporaryDirectory(prefix="mlops-init-") as scratch:
        place = placed(options, Path(scratch))
        target = _target(options, place.stem)
        _check_names([*(path.resolve() for path in place.files), target])
        name = object_name(options.name or target.stem)
        try:
            written = _written(options, place, Path(scratch), name)
        except BadInput as error:
            raise UserError(error.message) from error
        deliveries = place.deliveries(name)
    text, put = writing.manifests(written), writing.scenario(deliveries)
    try:
        for document in yaml.safe_load_all(text):
            parse(document)
    except InvalidObject as error:
        raise UserError(f"what was found makes no manifest: {error}") from error
    both = text.encode(), put.encode()
    target.write_bytes(both[0])
    if deliveries:
        beside(target).write_bytes(both[1])
    elif options.force:
        beside(target).unlink(missing_ok=True)
    return _summary(written, target, has_scenario=bool(deliveries))


def beside(manifest: Path) -> Path:
    """Return the scenario of one manifest."""
    return manifest.with_suffix(".scenario.toml")


def _written(options: InitOptions, place: Placed, scratch: Path, name: str) -> writing.Written:
    profile = profiled(opened(place.files, options, scratch))
    profile.notes += place.notes
    if profile.delivery.csv is not None and not profile.delivery.csv.header and options.header is None:
        profile.notes.append("no row holds names, the first is data as all others: if it does, say --header 1")
    if not profile.rows:
        raise UserError(f"{profile.delivery.names}: there is no row")
    if options.label is None:
        raise UserError(f"say by --label which column is to be predicted, one of: {_columns(profile)}")
    source = place.source_of(name)
    found = decided(profile, options)
    proof = proved(profile, found, source)
    label = roles.assign(profile, found, proof, options)
    return writing.Written(name, profile, found, proof, label, source)


def _check_names(paths: list[Path]) -> None:
    """Raise UserError for a name that no text can hold: the system gives its bytes, which are not UTF-8."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UserError(f"{str(path)!r}: the name is not UTF-8, and a manifest is: rename it") from None


def _columns(profile: Profile) -> str:
    return ", ".join(column.name or f"{column.evidence.position}" for column in profile.columns)


def _target(options: InitOptions, stem: str) -> Path:
    """Return the manifest's path. Raises UserError if it is there, or has no name that objects may have."""
    stem = options.name or (options.output.stem if options.output else stem)
    name = object_name(stem)
    if not name or (options.name and name != options.name):
        raise UserError(
            f"{options.name or stem!r}: a name has lower-case letters, digits and -, at most 40: say another by --name"
        )
    target = options.output or Path(f"{name}.yaml")
    if target.suffix not in (".yaml", ".yml"):
        raise UserError(f"--output {str(target)!r}: the name of a manifest ends in .yaml or .yml")
    for path in (target, beside(target)):
        if path.exists() and not options.force:
            raise UserError(f"{path} is there already: --force writes over it, --output says another file")
    return target


def _summary(written: writing.Written, target: Path, *, has_scenario: bool) -> list[str]:
    guesses = written.decided.guesses
    features = sum("role" not in guess.spec for guess in guesses)
    kind = "classification" if roles.is_classification(written.label) else "regression"
    lines = [f"{written.profile.rows:,} rows, {features} features, {kind} of {written.label.name}"]
    lines += written.profile.notes
    lines += [f"left out: {each}" for each in written.decided.left_out]
    lines += [f"{guess.name}: {doubt}" for guess in guesses for doubt in guess.doubts]
    files = (
        f"{target} and {beside(target)} are written; check them" if has_scenario else f"{target} is written; check it"
    )
    return [*lines, f"{files}, then", f"  mlops run -f {target}"]
