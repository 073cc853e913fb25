"""Mistakes that manifests alone show: found by `mlops` where it reads them, and by planners before a pod starts."""

from mlops.api.mistakes.mistake import Mistake, listed
from mlops.api.mistakes.of_dataset import of_dataset
from mlops.api.mistakes.of_run import of_run
from mlops.api.mistakes.of_run_on_dataset import of_run_on_dataset

__all__ = ["Mistake", "listed", "of_dataset", "of_run", "of_run_on_dataset"]
