defmodule Mlx.ReadmeTest do
  # It changes the default device.
  use ExUnit.Case, async: false

  setup do
    device = Mlx.Device.default()
    on_exit(fn -> Mlx.Device.set_default(device) end)
  end

  test "the examples of the quick start run as written and answer what they say" do
    blocks = blocks(File.read!("README.md"))
    assert length(blocks) >= 3

    checked =
      Enum.reduce(blocks, {[], 0}, fn block, {bindings, checked} ->
        block |> statements() |> Enum.reduce({bindings, checked}, &run/2)
      end)
      |> elem(1)

    assert checked >= 1
  end

  # The Elixir blocks of the chapter.
  defp blocks(readme) do
    [_, chapter] = Regex.run(~r/^## Quick start\n(.*?)^## /ms, readme)
    Regex.scan(~r/^```elixir\n(.*?)^```$/ms, chapter, capture: :all_but_first) |> List.flatten()
  end

  # Each statement with the answer that the comment after it tells, or nil.
  defp statements(block) do
    {quoted, comments} =
      Code.string_to_quoted_with_comments!(block, unescape: false, columns: true)

    statements =
      case quoted do
        {:__block__, _, list} -> list
        single -> [single]
      end

    starts = Enum.map(statements, &first_line/1)
    ends = Enum.drop(starts, 1) ++ [:infinity]

    for {statement, from, to} <- Enum.zip([statements, starts, ends]) do
      {statement, answer(for(c <- comments, c.line in from..min(to, 10_000), do: c.text))}
    end
  end

  defp first_line(statement) do
    {_, lines} =
      Macro.prewalk(statement, [], fn node, acc ->
        {node, if(line = line_of(node), do: [line | acc], else: acc)}
      end)

    Enum.min(lines)
  end

  defp line_of({_, meta, _}) when is_list(meta), do: meta[:line]
  defp line_of(_), do: nil

  # The lines after the first are told from other comments by what they are indented with.
  defp answer(comments) do
    case Enum.drop_while(comments, &(not String.starts_with?(&1, "#=>"))) do
      [] ->
        nil

      ["#=>" <> first | rest] ->
        rest = Enum.take_while(rest, &String.starts_with?(&1, "#  "))
        squeeze(Enum.join([first | Enum.map(rest, &String.trim_leading(&1, "#"))], " "))
    end
  end

  # Comments can't show the indentation of what they quote.
  defp squeeze(text), do: text |> String.split() |> Enum.join(" ")

  defp run({statement, answer}, {bindings, checked}) do
    if Macro.to_string(statement) =~ ":gpu" and not Mlx.Device.available?(:gpu) do
      assert_raise Mlx.UnsupportedError, fn -> Code.eval_quoted(statement, bindings) end
      {bindings, checked}
    else
      {value, bindings} = Code.eval_quoted(statement, bindings)
      if answer, do: assert(squeeze(inspect(value)) == answer)
      {bindings, if(answer, do: checked + 1, else: checked)}
    end
  end
end
