"""Mistakes that manifests alone show: found by `mlops` where it reads them, and by planners before a pod starts.

Each module is imported by itself: a pod that reads data need not know what a run can do wrong.
"""
