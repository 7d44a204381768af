#!/usr/bin/env python3
"""Times a language model beside mlx-lm and llama.cpp: the same weights and prompts, one after the other, in turns.

usage: bench/llm.py [--build BUILD] [--prompt 64] [--generate 64] [--rounds 3] [--threads 1 2] MODEL.gguf
The peers come from PyPI packages on PYTHONPATH (mlx-lm with mlx[cpu], xllamacpp); one that is not there is left out, and told.
Prints for each: milliseconds of the CPU and of the clock, for a token read and for one written, medians of the rounds, and how
many times ours they are. mlx-lm reads the folder that `mlxnx convert` makes of the file, in f32 and in bf16. Where it is slow it writes fewer tokens, for
some ten seconds, and what takes over a minute is measured once, not in every round.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time

WRITING_SECONDS = 10
ROUND_SECONDS = 60


def spent():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime, time.perf_counter()


def since(start, count):
    now = spent()
    return [1e3 * (after - before) / count for before, after in zip(start, now)]


def tokens(count):
    """Numbers of common tokens that mean nothing together, the same each time."""
    return [(i * 7919) % 40000 + 100 for i in range(count)]


def run_mlxnx(options):
    command = [options.program, "benchmark", options.model, "-p", options.prompt, "-g", options.generate]
    answer = json.loads(subprocess.check_output([str(word) for word in [*command, "-n", 1, "--json"]]))
    return {
        "read": [answer["cpu_ms_per_prompt_token"], 1e3 / answer["prompt_tps"]],
        "written": [answer["cpu_ms_per_token"], 1e3 / answer["generation_tps"]],
    }


def run_mlx_lm(options):
    import mlx.core as mx
    from mlx_lm.models.cache import make_prompt_cache
    from mlx_lm.utils import load_model

    mx.set_default_device(mx.cpu)
    model, _ = load_model(pathlib.Path(options.model))
    for _ in range(2):  # the first time is a warm-up
        cache = make_prompt_cache(model)
        start = spent()
        last = mx.argmax(model(mx.array([tokens(options.prompt)]), cache=cache)[:, -1], axis=-1)
        mx.eval(last)
        read = since(start, options.prompt)
    start, written = spent(), 0
    while written < options.generate and time.perf_counter() - start[1] < WRITING_SECONDS:
        last = mx.argmax(model(last[None], cache=cache)[:, -1], axis=-1)
        mx.eval(last)
        written += 1
    return {"read": read, "written": since(start, written)}


def run_llama_cpp(options):
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = options.model
    params.n_ctx, params.n_parallel = 4096, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    server = xllamacpp.Server(params)

    def complete(count):
        start = spent()
        server.handle_completions(
            {
                "prompt": tokens(options.prompt),
                "n_predict": count,
                "temperature": 0.0,
                "ignore_eos": True,
                "cache_prompt": False,
            }
        )
        return since(start, 1)

    complete(1)
    one, all_of_them = complete(1), complete(1 + options.generate)
    written = [(b - a) / options.generate for a, b in zip(one, all_of_them)]
    return {"read": [(a - w) / options.prompt for a, w in zip(one, written)], "written": written}


PEERS = {"mlxnx": run_mlxnx, "mlx-lm": run_mlx_lm, "llama.cpp": run_llama_cpp}


def in_a_process(peer, model, threads, options):
    """One measurement, on as many processors as threads."""
    command = [sys.executable, __file__, "--peer", peer, "--build", options.build, "--threads", threads]
    command += ["--prompt", options.prompt, "--generate", options.generate, model]
    processors = sorted(os.sched_getaffinity(0))[:threads]
    result = subprocess.run(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
        env={**os.environ, "OPENBLAS_NUM_THREADS": str(threads)},
    )
    if result.returncode != 0:
        return None, (result.stderr.strip().splitlines() or ["no answer"])[-1]
    return json.loads(result.stdout.splitlines()[-1]), None


def folders(options, place):
    """The file as folders that mlx-lm reads."""
    for kind in ("float32", "bfloat16"):
        folder = pathlib.Path(place) / kind
        subprocess.run([options.program, "convert", options.model, "-o", folder, "--dtype", kind, "--quiet"], check=True)
        yield f"mlx-lm {kind}", str(folder)


def compare(options):
    with tempfile.TemporaryDirectory() as place:
        contenders = [("mlxnx", "mlxnx", options.model)]
        contenders += [(name, "mlx-lm", folder) for name, folder in folders(options, place)]
        contenders.append(("llama.cpp", "llama.cpp", options.model))
        for threads in options.threads:
            results, slow = {name: [] for name, _, _ in contenders}, set()
            for _ in range(options.rounds):
                for name, peer, model in contenders:
                    if name in slow:
                        continue
                    start = time.perf_counter()
                    answer, fault = in_a_process(peer, model, threads, options)
                    if answer is None:
                        print(f"{name}: left out: {fault}", file=sys.stderr)
                    else:
                        results[name].append(answer)
                    if time.perf_counter() - start > ROUND_SECONDS:
                        slow.add(name)
            tell(threads, results, options)


def tell(threads, results, options):
    print(f"\n{threads} thread{'s' if threads > 1 else ''}, milliseconds a token, {options.prompt} read and {options.generate} written")
    print(f"{'':18}{'read: CPU':>12}{'clock':>10}{'written: CPU':>15}{'clock':>10}{'CPU of ours':>26}")
    middle = {}
    for name, answers in results.items():
        if answers:
            middle[name] = [statistics.median(a[part][i] for a in answers) for part in ("read", "written") for i in (0, 1)]
    ours = middle.get("mlxnx")
    for name, row in middle.items():
        times = f"{row[0] / ours[0]:.2f} read, {row[2] / ours[2]:.2f} written" if ours else ""
        print(f"{name:18}{row[0]:12.2f}{row[1]:10.2f}{row[2]:15.2f}{row[3]:10.2f}{times:>26}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--build", default="build")
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--generate", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--peer", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.program = str(pathlib.Path(options.build).resolve() / "bin" / "mlxnx")
    if options.peer:
        options.threads = options.threads[0]
        print(json.dumps(PEERS[options.peer](options)))
    else:
        compare(options)


if __name__ == "__main__":
    main()
