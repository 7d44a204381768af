defmodule Mlx.ReadmeTest do
  # It changes the default device.
  use ExUnit.Case, async: false

  setup do
    device = Mlx.Device.default()
    on_exit(fn -> Mlx.Device.set_default(device) end)
  end

  @tag :tmp_dir
  test "the examples run as written and answer what they say", %{tmp_dir: folder} do
    readme = File.read!("README.md")
    quick_start = blocks(readme, "Quick start")
    assert length(quick_start) >= 3
    blocks = quick_start ++ blocks(readme, "The program")

    {bindings, checked} =
      File.cd!(folder, fn ->
        Enum.reduce(blocks, {[], 0}, fn block, {bindings, checked} ->
          block |> statements() |> Enum.reduce({bindings, checked}, &run/2)
        end)
      end)

    assert checked >= 1

    # What they wrote.
    [x, w] = [bindings[:x], bindings[:w]]

    assert folder |> Path.join("x.npy") |> File.read!() |> Nx.load_numpy!() |> Nx.to_list() ==
             Nx.to_list(x)

    exported = folder |> Path.join("model.mlxnx") |> Mlx.Compiler.import()
    predict = Nx.Defn.jit(fn x, w -> x |> Nx.dot(w) |> Nx.sigmoid() end, compiler: Mlx.Compiler)
    assert Nx.to_list(exported.([x, w])) == Nx.to_list(predict.(x, w))

    for tensor <- [
          Nx.tensor(7, type: :u8),
          Nx.iota({2, 1, 3}, type: :f64),
          Nx.tensor([-1, 2], type: :s16)
        ] do
      path = Path.join(folder, "back.npy")
      Mlx.IO.save(path, tensor)
      back = path |> File.read!() |> Nx.load_numpy!()

      assert {Nx.type(back), Nx.to_list(Nx.reshape(back, {:auto}))} ==
               {Nx.type(tensor), Nx.to_flat_list(tensor)}

      assert Nx.shape(back) == Nx.shape(tensor)
    end
  end

  # The Elixir blocks of the chapter.
  defp blocks(readme, title) do
    [_, chapter] = Regex.run(~r/^## #{title}\n(.*?)^## /ms, readme)
    Regex.scan(~r/^```elixir\n(.*?)^```$/ms, chapter, capture: :all_but_first) |> List.flatten()
  end

  # Each statement with the answer that the comment after it tells, or nil.
  defp statements(block) do
    {quoted, comments} =
      Code.string_to_quoted_with_comments!(block, columns: true)

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
