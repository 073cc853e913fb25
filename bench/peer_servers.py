"""The same random forest behind other people's servers, one per call: `python peer_servers.py NAME DATA PORT`.

Run by bench/serving_peers.py, each in an environment of its own (bench/requirements-serving.txt). DATA is a .npz with
`x` (n, 20) and `y` (n,); every peer fits scikit-learn's RandomForestClassifier on it, and answers with the
probabilities of both classes. Each is written as its own documentation does it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

# In the place of the environment's: BentoML and MLflow start processes of their own, which read it.
DATA = os.environ.get("BENCH_DATA", "")
BATCH, BATCH_SECONDS = 64, 0.005


def fitted() -> Any:
    """The forest."""
    from sklearn.ensemble import RandomForestClassifier

    data = np.load(DATA)
    return RandomForestClassifier(100, random_state=0, max_depth=8).fit(data["x"], data["y"])


def mlserver(port: int, folder: Path, *, batching: bool = False) -> None:
    """MLServer with its runtime for scikit-learn; with `batching` its adaptive batches."""
    import joblib  # type: ignore[import-untyped]

    joblib.dump(fitted(), folder / "model.joblib")
    model: dict[str, Any] = {
        "name": "forest",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.joblib", "version": "1"},
    }
    if batching:
        model |= {"max_batch_size": BATCH, "max_batch_time": BATCH_SECONDS}
    (folder / "model-settings.json").write_text(json.dumps(model))
    settings = {
        "http_port": port,
        "grpc_port": port + 1,
        "metrics_port": port + 2,
        "host": "127.0.0.1",
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    script("mlserver", "start", str(folder))


def kserve(port: int) -> None:
    """KServe's server with a model class."""
    from kserve import InferOutput, InferRequest, InferResponse, Model, ModelServer  # type: ignore[import-not-found]

    class Forest(Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__("forest")
            self.forest = fitted()
            self.ready = True

        def predict(self, payload: InferRequest, headers: Any = None, response_headers: Any = None) -> InferResponse:
            found = self.forest.predict_proba(payload.inputs[0].as_numpy())
            output = InferOutput(name="probabilities", shape=list(found.shape), datatype="FP64")
            output.set_data_from_numpy(found, binary_data=False)
            return InferResponse(response_id=payload.id or "none", model_name="forest", infer_outputs=[output])

    ModelServer(http_port=port, enable_grpc=False, workers=1, access_log_format=None).start([Forest()])


def bentoml(port: int, folder: Path) -> None:
    """BentoML with adaptive batches."""
    (folder / "service.py").write_text(
        f"""\
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import bentoml, numpy as np
from peer_servers import fitted

@bentoml.service(workers=1, metrics={{"enabled": False}})
class Forest:
    def __init__(self):
        self.forest = fitted()

    @bentoml.api(batchable=True, max_batch_size={BATCH}, max_latency_ms=10000)
    def infer(self, x: np.ndarray) -> np.ndarray:
        return self.forest.predict_proba(x)
"""
    )
    os.chdir(folder)
    script("bentoml", "serve", "service:Forest", "--host", "127.0.0.1", "--port", str(port))


def litserve(port: int, folder: Path) -> None:
    """LitServe with batches."""
    # Its processes import the class by name.
    (folder / "lit.py").write_text(
        f"""\
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import litserve, numpy as np
from peer_servers import fitted

class Forest(litserve.LitAPI):
    def setup(self, device):
        self.forest = fitted()

    def decode_request(self, request):
        return np.asarray(request["x"], dtype=np.float32)

    def predict(self, x):
        return self.forest.predict_proba(x)

    def encode_response(self, output):
        return {{"probabilities": np.asarray(output).tolist()}}

if __name__ == "__main__":
    api = Forest(max_batch_size={BATCH}, batch_timeout={BATCH_SECONDS})
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port={port}, generate_client_file=False, log_level="error", num_api_servers=1)
"""
    )
    script("python", str(folder / "lit.py"))


def mlflow(port: int, folder: Path) -> None:
    """`mlflow models serve`."""
    import mlflow.sklearn  # type: ignore[import-not-found]

    mlflow.sklearn.save_model(fitted(), folder / "model", serialization_format="cloudpickle")
    model = str(folder / "model")
    where = ("--host", "127.0.0.1", "--port", str(port))
    script("mlflow", "models", "serve", "-m", model, "--env-manager", "local", "--workers", "1", *where)


def ray(port: int, folder: Path) -> None:
    """Ray Serve with batches."""
    (folder / "on_ray.py").write_text(
        f"""\
import sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
import numpy as np, ray
from ray import serve
from peer_servers import fitted

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
serve.start(http_options={{"host": "127.0.0.1", "port": {port}}})

@serve.deployment(max_ongoing_requests=200)
class Forest:
    def __init__(self, forest):
        self.forest = forest

    @serve.batch(max_batch_size={BATCH}, batch_wait_timeout_s={BATCH_SECONDS})
    async def together(self, rows):
        return self.forest.predict_proba(np.concatenate(rows)).tolist()

    async def __call__(self, request):
        document = await request.json()
        return {{"probabilities": await self.together(np.asarray(document["x"], dtype=np.float32))}}

serve.run(Forest.bind(fitted()), route_prefix="/infer")
while True:
    time.sleep(3600)
"""
    )
    script("python", str(folder / "on_ray.py"))


def script(*command: str) -> None:
    """Become a program of this environment."""
    program = Path(sys.executable).with_name(command[0])
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    os.execv(program, [str(program), *command[1:]])


def main() -> None:
    """Serve until told to stop."""
    global DATA
    name, DATA, port, folder = sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4])
    os.environ["BENCH_DATA"] = DATA
    match name:
        case "mlserver":
            mlserver(port, folder)
        case "mlserver-batching":
            mlserver(port, folder, batching=True)
        case "kserve":
            kserve(port)
        case "bentoml":
            bentoml(port, folder)
        case "litserve":
            litserve(port, folder)
        case "mlflow":
            mlflow(port, folder)
        case "ray":
            ray(port, folder)
        case _:
            raise SystemExit(f"no peer is called {name}")


if __name__ == "__main__":
    main()
