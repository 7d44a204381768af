"""The networks of native/bench/nn_cases.cpp in Python MLX's mlx.nn: what they answer, and compiled training steps."""

from inputs import waves

WARM_RUNS = 5


def mlx_nn_cases(mx, np):
    """name -> function that makes inputs and answers what is timed."""
    from mlx import nn, optimizers
    from mlx.utils import tree_map

    class Mlp(nn.Module):
        def __init__(self):
            super().__init__()
            sizes = (784, 512, 512, 10)
            self.layers = [nn.Linear(sizes[i], sizes[i + 1]) for i in range(3)]

        def __call__(self, x):
            for layer in self.layers[:-1]:
                x = nn.relu(layer(x))
            return self.layers[-1](x)

    class LeNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
            self.linear1, self.linear2, self.linear3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
            self.pool = nn.MaxPool2d(2)

        def __call__(self, x):
            maps = self.pool(nn.relu(self.conv2(self.pool(nn.relu(self.conv1(x))))))
            return self.linear3(nn.relu(self.linear2(nn.relu(self.linear1(maps.reshape(-1, 400))))))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoder(4, 256, 8)

        def __call__(self, x):
            return self.encoder(x, None)

    class Lstm(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.LSTM(128, 128)

        def __call__(self, x):
            return self.layer(x)[0]

    def entropy(values, labels):
        return nn.losses.cross_entropy(values, labels, reduction="mean")

    def classes():
        return mx.arange(64) % 10

    def halves(*shape):
        return mx.full(shape, 0.5)

    networks = {
        "mlp": (Mlp, (64, 784), entropy, classes),
        "lenet": (LeNet, (64, 28, 28, 1), entropy, classes),
        "transformer": (Encoder, (8, 128, 256), nn.losses.mse_loss, lambda: halves(8, 128, 256)),
        "lstm": (Lstm, (32, 64, 128), nn.losses.mse_loss, lambda: halves(32, 64, 128)),
    }

    def made(network):
        model, shape, loss, wanted = networks[network]
        model = model()
        model.update(tree_map(lambda p: mx.array(waves(np, *p.shape)) * 0.05, model.parameters()))
        x, wanted = mx.array(waves(np, *shape)), wanted()
        mx.eval(model.state, x, wanted)
        return model, x, loss, wanted

    def warmed(body):
        for _ in range(WARM_RUNS):
            body()
        return body

    def forward(network):
        def prepare():
            model, x, _, _ = made(network)
            run = mx.compile(model, inputs=model.state)
            return warmed(lambda: mx.eval(run(x)))
        return prepare

    def step(network, optimizer=lambda: optimizers.Adam(1e-4)):
        def prepare():
            model, x, loss, wanted = made(network)
            chosen = optimizer()
            chosen.init(model.trainable_parameters())
            gradient = nn.value_and_grad(model, lambda x, wanted: loss(model(x), wanted))
            state = [model.state, chosen.state]

            def one(x, wanted):
                value, slopes = gradient(x, wanted)
                chosen.update(model, slopes)
                return value

            run = mx.compile(one, inputs=state, outputs=state)
            return warmed(lambda: mx.eval(run(x, wanted), state))
        return prepare

    cases = {}
    for network in networks:
        cases[f"nn_{network}_forward"] = forward(network)
        cases[f"nn_{network}_step"] = step(network)
    cases["nn_mlp_step_adamw_corrected"] = step("mlp", lambda: optimizers.AdamW(1e-4, bias_correction=True))
    cases["nn_mlp_step_sgd_momentum"] = step("mlp", lambda: optimizers.SGD(1e-4, momentum=0.9))
    return cases
