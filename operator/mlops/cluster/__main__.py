"""`python -m mlops.cluster` is `mlops-operator`."""

from mlops.cluster.main import main

if __name__ == "__main__":
    main(prog_name="mlops-operator")
