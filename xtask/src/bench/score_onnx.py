"""The networks of the model in onnxruntime, one thread: rows a second by rows at once, as one JSON object.

Only the networks: what else a row's score takes, tails and members without a network, is left out here.
"""
import json
import sys
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

parts = json.load(open(sys.argv[1]))
nodes, constants, inputs, outputs = [], [], [], []


def constant(name, value):
    constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
    return name


for p, part in enumerate(parts):
    sizes = part["sizes"]
    seen = f"x{p}"
    inputs.append(helper.make_tensor_value_info(seen, TensorProto.FLOAT, ["rows", sizes[0]]))
    value = seen
    for l in range(len(sizes) - 1):
        w = np.asarray(part["tensors"][2 * l], np.float32).reshape(sizes[l + 1], sizes[l])
        b = part["tensors"][2 * l + 1]
        out = f"y{p}_{l}"
        nodes.append(helper.make_node("Gemm", [value, constant(f"w{p}_{l}", w), constant(f"b{p}_{l}", b)], [out], transB=1))
        value = out
        if l + 2 < len(sizes):
            nodes.append(helper.make_node("Relu", [value], [f"r{p}_{l}"]))
            value = f"r{p}_{l}"
    def step(kind, args, tag, **attributes):
        nodes.append(helper.make_node(kind, args, [f"{tag}{p}"], **attributes))
        return f"{tag}{p}"
    value = step("Clip", [value, constant(f"zero{p}", 0.0), constant(f"one{p}", 1.0)], "clip")
    value = step("Sub", [seen, value], "off")
    value = step("Mul", [value, constant(f"usual{p}", part["per_usual"])], "usual_off")
    value = step("Abs", [value], "abs")
    value = step("Min", [value, constant(f"most{p}", part["most"])], "most_off")
    value = step("Mul", [value, value], "square")
    value = step("ReduceMean", [value, "axes"], "mean", keepdims=0)
    outputs.append(helper.make_tensor_value_info(value, TensorProto.FLOAT, ["rows"]))
constants.append(numpy_helper.from_array(np.asarray([1], np.int64), "axes"))
graph = helper.make_graph(nodes, "ensemble", inputs, outputs, constants)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
onnx.checker.check_model(model)
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])

random = np.random.default_rng(1)
found = []
for rows in map(int, sys.argv[2].split(",")):
    feeds = {f"x{p}": random.random((rows, part["sizes"][0]), np.float32) for p, part in enumerate(parts)}
    session.run(None, feeds)
    best, begun = float("inf"), time.perf_counter()
    while time.perf_counter() - begun < 0.5:
        start = time.perf_counter()
        session.run(None, feeds)
        best = min(best, time.perf_counter() - start)
    found.append({"rows": rows, "rows_a_second": rows / best})
print(json.dumps({"version": onnxruntime.__version__, "scoring": found}))
