"""Write what is generated from the code: the CustomResourceDefinitions. `make generate` runs it, CI compares."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from mlops.api.crd import crds

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Generated from operator/mlops/api by `make generate`. Do not edit.\n"


class _Dumper(yaml.SafeDumper):
    """Indents lists as kubectl does, and never writes aliases."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def main() -> int:
    """Write the files, or with --check say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is not up to date")
    check = parser.parse_args().check
    stale = []
    for name, manifest in crds().items():
        path = ROOT / "crds" / name
        text = HEADER + yaml.dump(manifest, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if not check:
                path.write_text(text)
    for name in stale:
        print(f"crds/{name}: {'not up to date: run make generate' if check else 'written'}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
