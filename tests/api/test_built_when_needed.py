"""Models are built when they are first used: in a process of its own, since here all of them have been."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import threading
from mlops.api import tasks
from mlops.api.dataset import DatasetSpec
from mlops.api.drift_monitor import DriftMonitor

assert not DatasetSpec.__pydantic_complete__ and not DriftMonitor.__pydantic_complete__
TASK = '''{"task": "remove", "namespace": "shop", "dataset": "things", "artifacts": ["a"]}'''
SPEC = {"source": {"s3": {"uri": "s3://raw/a.csv"}}, "format": "csv",
        "fields": [{"name": "x", "type": "float64"}, {"name": "y", "type": "float64", "role": "label"}]}


def first_use(found):
    # Names of types, as somebody may call variables: they must not be taken for the types of the models' fields.
    DataField = Source = Split = Validation = Name = FieldName = Decimal = Digest = int
    found.append((DatasetSpec.model_validate(SPEC), tasks.parse_task(TASK)))


found = []
threads = [threading.Thread(target=first_use, args=(found,)) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == 8 and all(one == found[0] for one in found), found
assert [field.name for field in found[0][0].fields] == ["x", "y"]
assert found[0][1].artifacts == ("a",)
assert not DriftMonitor.__pydantic_complete__
print("as they are")
"""


def test_the_first_use_in_many_threads_beside_names_of_types() -> None:
    """Names mean what they do where a model is defined, and a model that nobody uses is not built."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("as they are", "")
