"""The no-cluster side: a cluster in memory and in one folder, and a node that runs pods as processes."""
