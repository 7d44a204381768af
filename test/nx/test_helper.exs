for file <- Path.wildcard(Path.join(__DIR__, "support/**/*.exs")), do: Code.require_file(file)

# Long enough for a machine that does much else.
ExUnit.start(assert_receive_timeout: 20_000)
