"""Large arrays in numpy and in jax: the cases of native/bench/kernel_cases.cpp."""

import math

from inputs import waves

MILLION = (1000000,)
ROWS = (4096, 1024)
SQUARE = (3000, 3000)


def of_both(m, of_waves):
    """Those that numpy and jax.numpy, `m`, have under the same names."""
    return {
        "exp_1m_f32": of_waves(MILLION, m.exp, scale=1),
        "sum_1m_f32": of_waves(MILLION, m.sum, scale=1),
        "log_1m_f32": of_waves(MILLION, m.log),
        "sin_1m_f32": of_waves(MILLION, m.sin),
        "tanh_1m_f32": of_waves(MILLION, m.tanh),
        "round_1m_f32": of_waves(MILLION, m.round),
        "remainder_1m_f32": of_waves(MILLION, lambda x: m.fmod(x, m.float32(0.7))),
        "as_s32_1m_f32": of_waves(MILLION, lambda x: x.astype(m.int32)),
        "as_u8_1m_f32": of_waves(MILLION, lambda x: x.astype(m.uint8)),
        "sum_axis_0_4096x1024_f32": of_waves(ROWS, lambda x: x.sum(axis=0)),
        "sum_axis_1_4096x1024_f32": of_waves(ROWS, lambda x: x.sum(axis=1)),
        "max_axis_0_4096x1024_f32": of_waves(ROWS, lambda x: x.max(axis=0)),
        "sum_axis_0_transposed_3000_f32": of_waves(SQUARE, lambda x: x.T.sum(axis=0)),
        "sum_of_number_as_10000x10000_f32": of_waves((), lambda x: m.broadcast_to(x, (10000, 10000)).sum()),
        "sum_axis_0_of_row_as_3000x3000_f32": of_waves((1, 3000), lambda x: m.broadcast_to(x, SQUARE).sum(axis=0)),
        "max_axis_1_4096x1024_f32": of_waves(ROWS, lambda x: x.max(axis=1)),
    }


def numpy_kernel_cases(np):
    """name -> function that makes inputs and answers what is timed, each into new memory, as ours."""
    np.seterr(divide="ignore", invalid="ignore")  # logarithms of what has none are timed too

    def of_waves(shape, function, scale=3):
        def prepare():
            x = waves(np, *shape) * np.float32(scale)
            return lambda: function(x)
        return prepare

    def selection():
        x = waves(np, *MILLION)
        mask, y = x > 0, x * np.float32(2)
        return lambda: np.where(mask, x, y)

    def transposed():
        x = waves(np, 1024, 1024)
        y = x * np.float32(2)
        return lambda: x.T + y

    def triangular():
        a, b = np.tril(waves(np, 1000, 1000)) + 1000 * np.eye(1000, dtype=np.float32), waves(np, 1000, 1000)
        return lambda: np.linalg.solve(a, b)

    return {
        **of_both(np, of_waves),
        "select_1m_f32": selection,
        "add_transposed_1024_f32": transposed,
        "triangular_solve_1000_f32": triangular,
    }


def jax_kernel_cases(np, jax, jnp):
    """The same, compiled."""
    def compiled(function, *inputs):
        run = jax.jit(function)
        return lambda: jax.block_until_ready(run(*inputs))

    def of_waves(shape, function, scale=3):
        return lambda: compiled(function, jnp.asarray(waves(np, *shape) * np.float32(scale)))

    def selection():
        x = jnp.asarray(waves(np, *MILLION))
        return compiled(jnp.where, x > 0, x, x * 2)

    def transposed():
        x = jnp.asarray(waves(np, 1024, 1024))
        return compiled(lambda x, y: x.T + y, x, x * 2)

    def halves():
        x = jnp.asarray(waves(np, *MILLION)).astype(jnp.float16)
        return compiled(lambda x: x + x, x)

    def attention():
        q = jnp.asarray(waves(np, 8, 1024, 64))

        def attend(q):
            scores = jnp.einsum("hqd,hkd->hqk", q, q) * 0.125
            seen = jnp.tril(jnp.ones((1024, 1024), bool))
            return jnp.einsum("hqk,hkd->hqd", jax.nn.softmax(jnp.where(seen, scores, -jnp.inf)), q)
        return compiled(attend, q)

    def adam():
        shape = (10000000,)

        def step(p, g, m, v):
            mean = m * 0.9 + g * 0.1
            square = v * 0.999 + g * g * 0.001
            return p - 0.001 * mean / (jnp.sqrt(square) + 1e-8), mean, square
        run = jax.jit(step, donate_argnums=(0, 2, 3))
        g = jnp.asarray(waves(np, *shape))
        state = [jnp.asarray(waves(np, *shape)), jnp.zeros(shape), jnp.zeros(shape)]

        def body():
            state[:] = run(state[0], g, state[1], state[2])
            jax.block_until_ready(state)
        return body

    def block():
        x = jnp.asarray(waves(np, *ROWS))

        def run(x, uniform, residual):
            gelu = x * 0.5 * (1 + jax.lax.erf(x * math.sqrt(0.5)))
            return residual + jnp.where(uniform > 0.1, gelu / 0.9, gelu * 0)
        return compiled(run, x, jnp.abs(x), x)

    def triangular():
        a, b = waves(np, 1000, 1000) + 1000 * np.eye(1000, dtype=np.float32), waves(np, 1000, 1000)
        return compiled(lambda a, b: jax.scipy.linalg.solve_triangular(a, b, lower=True), jnp.asarray(a), jnp.asarray(b))

    def normalized(x):
        return (x - x.mean(axis=-1, keepdims=True)) / jnp.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)

    def rooted(x):
        return x / jnp.sqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-5)

    return {
        **of_both(jnp, of_waves),
        "erf_1m_f32": of_waves(MILLION, jax.lax.erf),
        "erf_inv_1m_f32": of_waves(MILLION, jax.lax.erf_inv, scale=0.999),
        "triangular_solve_1000_f32": triangular,
        "sigmoid_1m_f32": of_waves(MILLION, jax.nn.sigmoid),
        "softmax_4096x1024_f32": of_waves(ROWS, jax.nn.softmax),
        "layer_norm_4096x1024_f32": of_waves(ROWS, normalized),
        "rms_norm_4096x1024_f32": of_waves(ROWS, rooted),
        "select_1m_f32": selection,
        "add_transposed_1024_f32": transposed,
        "add_1m_f16": halves,
        "attention_8x1024x64_causal": attention,
        "program_adam_step_10m_f32": adam,
        "program_gelu_dropout_residual_4096x1024_f32": block,
    }
