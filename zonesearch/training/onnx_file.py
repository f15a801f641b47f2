"""A trained network as an ONNX file, checked against the original network."""

from __future__ import annotations

import io
import os
import warnings
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch

from zonesearch.core.outputs import check_place
from zonesearch.core.wording import excerpt
from zonesearch.errors import ObjectiveError, StoreError
from zonesearch.training.numerics import arithmetic
from zonesearch.training.trained import TrainedNetwork

__all__ = ["check_onnx", "save_onnx"]

_NEAR = 1e-3  # relative to the largest output: other kernels round differently
_OPSET = 17


def check_onnx() -> None:
    """Check that ONNX is installed, before anything is trained.

    Raises:
        StoreError: naming what to install.
    """
    try:
        import onnx
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise StoreError(f"onnx is not installed here ({error}): pip install 'zonesearch[onnx]'") from None
    del onnx


def save_onnx(trained: TrainedNetwork, path: str | os.PathLike[str]) -> Path:
    """Write ``trained.module`` as ONNX; returns the path.

    Its input ``inputs`` has shape (n, *shape), as :meth:`TrainedNetwork.prepare` returns, for any n; normalisation is
    included. Its output ``outputs`` holds scores, (n, n_classes), or values, (n,).

    Raises:
        StoreError: onnx is not installed, or the file cannot be written.
        ObjectiveError: ONNX does not support the network, or its outputs differ there.
    """
    check_onnx()
    import onnxruntime

    check_place(Path(path), "ONNX file ")
    path, part = Path(path), Path(path).with_name(f".{Path(path).name}.{uuid4().hex}.part")
    if trained.preprocessing.kind == "collated":
        raise ObjectiveError("a network whose examples are collated has no one shape of inputs to be written as ONNX")
    dtype = torch.int64 if trained.preprocessing.kind == "integers" else torch.float32
    shape = trained.preprocessing.shape
    module = trained.module.cpu().eval()
    generator = torch.Generator().manual_seed(0)
    some = torch.randn(5, *shape, generator=generator)
    x = torch.zeros(5, *shape, dtype=dtype) if dtype == torch.int64 else some
    if len(module.mean):
        x = x * module.deviation + module.mean
    try:
        made = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (x,),
                made,  # type: ignore[arg-type]  # the older exporter takes it
                input_names=["inputs"],
                output_names=["outputs"],
                dynamic_axes={"inputs": {0: "n"}, "outputs": {0: "n"}},
                opset_version=_OPSET,
                dynamo=False,
            )
        session = onnxruntime.InferenceSession(made.getvalue(), providers=["CPUExecutionProvider"])
        for n in (5, 2):
            [theirs] = session.run(None, {"inputs": x[:n].numpy()})
            with torch.no_grad(), arithmetic(trained.precision, torch.device("cpu")):
                ours = module(x[:n]).numpy()
            largest = max(1.0, float(np.abs(ours).max()))
            if theirs.shape != ours.shape or not np.allclose(theirs, ours, rtol=_NEAR, atol=_NEAR * largest):
                worst = float(np.abs(theirs - ours).max()) if theirs.shape == ours.shape else float("nan")
                raise ObjectiveError(f"the network gives other outputs as ONNX than here (by {worst:.2g}); the file "
                                     "is not written")  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(made.getbuffer())
        part.replace(path)
    except OSError as error:
        raise StoreError(f"ONNX file {path} cannot be written: {error.strerror or error}") from None
    except ObjectiveError:
        raise
    except Exception as error:  # a user's network may make the exporter raise anything
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise ObjectiveError(f"the network cannot be written as ONNX: {excerpt(first, 300)}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    return path
