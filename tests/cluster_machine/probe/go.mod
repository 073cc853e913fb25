module mlops.dev/tests/cluster_machine/probe

go 1.24
