"""The model artifact: a folder that says what it takes, how it answers, and what it was trained on.

    model.json          the signature: inputs, computed features, encoding, label, classes, engine (`signature`)
    model.onnx          encoding and estimator in one graph, or
    model.treelite      the trees alone; the encoding stands in model.json, or
    model.skops         the fitted scikit-learn estimator, canonical bytes, types from a fixed list
    golden.json         rows of raw inputs and the answers to them (`golden`)
    reference.parquet   the training sample and held-out rows that drift checks compare with
    metrics.json        every metric of every part
    environment.json    distributions and platform

Equal inputs give equal bytes. Nothing in it is executed: no pickle is read, ONNX has no custom operators and no
external data. `predictor.Predictor` is the only reader, at evaluation, verification and serving.
"""
