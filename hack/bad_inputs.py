"""Write docs/bad-inputs.md from the catalogue that the tests walk. `--check` writes nothing, and fails if it is old."""

from __future__ import annotations

import argparse
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import yaml

from mlops.api.drift_monitor import ActionName, CheckType, Verdict
from mlops.workloads.train.estimators import ESTIMATORS

ROOT = Path(__file__).resolve().parent.parent
CATALOGUE = ROOT / "tests" / "bad_input" / "catalogue"
PAGE = ROOT / "docs" / "bad-inputs.md"
PLACES = {
    "api_server": "API server",
    "kubectl": "kubectl",
    "command_line": "`mlops`",
    "chart": "Helm",
    "condition": "condition `Ready`",
    "elsewhere": "",
}
_WIDTH = 118
# Lists that messages repeat, which are written in the catalogue by these names.
_LISTS: dict[str, tuple[str, ...]] = {
    "<actions>": get_args(ActionName),
    "<check types>": get_args(CheckType),
    "<verdicts>": get_args(Verdict),
}
_ALLOWED = {"<estimators>": ", ".join(sorted(ESTIMATORS))}
# A name of 254 times the same letter is no use to a reader.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REPEATED = re.compile(r"(.)\1{40,}")
_HEAD = """\
# Bad inputs

<!-- Generated from tests/bad_input/catalogue by `python hack/bad_inputs.py`. Do not edit. -->

What a user did wrong, where that is refused, what is said there, and the way out. Tests walk all of it: on a real
kube-apiserver (`kubectl apply`, `kubectl apply --server-side`, and clients that do not ask for unknown fields), with
the real `kubectl`, `helm` and `mlops`, and through the engine with the real workloads. Of a condition they also show
that the mended object becomes Ready without anything being deleted.

The API server writes `<Kind>.mlops.dev "<name>" is invalid:` before a message, and `mlops` writes `Error:`, the file,
the kind and the name. What varies stands here as `<number>` or `<versions>`.

"""


def cases(name: str) -> list[dict[str, Any]]:
    """Return the cases of one file of the catalogue, with lists written out as the API server and `mlops` do."""
    found: list[dict[str, Any]] = yaml.load((CATALOGUE / f"{name}.yaml").read_text("utf-8"), Loader=yaml.CSafeLoader)
    for case in found:
        for list_, allowed in _ALLOWED.items():
            case["message"] = case["message"].replace(list_, allowed)
        for list_, words in _LISTS.items():
            *most, last = map(repr, words)
            case["message"] = case["message"].replace(list_, ", ".join(f'"{word}"' for word in words))
            if "local" in case:
                case["local"] = case["local"].replace(list_, f"{', '.join(most)} or {last}")
    return found


def page() -> str:
    """Return the page."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    counts = dict.fromkeys(PLACES, 0)
    also_local = 0
    for name in PLACES:
        for case in cases(name):
            found.setdefault(case["category"], []).append((name, case))
            counts[name] += 1
            also_local += "local" in case
    table = "".join(f"| {place} | {counts[name]} |\n" for name, place in PLACES.items() if place)
    total = sum(count for name, count in counts.items() if PLACES[name]) + also_local
    text = f"{_HEAD}| refused by | cases |\n|---|---|\n{table}"
    text += f"| `mlops run`, of the API server's | {also_local} |\n| all | {total} |\n"
    for category, entries in found.items():
        text += f"\n## {category[0].upper()}{category[1:]}\n\n"
        text += "".join(line for name, case in entries for line in _entry(name, case))
    return text


def _entry(name: str, case: dict[str, Any]) -> Iterator[str]:
    place = PLACES[name] or case["place"]
    said = (
        f"{case['message']} ({case['shownBy'].partition('::')[0]})" if name == "elsewhere" else _code(case["message"])
    )
    reason = f" `{case['reason']}`," if "reason" in case else ""
    yield _wrapped(f"- **{case['did']}** {place}:{reason} {said}", "  ")
    if "local" in case:
        yield _wrapped(f"  `mlops run`: {_code(case['local'])}", "  ")
    if case.get("plain") == "dropped":
        yield _wrapped("  Without strict validation the field is dropped.", "  ")
    yield _wrapped(f"  *Way out:* {case['wayOut']}", "  ")


def _code(message: str) -> str:
    # A page of text holds no control character: it is written as its escape.
    plain = _CONTROL.sub(lambda one: f"\\x{ord(one[0]):02x}", " ".join(message.split()))
    text = _REPEATED.sub(r"\1\1\1…\1\1\1", plain)
    fence = "``" if "`" in text else "`"
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False) + "\n"


def main() -> int:
    """Write the page, or with --check say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is not up to date")
    check = parser.parse_args().check
    current = PAGE.read_text("utf-8") if PAGE.exists() else ""
    if (text := page()) == current:
        return 0
    if not check:
        PAGE.write_text(text, "utf-8")
    print(f"{PAGE.relative_to(ROOT)}: {'not up to date: run python hack/bad_inputs.py' if check else 'written'}")
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
