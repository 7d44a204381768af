for file <- [
      "handles.exs",
      "calls.exs",
      "gguf_files.exs",
      "vm.exs",
      "tiny_model.exs",
      "tiny_bert.exs"
    ] do
  Code.require_file("support/#{file}", __DIR__)
end

# The threads that share kernels come with the first large one, and stay: tests that count threads have them counted.
Mlx.Handles.values(Mlx.Handles.slow(2))

# Long enough for a machine that does much else.
ExUnit.start(assert_receive_timeout: 20_000)
