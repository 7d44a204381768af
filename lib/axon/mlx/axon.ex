if Code.ensure_loaded?(Axon) do
  defmodule Mlx.Axon do
    @moduledoc """
    Models of [Axon](https://github.com/elixir-nx/axon) with the fused and quantized functions of `Mlx.Fast`.

    Axon's models run on `Mlx.Backend` and under `Mlx.Compiler` as they are, and `Axon.Loop.trainer/3` takes the optimizers of
    `Mlx.Optimizers`. Here is what changes models: `optimize/1` puts fused functions in place of layers, `quantize/3` packs their
    matrices into few bits, `to_parameters/1` and `from_parameters/1` are the way to `.safetensors` files (`Mlx.NN.save_weights/3`).

        {init_fn, _} = Axon.build(model)
        params = init_fn.(template, Axon.ModelState.empty())
        {small, params} = Mlx.Axon.quantize(Mlx.Axon.optimize(model), params, bits: 4)
        Axon.predict(small, params, input, compiler: Mlx.Compiler)

    The module is there where Axon was when this package was compiled: add `axon` to the dependencies and, if need be, run
    `mix deps.compile elixir_mlx --force`.
    """

    alias Mlx.Argument
    alias Mlx.Axon.{Fused, Quantized, State}

    @typedoc "The state of a model."
    @type state :: %Axon.ModelState{}

    @typedoc "Tensors nested by the parts of their dotted names, as `t:Mlx.NN.parameters/0`."
    @type parameters :: Mlx.NN.parameters()

    @doc """
    The model with layers that call `Mlx.Fast`. Names and parameters stay, so that a model state of the one fits the other; results
    and gradients are the same within rounding.

    Rewritten are

      * `Axon.layer_norm/2` and `Axon.rms_norm/2`, where the channels are the last axis, of real floats
      * softmax along one axis, of real numbers; losses find its logits as before
      * RMS norms, attention and rotary positions of Bumblebee's transformers. Attention stays as it was where it has a head mask, or
        dropout in training; its weights, where they are asked for, are computed beside it. Rotary positions are fused where a model
        counts them itself, and stay as they were where `position_ids` are given, or for other scaling than a linear one

    It pays where models predict. In training `Nx.Defn.grad`, which `Axon.Loop` calls, goes through what a fused function is made of, so
    that a part of it is computed twice.

    Everything else is as before, which is no loss for dense layers: they are one product and one addition in MLX as well, and
    `quantize/3` is what makes them smaller. Blocks (`Axon.block/2`) are rewritten inside.

    Mixed-precision policies and `Axon.Quantization` look layers up by what they call. Apply them before.

    ## Examples

        iex> model = Axon.input("x", shape: {nil, 4}) |> Axon.layer_norm(gamma_initializer: :ones, epsilon: 1.0e-3)
        iex> {init_fn, _} = Axon.build(model)
        iex> params = init_fn.(Nx.template({1, 4}, :f32), Axon.ModelState.empty())
        iex> x = Nx.tensor([[1.0, 2.0, 3.0, 6.0]])
        iex> fused = Axon.predict(Mlx.Axon.optimize(model), params, x, compiler: Mlx.Compiler)
        iex> Nx.all_close(fused, Axon.predict(model, params, x)) |> Nx.to_number()
        1
    """
    @spec optimize(Axon.t()) :: Axon.t()
    def optimize(%Axon{} = model), do: Fused.rewrite(model)

    def optimize(other), do: Argument.check!(false, "optimize", "a model of Axon", other)

    @doc """
    The model and its state with quantized matrices: products are those of `Mlx.Fast.quantized_matmul/4`.

    Dense layers and embeddings, Bumblebee's transposed dense layers and its `conv1d` among them, have in place of `"kernel"` what
    `mlx.nn.QuantizedLinear` has: `"weight"` (packed words, a row for each unit), `"scales"` and, for the mode `"affine"`, `"biases"`.
    They are frozen; a `"bias"` stays as it was, and gradients go through to the layers before. Layers whose rows don't divide by the
    group, matrices of other types than f32, f16 and bf16, layers that share a name with another kind of layer, and what is in
    blocks stay as they are.

    The new state is what the new model runs by. Initial parameters that Axon draws for it are zeros.

    ## Options

      * `:bits`, `:group_size`, `:mode` - as for `Mlx.Fast.quantize/2`
      * `:only` - the names of the layers, or a function that is true for them; default: all that can be

    Raises `ArgumentError` for options that there are not, names of layers that are no matrices, and modes and sizes that MLX does
    not have.

    ## Examples

        iex> model = Axon.input("x", shape: {nil, 64}) |> Axon.dense(32, name: "hidden") |> Axon.dense(3, name: "head")
        iex> {init_fn, _} = Axon.build(model, seed: 1)
        iex> params = init_fn.(Nx.template({1, 64}, :f32), Axon.ModelState.empty())
        iex> {small, packed} = Mlx.Axon.quantize(model, params, bits: 8)
        iex> {Map.keys(packed.data["hidden"]), packed.data["hidden"]["weight"].shape, Map.keys(packed.data["head"])}
        {["bias", "biases", "scales", "weight"], {32, 16}, ["bias", "kernel"]}
        iex> x = Nx.iota({1, 64}, type: :f32) |> Nx.divide(64)
        iex> {exact, rounded} = {Axon.predict(model, params, x), Axon.predict(small, packed, x)}
        iex> Nx.all_close(exact, rounded, atol: 0.05) |> Nx.to_number()
        1
    """
    @spec quantize(Axon.t(), state, keyword()) :: {Axon.t(), state}
    def quantize(model, state, options \\ [])

    def quantize(%Axon{} = model, %Axon.ModelState{} = state, options),
      do: Quantized.quantize(model, state, options)

    def quantize(%Axon{}, other, _options),
      do: Argument.check!(false, "quantize", "a state of the model (Axon.ModelState)", other)

    def quantize(other, _state, _options),
      do: Argument.check!(false, "quantize", "a model of Axon", other)

    @doc """
    The tensors of a model state, nested by the parts of their dotted names, as functions of `Mlx.NN` take and files hold them:
    the layer `"decoder.blocks.0"` with a `"kernel"` is `%{"decoder" => %{"blocks" => %{"0" => %{"kernel" => …}}}}`.

    Names and shapes stay Axon's: a dense layer has a `"kernel"` with a row for each input, where `mlx.nn` has a `"weight"` with a
    row for each output. What names alone don't tell, which tensors are frozen or state and which dots are in names of layers, stands
    beside them under `"axon_marks"`, so that `from_parameters/1` answers a state with the same. There is no such key where all are trainable
    parameters of layers without parts.

    Raises `ArgumentError` for tensors of `Axon.Quantization`, and for names of which one goes on from another.

    ## Examples

        iex> state = Axon.ModelState.new(%{"block.0" => %{"kernel" => Nx.tensor([[1.0]]), "bias" => Nx.tensor([2.0])}})
        iex> %{"block" => %{"0" => %{"bias" => bias}}} = Mlx.Axon.to_parameters(state)
        iex> Nx.to_list(bias)
        [2.0]
    """
    @spec to_parameters(state) :: parameters
    def to_parameters(%Axon.ModelState{} = state), do: State.to_parameters(state)

    def to_parameters(other),
      do: Argument.check!(false, "to_parameters", "a state of a model (Axon.ModelState)", other)

    @doc """
    The model state of nested parameters, those of `to_parameters/1` or others: the last part of a name is the parameter, those before
    are the layer, and all are trainable where no marks say otherwise.

    Raises `ArgumentError` for tensors without a layer and for marks that do not fit.

    ## Examples

        iex> state = Axon.ModelState.new(%{"block.0" => %{"kernel" => Nx.tensor([[1.0]])}})
        iex> frozen = Axon.ModelState.freeze(state)
        iex> path = Path.join(System.tmp_dir!(), "mlx_axon_\#{System.unique_integer([:positive])}.safetensors")
        iex> Mlx.NN.save_weights(Mlx.Axon.to_parameters(frozen), path)
        iex> back = Mlx.Axon.from_parameters(Mlx.NN.load_weights(path))
        iex> File.rm!(path)
        iex> {Nx.to_list(back.data["block.0"]["kernel"]), back.frozen_parameters}
        {[[1.0]], %{"block.0" => ["kernel"]}}
    """
    @spec from_parameters(parameters) :: state
    def from_parameters(parameters) when is_map(parameters) and not is_struct(parameters),
      do: State.from_parameters(parameters)

    def from_parameters(other),
      do: Argument.check!(false, "from_parameters", "a map of parameters", other)
  end
end
