"""A child process without keys, in which bytes that nobody vouches for are opened.

    frames.py    what the two say to each other: JSON and plain numbers, nothing that runs when it is read
    limits.py    what the child may use, and what it cannot see
    answering.py the child's side: restricts itself, answers by a fixed table
    parent.py    starts it, asks it, and ends it

The table is `floor/child.py`, the program that the parent starts: what may be opened is decided above this folder.

Checks of the structure come before (`model.treelite_file`, `model.skops_checks`, `model.onnx_checks`,
`floor.parquet_file`). The child is for what they do not know: whatever ends it is a reason, not the end of the pod.
"""
