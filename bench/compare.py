"""Times our cases against Python MLX, numpy and, where it is installed, jax, in one run on the same inputs: those of
`mlxnx bench`, or with --nx those of bench/nx.exs, whose peers are the former as well, and Nx's reference backend.

For each case the systems take turns, a block of measurements each, so that a machine whose speed drifts slows all of them;
every figure is the median of all its measurements. Prints a table and writes bench.json into the build folder.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shlex
import statistics
import subprocess
import sys
import time

from inputs import definite, places, waves
from kernel_peers import numpy_kernel_cases
from nn_peers import mlx_nn_cases

BLOCKS = 4
PER_BLOCK = 8  # 32 measurements of each system
SECONDS = 0.02  # least duration of a measurement


class PythonCases:
    """Cases in this process: name -> function that makes inputs and answers what is timed."""

    def __init__(self, cases):
        self.cases = cases
        self.bodies = {}

    def names(self):
        return list(self.cases)

    def measure(self, name):
        """Microseconds a call, of the clock and of the CPUs, PER_BLOCK times; each measurement repeats the call to last
        SECONDS."""
        if name not in self.bodies:
            self.bodies = {name: self.cases[name]()}
        body = self.bodies[name]
        body()
        start = time.perf_counter()
        body()
        once = max(time.perf_counter() - start, 1e-7)
        count = max(1, math.ceil(SECONDS / once))
        results = []
        for _ in range(PER_BLOCK):
            wall, cpu = time.perf_counter(), time.process_time()
            for _ in range(count):
                body()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            results.append((wall / count * 1e6, cpu / count * 1e6))
        return results


class NativeCases:
    """The cases of `mlxnx bench`, each block in a process of its own."""

    def __init__(self, program):
        self.program = program
        self.listed = self._run("--list").split()

    def names(self):
        return self.listed

    def measure(self, name):
        output = self._run("--filter", f"^{name}$", "--format", "json",
                           "--repetitions", str(PER_BLOCK), "--seconds", str(SECONDS))
        rows = json.loads(output)["benchmarks"]
        return [(row["real_time"], row["cpu_time"]) for row in rows if row["run_type"] == "iteration"]

    def _run(self, *options):
        command = [self.program, "bench", *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=own_environment())
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


class NxCases:
    """The cases of bench/nx.exs, in one BEAM that is asked for a block at a time."""

    def __init__(self, command, *options):
        self.command = [*command, str(PER_BLOCK), str(SECONDS), *options]
        self.beam = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     env=own_environment())

    def names(self):
        return self._ask("list").split()

    def measure(self, name):
        return json.loads(self._ask(name))

    def _ask(self, line):
        self.beam.stdin.write(line + "\n")
        self.beam.stdin.flush()
        answer = self.beam.stdout.readline()
        if not answer:
            raise SystemExit(f"{' '.join(self.command)} ended with {self.beam.wait()}")
        return answer


def own_environment():
    """That of our processes: what is loaded for the sake of Python's MLX is not for them."""
    return {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}


def take_blas_of(library):
    """Starts this program anew with the BLAS that ours uses behind Python's MLX."""
    library = str(library.resolve())
    if os.environ.get("LD_PRELOAD") == library:
        return
    os.environ["LD_PRELOAD"] = library
    os.execv(sys.executable, [sys.executable, *sys.argv])


def jax_peer(np):
    try:
        from jax_peers import jax_cases
        return {"jax": PythonCases(jax_cases(np))}
    except ImportError:
        return {}


def python_mlx_cases(mx, np):
    """name -> function that makes inputs and answers what is timed."""
    mx.set_default_device(mx.cpu)

    def array(*shape, dtype=mx.float32):
        value = mx.array(waves(np, *shape)).astype(dtype)
        mx.eval(value)
        return value

    def forced(function, *inputs):
        return lambda: mx.eval(function(*inputs))

    def chain(length):
        a, b = array(10), array(10)

        def body():
            value = a
            for _ in range(length):
                value = mx.add(value, b)
            mx.eval(value)
        return body

    def elementwise():
        x = array(1000)

        def body():
            value = x
            for _ in range(5):
                value = mx.subtract(mx.tanh(mx.add(mx.multiply(value, x), x)), x)
            mx.eval(value)
        return body

    def build_add():
        a, b, add = array(10), array(10), mx.add
        return lambda: add(a, b)

    def read_sum():
        a, b = array(10), array(10)
        return lambda: bytes(memoryview(mx.add(a, b)))

    def read_back():
        a = array(1024, 1024)
        return lambda: bytes(memoryview(a))

    def product(left, right, dtype=mx.float32):
        return lambda: forced(mx.matmul, array(*left, dtype=dtype), array(*right, dtype=dtype))

    def factor(function):
        return lambda: forced(function, mx.array(definite(np, 512)))

    def compiled(function, *inputs):
        run = mx.compile(function)
        for _ in range(3):
            mx.eval(run(*inputs))
        return lambda: mx.eval(run(*inputs))

    def twenty(x):
        value = x
        for _ in range(5):
            value = mx.subtract(mx.tanh(mx.add(mx.multiply(value, x), x)), x)
        return value

    sizes = (784, 512, 512, 10)

    def mlp_inputs():
        layers = [array(*shape) for i in range(3) for shape in ((sizes[i], sizes[i + 1]), (sizes[i + 1],))]
        return array(64, sizes[0]), layers

    def forward(x, layers):
        for i in range(3):
            x = x @ layers[2 * i] + layers[2 * i + 1]
            if i < 2:
                x = mx.maximum(x, 0.0)
        return x

    def mlp_forward():
        x, layers = mlp_inputs()
        return compiled(forward, x, layers)

    def mlp_sgd_step():
        x, layers = mlp_inputs()
        gradient = mx.grad(lambda layers, x: mx.mean(mx.square(forward(x, layers))))

        def step(x, layers):
            return [layer - 1e-3 * g for layer, g in zip(layers, gradient(layers, x))]
        return compiled(step, x, layers)

    def gradients_of_each():
        x, layers = mlp_inputs()
        gradient = mx.grad(lambda layers, x: mx.mean(mx.square(forward(x[None], layers))))
        return compiled(mx.vmap(gradient, in_axes=(None, 0)), layers, x)

    def gradients_one_by_one():
        x, layers = mlp_inputs()
        gradient = mx.compile(mx.grad(lambda layers, x: mx.mean(mx.square(forward(x[None], layers)))))

        def body():
            for i in range(64):
                mx.eval(gradient(layers, x[i]))
        return body

    def loop():
        x, one = array(10), mx.array(1)
        step = mx.compile(lambda i, x: (i + one, x * 0.5 + 1.0))

        def body():
            i, value, bound = mx.array(0), x, mx.array(1000)
            while (i < bound).item():
                i, value = step(i, value)
            mx.eval(value)
        return body

    def one_graph():
        x = array(10)
        step = mx.compile(lambda x: x * 0.5 + 1.0)

        def body():
            value = x
            for _ in range(1000):
                value = step(value)
            mx.eval(value)
        return body

    def branch():
        x, p = array(256, 256), mx.array(-1.0)

        def body():
            mx.eval(x @ x if (p > 0).item() else x)
        return body

    cpu = mx.cpu
    return {
        **mlx_nn_cases(mx, np),
        "program_elementwise_20_f32_1000": lambda: compiled(twenty, array(1000)),
        "jit_elementwise_20_f32_1000": lambda: compiled(twenty, array(1000)),
        "program_mlp_forward_64x784": mlp_forward,
        "program_mlp_sgd_step_64x784": mlp_sgd_step,
        "grad_mlp_sgd_step_64x784": mlp_sgd_step,
        "grad_of_each_of_64_mlp": gradients_of_each,
        "grad_one_by_one_of_64_mlp": gradients_one_by_one,
        "program_while_1000_constant": one_graph,
        "program_while_1000_run_time": loop,
        "program_cond_lazy_dot_256": branch,
        "build_add_f32_10": build_add,
        "build_eval_add_f32_10": lambda: forced(mx.add, array(10), array(10)),
        "chain_100_adds_f32_10": lambda: chain(100),
        "elementwise_20_f32_1000": elementwise,
        "add_then_to_binary_f32_10": read_sum,
        "add_with_100000_messages_waiting": lambda: forced(mx.add, array(10), array(10)),
        "add_with_100000_messages_off_heap": lambda: forced(mx.add, array(10), array(10)),
        "adds_by_4_processes": lambda: forced(mx.add, array(10), array(10)),
        "read_4_mib": read_back,
        "dot_1024_f32": product((1024, 1024), (1024, 1024)),
        "dot_1x4096x4096_f32": product((1, 4096), (4096, 4096)),
        "dot_512_f16": product((512, 512), (512, 512), mx.float16),
        "dot_512_bf16": product((512, 512), (512, 512), mx.bfloat16),
        "dot_batch_64x128x128_f32": product((64, 128, 128), (64, 128, 128)),
        "conv2d_8x56x56x64_3x3_f32":
            lambda: forced(lambda x, w: mx.conv2d(x, w, padding=1), array(8, 56, 56, 64), array(64, 3, 3, 64)),
        "svd_512_f32": factor(lambda a: mx.linalg.svd(a, stream=cpu)),
        "qr_512_f32": factor(lambda a: mx.linalg.qr(a, stream=cpu)),
        "cholesky_512_f32": factor(lambda a: mx.linalg.cholesky(a, stream=cpu)),
        "eigh_512_f32": factor(lambda a: mx.linalg.eigh(a, stream=cpu)),
        "exp_1m_f32": lambda: forced(mx.exp, array(1000000)),
        "sum_1m_f32": lambda: forced(mx.sum, array(1000000)),
        "sort_1m_f32": lambda: forced(mx.sort, array(1000000)),
        "argsort_1m_f32": lambda: forced(mx.argsort, array(1000000)),
    }


def numpy_cases(np):
    def body(function, *inputs):
        return lambda: function(*inputs)

    def elementwise():
        x = waves(np, 1000)

        def run():
            value = x
            for _ in range(5):
                value = np.tanh(value * x + x) - x
            return value
        return run

    def largest(x):
        found = np.argpartition(x, -40)[-40:]
        return found[np.argsort(-x[found])]

    def added(x, indices, updates):
        result = x.copy()
        np.add.at(result, indices, updates)
        return result

    return {
        **numpy_kernel_cases(np),
        "build_eval_add_f32_10": lambda: body(np.add, waves(np, 10), waves(np, 10)),
        "elementwise_20_f32_1000": elementwise,
        "read_4_mib": lambda: body(np.ndarray.tobytes, waves(np, 1024, 1024)),
        "dot_1024_f32": lambda: body(np.matmul, waves(np, 1024, 1024), waves(np, 1024, 1024)),
        "dot_1x4096x4096_f32": lambda: body(np.matmul, waves(np, 1, 4096), waves(np, 4096, 4096)),
        "dot_batch_64x128x128_f32": lambda: body(np.matmul, waves(np, 64, 128, 128), waves(np, 64, 128, 128)),
        "svd_512_f32": lambda: body(np.linalg.svd, definite(np, 512)),
        "qr_512_f32": lambda: body(np.linalg.qr, definite(np, 512)),
        "cholesky_512_f32": lambda: body(np.linalg.cholesky, definite(np, 512)),
        "eigh_512_f32": lambda: body(np.linalg.eigh, definite(np, 512)),
        "sort_1m_f32": lambda: body(np.sort, waves(np, 1000000)),
        "sort_1000x1000_columns_f32": lambda: body(lambda x: np.sort(x, 0), waves(np, 1000, 1000)),
        "argsort_1m_f32": lambda: body(np.argsort, waves(np, 1000000)),
        "top_40_of_1m_f32": lambda: body(largest, waves(np, 1000000)),
        "conv1d_100000_101_f32":
            lambda: body(lambda x, w: np.convolve(x, w, "valid"), waves(np, 100000), waves(np, 101)),
        "take_20000_rows_of_64_f32":
            lambda: body(lambda x, i: x[i], waves(np, 20000, 64), places(np, (20000,), 20000)),
        "gather_1m_f32": lambda: body(lambda x, i: x[i[:, 0], i[:, 1]], waves(np, 1000, 1000),
                                      places(np, (1000000, 2), 1000)),
        "add_1m_to_places_f32": lambda: body(added, waves(np, 1000000), places(np, (1000000,), 1000000),
                                             waves(np, 1000000)),
        "add_20000_to_rows_of_64_f32": lambda: body(added, waves(np, 20000, 64), places(np, (20000,), 20000),
                                                    waves(np, 20000, 64)),
    }


def compare(ours, name, peers):
    """One row of bench.json."""
    systems = {"ours": ours, **{peer: cases for peer, cases in peers.items() if name in cases.names()}}
    figures = {system: [] for system in systems}
    for _ in range(BLOCKS):
        for system, cases in systems.items():
            figures[system] += cases.measure(name)
    row = {"name": name, "unit": "us"}
    for prefix, column in (("", 0), ("cpu_", 1)):
        medians = {system: round(statistics.median(values[column] for values in measured), 3)
                   for system, measured in figures.items()}
        row[f"{prefix}ours"] = medians.pop("ours")
        row[f"{prefix}peers"] = medians
    return row


def row_text(row, peers):
    def figures(peer):
        if peer not in row["peers"]:
            return f"{'-':>12}{'-':>12}"
        return f"{row['peers'][peer]:12.2f}{row['cpu_peers'][peer]:12.2f}"

    def ratio(peer):
        return f"{row['ours'] / row['peers'][peer]:10.3f}" if peer in row["peers"] else f"{'-':>10}"

    return (f"{row['name']:34}{row['ours']:12.2f}{row['cpu_ours']:12.2f}" +
            "".join(map(figures, peers)) + "".join(map(ratio, peers)))


def header(peers):
    titles = {"python_mlx": "MLX"}
    names = [titles.get(peer, peer) for peer in peers]
    return (f"{'case':34}{'ours':>12}{'CPU':>12}" + "".join(f"{name:>12}{'CPU':>12}" for name in names) +
            "".join(f"{'/' + name:>10}" for name in names))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=pathlib.Path("build"), help="the build folder")
    parser.add_argument("--nx", metavar="COMMAND", type=shlex.split, help="the command that runs bench/nx.exs")
    parser.add_argument("--only", help="only cases in whose name this regular expression is found")
    parser.add_argument("--own-blas", action="store_true",
                        help="leave Python's MLX the BLAS of its wheel, instead of the one that ours uses")
    options = parser.parse_args()
    library = options.build / "lib" / "libmlxnx.so"
    if not options.own_blas and library.exists():
        take_blas_of(library)

    import mlx.core as mx
    import numpy as np

    native = NativeCases(str(options.build / "bin" / "mlxnx"))
    ours = NxCases(options.nx) if options.nx else native
    listed = ours.names()
    names = [name for name in listed if not options.only or re.search(options.only, name)]
    if not names:
        raise SystemExit(f"no case has {options.only!r} in its name; there are: {' '.join(listed)}")
    peers = {"python_mlx": PythonCases(python_mlx_cases(mx, np)), "numpy": PythonCases(numpy_cases(np)),
             **({"cpp": native, "reference": NxCases(options.nx, "reference")} if options.nx else jax_peer(np))}
    peers = {peer: cases for peer, cases in peers.items() if not set(names).isdisjoint(cases.names())}

    if core := os.environ.get("OPENBLAS_CORETYPE"):
        print(f"OPENBLAS_CORETYPE={core} chooses the products of all but jax")
    print(f"medians of {BLOCKS * PER_BLOCK} measurements in microseconds, by the clock and of all CPUs together; "
          "a ratio of clocks below 1 means that ours is faster")
    print(header(peers), flush=True)
    rows = []
    for name in names:
        rows.append(compare(ours, name, peers))
        print(row_text(rows[-1], peers), flush=True)
    target = options.build / ("bench_nx.json" if options.nx else "bench.json")
    target.write_text(json.dumps(rows, indent=1) + "\n")
    print(f"written: {target}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
