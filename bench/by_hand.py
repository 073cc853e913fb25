"""What one would write instead: FastAPI and onnxruntime, the protocol's JSON, no checks. Run by bench/serving.py."""

import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
name = session.get_inputs()[0].name
app = FastAPI()


@app.get("/v2/health/ready")
async def ready():
    return {"ready": True}


@app.post("/v2/models/forest/infer")
async def infer(request: Request):
    body = orjson.loads(await request.body())
    matrix = np.array([tensor["data"] for tensor in body["inputs"]], dtype=np.float32).T
    label, probabilities = session.run(None, {name: matrix})
    outputs = [
        {"name": "prediction", "datatype": "INT64", "shape": [len(matrix)], "data": label.tolist()},
        {
            "name": "probabilities",
            "datatype": "FP64",
            "shape": [len(matrix), 2],
            "data": probabilities.ravel().tolist(),
        },
    ]
    answer = {"model_name": "forest", "model_version": "1", "id": body.get("id"), "outputs": outputs}
    return Response(orjson.dumps(answer), media_type="application/json")


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), access_log=False, log_level="error")
