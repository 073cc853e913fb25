"""Objects as YAML that `kubectl` and `mlops` read back as they were: y, no, 010 and 1e3 stand in quotes."""

from __future__ import annotations

from typing import Any

import yaml

from mlops.cli.yaml_scalars import NoJsonNumber, resolved


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True  # no reader of ours takes them


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _is_plain(text) else "'")


def _is_plain(text: str) -> bool:
    try:
        return bool(resolved(text) == text)
    except NoJsonNumber:
        return False


_Dumper.add_representer(str, _text)


def written(value: Any) -> str:
    """Return one document, without a line break at its end."""
    return str(yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True)).rstrip()
