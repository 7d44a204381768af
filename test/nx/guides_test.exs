defmodule Mlx.GuidesTest do
  # The code of guides runs, a block after the other, and ends as they say.
  use ExUnit.Case, async: false

  import ExUnit.CaptureIO

  setup do
    backend = Nx.default_backend()
    on_exit(fn -> Nx.default_backend(backend) end)
  end

  # What each block but the first, which installs, answers.
  defp run(path) do
    [install | blocks] =
      Regex.scan(~r/```elixir\n(.*?)```/s, File.read!(path)) |> Enum.map(&List.last/1)

    assert install =~ "Mix.install"

    # Names and aliases stay from block to block.
    {answers, _} =
      Enum.map_reduce(blocks, {[], Code.env_for_eval([])}, fn block, {binding, env} ->
        {answer, binding, env} =
          block |> Code.string_to_quoted!() |> Code.eval_quoted_with_env(binding, env)

        {answer, {binding, env}}
      end)

    answers
  end

  test "training.livemd" do
    text =
      capture_io(fn ->
        [weight, :ok, accuracy, probabilities, loss] = run("guides/training.livemd")
        assert weight.shape == {32, 2}
        assert accuracy > 0.95
        assert probabilities |> Nx.argmax(axis: 1) |> Nx.to_list() == [0, 1]
        assert loss < 2
      end)

    assert length(Regex.scan(~r/epoch \d+\/30  step/, text)) == 30
  end

  test "characters.livemd" do
    text =
      capture_io(fn ->
        [{length, count}, by_frequencies, :ok, loss, written, tuned] =
          run("guides/characters.livemd")

        assert length > 30_000
        assert by_frequencies > 2.5 and by_frequencies < :math.log(count)
        # No model that takes each character by itself gets there.
        assert loss < by_frequencies - 1

        for text <- [written, tuned] do
          assert String.length(text) == 124
          assert String.starts_with?(text, "The ")
        end
      end)

    assert text =~ ~r/head.bias +f32 +\S+ +yes/
    assert length(Regex.scan(~r/epoch \d\/8  step/, text)) == 8
    # The second model is tuned, and its matrices stay as they are.
    losses =
      for [_, loss] <- Regex.scan(~r/\/3  step \d+  loss ([\d.]+)/, text),
          do: String.to_float(loss)

    assert length(losses) == 3
    assert List.last(losses) < hd(losses) - 0.1
    assert text =~ ~r/linear1.weight +u32 +\S+ \S+ +no/
    assert text =~ ~r/linear1.lora_a +f32 +\S+ \S+ +yes/
  end
end
