"""Write what is generated from the code: the CustomResourceDefinitions, plain and as templates of the chart, and the
page on reasons.

The chart's table of values is made of the comments in its values.yaml. `make generate` runs it, CI compares.
"""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import yaml

from mlops.api.crd import crds
from mlops.api.reasons import ALL, REASONS, Explanation, of_kind

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Generated from operator/mlops/api by `make generate`. Do not edit.\n"


CHART = "charts/mlops-operator"
TABLE_BEGIN = "<!-- values: generated from values.yaml by `make generate` -->\n"
TABLE_END = "<!-- end of values -->\n"
# Where `helm upgrade` would leave crds/ alone, it upgrades templates; `keep` saves everybody's objects from uninstall.
CHART_HEADER = "{{- if .Values.crds.enabled }}\n"
CHART_METADATA = """\
  annotations:
    helm.sh/resource-policy: keep
  labels:
    {{- include "mlops-operator.labels" . | nindent 4 }}
"""
CHART_FOOTER = "{{- end }}\n"


class _Dumper(yaml.SafeDumper):
    """Indents lists as kubectl does, and never writes aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def generated() -> dict[str, str]:
    """Return the text of every generated file, by its path in the repository."""
    files = {}
    for name, manifest in crds().items():
        text = yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        files[f"crds/{name}"] = HEADER + text
        files[f"{CHART}/templates/crds/{name}"] = _template(text)
    head, begin, rest = (ROOT / CHART / "README.md").read_text().partition(TABLE_BEGIN)
    _, end, tail = rest.partition(TABLE_END)
    table = "".join(_table((ROOT / CHART / "values.yaml").read_text()))
    files[f"{CHART}/README.md"] = f"{head}{begin}\n{table}\n{end}{tail}"
    files["docs/reasons.md"] = "".join(_reasons())
    return files


def _template(text: str) -> str:
    """Return a CustomResourceDefinition's YAML as a template of the chart."""
    if "{{" in text:
        raise ValueError("a description or a rule has '{{', which Helm would take for an action")
    metadata, spec = text.split("spec:\n", 1)
    return f"{CHART_HEADER}{HEADER}{metadata}{CHART_METADATA}spec:\n{spec}{CHART_FOOTER}"


def _table(values: str) -> Iterator[str]:
    """Yield the lines of the table of values; the comment above each, which begins with `# --`, describes it."""
    yield "| value | default | what it is |\n|---|---|---|\n"
    root = yaml.compose(values, Loader=yaml.SafeLoader)
    assert isinstance(root, yaml.MappingNode)
    for path, default, description in _described(root, "", values.splitlines()):
        yield f"| `{path}` | `{json.dumps(default)}` | {description} |\n"


def _described(mapping: yaml.MappingNode, prefix: str, lines: list[str]) -> Iterator[tuple[str, object, str]]:
    for key, node in mapping.value:
        comment: list[str] = []
        above = key.start_mark.line - 1
        while above >= 0 and lines[above].lstrip().startswith("#"):
            comment.insert(0, lines[above].lstrip("# "))
            above -= 1
        if comment and comment[0].startswith("-- "):
            constructor = yaml.SafeLoader("")
            yield prefix + key.value, constructor.construct_object(node, deep=True), " ".join(comment)[3:]
        elif isinstance(node, yaml.MappingNode) and node.value:
            yield from _described(node, f"{prefix}{key.value}.", lines)
        else:
            raise ValueError(f"values.yaml: {prefix}{key.value} has no comment that begins with '# --'")


REASONS_BEGIN = """\
# Reasons

<!-- Generated from operator/mlops/api/reasons.py by `make generate`. Do not edit. -->

Every reason that a condition can have, of each kind and of any: what it means, and the way out. The condition's message
says the same of the object at hand: which field, which value, which file. `mlops explain REASON` prints this.

In brackets stand the conditions that may have the reason. `Reconciling=True` and `Stalled=True`, where they are, repeat
the reason of `Ready`: with `Reconciling` it goes on by itself, with `Stalled` only a change by a person helps. Two more
may bring words of their own: a pod of your own image may report any reason, and other releases may know others.

"To ask for a retry" of any object is the annotation `mlops.dev/retry` with a text that it did not have before, such as
the present moment; on one machine `mlops retry KIND NAME` sets it. See [operations.md](operations.md#trying-again).
"""


def _reasons() -> Iterator[str]:
    """Yield the page on reasons."""
    yield REASONS_BEGIN
    for kind in ALL:
        yield f"\n## {kind}\n\n"
        yield from (_explained(each) for each in of_kind(kind) if each.kinds != ALL)
    yield "\n## Any kind\n\n"
    yield from (_explained(each) for each in sorted(REASONS, key=lambda each: each.reason) if each.kinds == ALL)


def _explained(each: Explanation) -> str:
    ready = [f"Ready={'|'.join(each.ready)}"] if each.ready else []
    where = ", ".join([*ready, *each.conditions])
    said = [f"- **`{each.reason}`** ({where}): {each.meaning}"]
    if each.way_out:
        said.append(f"  *Way out:* {each.way_out}")
    return "".join(
        textwrap.fill(text, 118, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False) + "\n"
        for text in said
    )


def main() -> int:
    """Write the files, or with --check say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not up to date")
    check = parser.parse_args().check
    stale = []
    for name, text in generated().items():
        path = ROOT / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    for name in stale:
        print(f"{name}: {'not up to date: run make generate' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
