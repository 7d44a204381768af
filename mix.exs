defmodule Mlx.MixProject do
  use Mix.Project

  Code.require_file("tools/mix/compile_native.exs", __DIR__)

  @version "0.1.0"
  @source_url "https://github.com/elixir-mlx/elixir_mlx"

  def project do
    [
      app: :elixir_mlx,
      version: @version,
      elixir: "~> 1.17",
      name: "ElixirMlx",
      description: "An Nx backend and Nx.Defn compiler for Apple's MLX",
      source_url: @source_url,
      start_permanent: Mix.env() == :prod,
      compilers: [:mlxnx] ++ Mix.compilers(),
      elixirc_paths: Enum.map(rooms(), &"lib/#{&1}"),
      # lib/axon is empty without Axon.
      test_paths: for(room <- rooms(), room != "axon" or axon_from(), do: "test/#{room}"),
      deps: deps(nx_from()),
      docs: docs(),
      package: package()
    ]
  end

  def application do
    [mod: {Mlx.Application, []}, extra_applications: [:crypto, :logger]]
  end

  def cli do
    [preferred_envs: [docs: :docs, "hex.publish": :docs]]
  end

  # Where Nx comes from: the checkout that NX_PATH names, Hex, or nowhere. lib/core needs no Nx.
  defp nx_from do
    path = System.get_env("NX_PATH", "")

    cond do
      System.get_env("MLXNX_CORE_ONLY", "") not in ["", "0"] ->
        nil

      path != "" ->
        {:path, Path.expand(path)}

      Code.ensure_loaded?(Hex) ->
        :hex

      true ->
        say_once(
          "elixir_mlx without Mlx.Backend: neither Hex (mix local.hex) nor NX_PATH is there"
        )
    end
  end

  # Where Axon comes from, which lib/axon needs and nothing else.
  defp axon_from do
    path = System.get_env("AXON_PATH", "")

    cond do
      nx_from() == nil -> nil
      path != "" -> {:path, Path.expand(path)}
      nx_from() == :hex -> :hex
      true -> nil
    end
  end

  # The parts of lib and test, each of which needs what stands before it.
  defp rooms, do: if(nx_from(), do: ["core", "nx", "axon"], else: ["core"])

  defp say_once(text) do
    key = {__MODULE__, :said}

    unless :persistent_term.get(key, false) do
      :persistent_term.put(key, true)
      Mix.shell().info(text)
    end

    nil
  end

  defp deps(nil), do: []

  defp deps(:hex) do
    [
      {:nx, "~> 0.13 or ~> 1.0"},
      {:telemetry, "~> 0.4 or ~> 1.0"},
      {:ex_doc, "~> 0.34", only: :docs, runtime: false}
    ] ++ axon(axon_from())
  end

  defp deps({:path, path}) do
    Code.require_file("tools/mix/nx_path.exs", __DIR__)
    Mlx.NxPath.deps(path) ++ axon(axon_from())
  end

  defp axon(nil), do: []
  defp axon(:hex), do: [{:axon, "~> 0.8", optional: true}]

  defp axon({:path, path}) do
    Code.require_file("tools/mix/nx_path.exs", __DIR__)
    Mlx.NxPath.axon(path, System.get_env("POLARIS_PATH", ""))
  end

  defp package do
    [
      licenses: ["MIT"],
      links: %{"GitHub" => @source_url},
      files: ~w(
        lib mix.exs .formatter.exs README.md CHANGELOG.md LICENSE Makefile
        checksums.exs tools/setup.sh tools/setup_elixir.sh tools/put_priv.sh tools/crate_licenses.py tools/dist.exs
        tools/mix/compile_native.exs tools/mix/prebuilt.exs tools/mix/archive.exs
        native/CMakeLists.txt native/CMakePresets.json native/cmake native/include native/src native/nif native/text
        native/bundled_mlxc native/mlx_hooks native/licenses guides
      )
    ]
  end

  defp docs do
    [
      main: "readme",
      source_ref: "v#{@version}",
      extras: [
        "README.md",
        "CHANGELOG.md",
        "docs/architecture.md",
        "docs/limitations.md",
        "docs/ops.md",
        "guides/training.livemd",
        "guides/characters.livemd"
      ],
      groups_for_modules: [
        "With Nx": [Mlx.Axon, Mlx.Backend, Mlx.Compiler, Mlx.Defn, Mlx.Recorder],
        "Neural networks": [
          Mlx.Fast,
          Mlx.NN,
          Mlx.NN.Init,
          Mlx.NN.Layer,
          Mlx.NN.Losses,
          Mlx.NN.Training,
          Mlx.Optimizers
        ],
        "Language models": [Mlx.LLM, Mlx.LLM.Cache, Mlx.LLM.Embedder],
        Files: [Mlx.Checkpoint, Mlx.GGUF, Mlx.Hub, Mlx.IO, Mlx.Quantized, Mlx.Safetensors],
        Core: [Mlx, Mlx.Device, Mlx.Dtype, Mlx.Memory, Mlx.Program, Mlx.Stream, Mlx.Tensor],
        Errors: [Mlx.Error, Mlx.FormatError, Mlx.HubError, Mlx.UnsupportedError]
      ],
      groups_for_docs: [
        Evaluation: &(&1[:type] == :evaluation),
        Information: &(&1[:type] == :information),
        Transforms: &(&1[:type] == :transforms),
        Layers: &(&1[:type] == :layer),
        "Quantized matrices, and changes of low rank": &(&1[:type] == :matrix),
        "Activation functions": &(&1[:type] == :activation),
        Training: &(&1[:type] == :training),
        Schedules: &(&1[:type] == :schedule)
      ]
    ]
  end
end
