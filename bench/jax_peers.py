"""Cases in jax, on the CPU: the networks of native/bench/nn_cases.cpp, gradients and loops."""

from inputs import places, waves
from kernel_peers import jax_kernel_cases


SIZES = (784, 512, 512, 10)


def jax_cases(np):
    """name -> function that makes inputs and answers what is timed. Throws: ImportError where there is no jax."""
    import jax
    from jax import numpy as jnp

    jax.config.update("jax_platforms", "cpu")

    def array(*shape):
        return jnp.asarray(waves(np, *shape))

    def compiled(function, *inputs):
        run = jax.jit(function)
        return lambda: jax.block_until_ready(run(*inputs))

    cases = {**gradient_cases(jax, jnp, array, compiled), **loop_cases(jax, jnp, array, compiled),
             **jax_kernel_cases(np, jax, jnp), **order_cases(np, jax, jnp, array, compiled),
             **convolution_cases(jax, jnp, array, compiled)}
    for name, (parameters, apply, shape, loss, wanted) in networks(jax, jnp).items():
        cases[f"nn_{name}_forward"] = forward_case(jax, array, parameters, apply, shape)
        cases[f"nn_{name}_step"] = step_case(jax, jnp, array, parameters, apply, shape, loss, wanted)
    return cases


def gradient_cases(jax, jnp, array, compiled):
    def inputs():
        layers = [array(*shape) for i in range(3) for shape in ((SIZES[i], SIZES[i + 1]), (SIZES[i + 1],))]
        return array(64, SIZES[0]), layers

    def forward(x, layers):
        for i in range(3):
            x = x @ layers[2 * i] + layers[2 * i + 1]
            if i < 2:
                x = jnp.maximum(x, 0.0)
        return x

    gradient = jax.grad(lambda layers, x: jnp.mean(jnp.square(forward(x, layers))))
    gradient_of_one = jax.grad(lambda layers, x: jnp.mean(jnp.square(forward(x[None], layers))))

    def sgd_step():
        x, layers = inputs()

        def step(x, layers):
            return [layer - 1e-3 * g for layer, g in zip(layers, gradient(layers, x))]
        return compiled(step, x, layers)

    def of_each():
        x, layers = inputs()
        return compiled(jax.vmap(gradient_of_one, in_axes=(None, 0)), layers, x)

    def one_by_one():
        x, layers = inputs()
        run = jax.jit(gradient_of_one)

        def body():
            for i in range(64):
                jax.block_until_ready(run(layers, x[i]))
        return body

    return {"grad_mlp_sgd_step_64x784": sgd_step, "grad_of_each_of_64_mlp": of_each,
            "grad_one_by_one_of_64_mlp": one_by_one}


def loop_cases(jax, jnp, array, compiled):
    lax = jax.lax

    def half(x):
        return x * 0.5 + 1.0

    def turn(x):
        return jnp.sin(x) * 1.01

    def loop(step, size, count):
        def run(x, count):
            return lax.while_loop(lambda s: s[0] < count, lambda s: (s[0] + 1, step(s[1])), (0, x))[1]
        return lambda: compiled(run, array(size), jnp.asarray(count))

    return {
        "program_while_1000_constant":
            lambda: compiled(lambda x: lax.fori_loop(0, 1000, lambda _, x: half(x), x), array(10)),
        "program_while_1000_run_time": loop(half, 10, 1000),
        "while_1000_f32_32": loop(turn, 32, 1000),
        "while_4000_f32_32": loop(turn, 32, 4000),
    }


def order_cases(np, jax, jnp, array, compiled):
    """Elements in order, and elements by index."""
    def at(shape, below):
        return jnp.asarray(places(np, shape, below))

    def added(x, indices, updates):
        return x.at[indices].add(updates)

    return {
        "sort_1m_f32": lambda: compiled(jnp.sort, array(1000000)),
        "sort_1000x1000_columns_f32": lambda: compiled(lambda x: jnp.sort(x, 0), array(1000, 1000)),
        "argsort_1m_f32": lambda: compiled(jnp.argsort, array(1000000)),
        "top_40_of_1m_f32": lambda: compiled(lambda x: jax.lax.top_k(x, 40), array(1000000)),
        "take_20000_rows_of_64_f32": lambda: compiled(lambda x, i: x[i], array(20000, 64), at((20000,), 20000)),
        "gather_1m_f32": lambda: compiled(lambda x, i: x[i[:, 0], i[:, 1]], array(1000, 1000),
                                          at((1000000, 2), 1000)),
        "add_1m_to_places_f32": lambda: compiled(added, array(1000000), at((1000000,), 1000000), array(1000000)),
        "add_20000_to_rows_of_64_f32": lambda: compiled(added, array(20000, 64), at((20000,), 20000),
                                                        array(20000, 64)),
    }


def convolution_cases(jax, jnp, array, compiled):
    def last(x, w):
        return jax.lax.conv_general_dilated(x, w, (1, 1), [(1, 1), (1, 1)],
                                            dimension_numbers=("NHWC", "OHWI", "NHWC"))

    def first(x, w):
        return jax.lax.conv_general_dilated(x, w, (1,) * (x.ndim - 2), "VALID")

    def loss(x, w):
        y = last(x, w)
        return jnp.sum(y * y)

    return {
        "conv2d_8x56x56x64_3x3_f32": lambda: compiled(last, array(8, 56, 56, 64), array(64, 3, 3, 64)),
        "conv2d_64x1x28x28_6_5x5_f32": lambda: compiled(first, array(64, 1, 28, 28), array(6, 1, 5, 5)),
        "conv1d_100000_101_f32": lambda: compiled(first, array(1, 1, 100000), array(1, 1, 101)),
        "grad_conv2d_8x56x56x64_3x3_f32":
            lambda: compiled(jax.grad(loss, argnums=(0, 1)), array(8, 56, 56, 64), array(64, 3, 3, 64)),
    }


def networks(jax, jnp):
    """name -> shapes of parameters, function of them and of inputs, shape of inputs, loss, what is wanted."""
    lax, relu = jax.lax, jax.nn.relu

    def linear(inputs, outputs):
        return {"weight": (outputs, inputs), "bias": (outputs,)}

    def dense(p, x):
        y = x @ p["weight"].T
        return y + p["bias"] if "bias" in p else y

    def mlp(p, x):
        return dense(p[2], relu(dense(p[1], relu(dense(p[0], x)))))

    def convolution(p, x, padding):
        kernel = jnp.transpose(p["weight"], (1, 2, 3, 0))
        return p["bias"] + lax.conv_general_dilated(
            x, kernel, (1, 1), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def pool(x):
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def lenet(p, x):
        maps = pool(relu(convolution(p["conv2"], pool(relu(convolution(p["conv1"], x, 2))), 0)))
        return mlp([p["linear1"], p["linear2"], p["linear3"]], maps.reshape(-1, 400))

    def norm(p, x):
        centred = x - jnp.mean(x, -1, keepdims=True)
        return centred * lax.rsqrt(jnp.mean(jnp.square(centred), -1, keepdims=True) + 1e-5) * p["weight"] + p["bias"]

    def attention(p, x):
        q, k, v = (dense(p[name], x).reshape(*x.shape[:2], 8, 32) for name in ("query", "key", "value"))
        return dense(p["out"], jax.nn.dot_product_attention(q, k, v).reshape(x.shape))

    def encoder(p, x):
        for layer in p["layers"]:
            x = x + attention(layer["attention"], norm(layer["ln1"], x))
            x = x + dense(layer["linear2"], relu(dense(layer["linear1"], norm(layer["ln2"], x))))
        return norm(p["ln"], x)

    def lstm(p, x):
        given = jnp.swapaxes(x @ p["Wx"].T + p["bias"], 0, 1)

        def step(carried, from_input):
            hidden, cell = carried
            i, f, g, o = jnp.split(from_input + hidden @ p["Wh"].T, 4, -1)
            cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
            hidden = jax.nn.sigmoid(o) * jnp.tanh(cell)
            return (hidden, cell), hidden

        start = jnp.zeros((x.shape[0], 128))
        return jnp.swapaxes(lax.scan(step, (start, start), given)[1], 0, 1)

    def entropy(values, labels):
        return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(values), labels[:, None], -1))

    def square(values, wanted):
        return jnp.mean(jnp.square(values - wanted))

    scales = {"weight": (256,), "bias": (256,)}
    layer = {"attention": {name: {"weight": (256, 256)} for name in ("query", "key", "value", "out")},
             "ln1": scales, "ln2": scales, "linear1": linear(256, 1024), "linear2": linear(1024, 256)}
    classes = jnp.arange(64) % 10
    dense_layers = [linear(784, 512), linear(512, 512), linear(512, 10)]
    convolutions = {"conv1": {"weight": (6, 5, 5, 1), "bias": (6,)}, "conv2": {"weight": (16, 5, 5, 6), "bias": (16,)},
                    "linear1": linear(400, 120), "linear2": linear(120, 84), "linear3": linear(84, 10)}
    gates = {"Wx": (512, 128), "Wh": (512, 128), "bias": (512,)}
    return {
        "mlp": (dense_layers, mlp, (64, 784), entropy, classes),
        "lenet": (convolutions, lenet, (64, 28, 28, 1), entropy, classes),
        "transformer": ({"layers": [layer] * 4, "ln": scales}, encoder, (8, 128, 256), square,
                        jnp.full((8, 128, 256), 0.5)),
        "lstm": (gates, lstm, (32, 64, 128), square, jnp.full((32, 64, 128), 0.5)),
    }


def made(jax, array, shapes):
    return jax.tree.map(lambda shape: array(*shape) * 0.05, shapes, is_leaf=lambda node: isinstance(node, tuple))


def forward_case(jax, array, shapes, apply, shape):
    def prepare():
        parameters, x, run = made(jax, array, shapes), array(*shape), jax.jit(apply)
        return lambda: jax.block_until_ready(run(parameters, x))
    return prepare


def step_case(jax, jnp, array, shapes, apply, shape, loss, wanted):
    """Adam without a correction, written out; each call goes on from where the one before came to."""
    def prepare():
        def one(state, x):
            w, m, v = state
            value, slopes = jax.value_and_grad(lambda w: loss(apply(w, x), wanted))(w)
            m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, slopes)
            v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, slopes)
            w = jax.tree.map(lambda w, m, v: w - 1e-4 * m / (jnp.sqrt(v) + 1e-8), w, m, v)
            return value, (w, m, v)

        w = made(jax, array, shapes)
        nothing = jax.tree.map(jnp.zeros_like, w)
        run, x = jax.jit(one, donate_argnums=0), array(*shape)
        now = {"state": (w, nothing, jax.tree.map(jnp.copy, nothing))}

        def body():
            value, now["state"] = run(now["state"], x)
            jax.block_until_ready((value, now["state"]))
        return body
    return prepare
