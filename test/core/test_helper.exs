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

# Long enough for a machine that does much else.
ExUnit.start(assert_receive_timeout: 20_000)
