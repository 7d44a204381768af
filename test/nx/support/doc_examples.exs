defmodule Mlx.DocExamples do
  @moduledoc """
  Runs the examples in the documentation of single functions of Nx, and compares numbers up to rounding. ExUnit's `doctest` runs all
  others, letter by letter.
  """

  import ExUnit.Assertions

  @number ~r/-?\d+\.\d+(?:e-?\d+)?/

  @doc """
  Runs the examples of `{name, arity}` of `module`. With `:tolerance`, numbers may differ by that much of the larger of 1
  and the number expected. With `unsupported: true`, an example may raise `Mlx.UnsupportedError` for its type instead.
  Returns the number of examples.
  """
  def run(module, {name, arity}, options) do
    examples = module |> doc(name, arity) |> examples()
    Enum.each(examples, &run_example(&1, options))
    length(examples)
  end

  defp doc(module, name, arity) do
    {:docs_v1, _, _, _, _, _, docs} = Code.fetch_docs(module)

    Enum.find_value(docs, "", fn
      {{kind, ^name, ^arity}, _, _, %{"en" => text}, _} when kind in [:function, :macro] -> text
      _ -> nil
    end)
  end

  # An example is a run of lines without an empty one; its statements share their variables.
  defp examples(text) do
    text
    |> String.split(~r/\n\s*\n/)
    |> Enum.filter(&(&1 =~ ~r/^\s*iex>/m))
    |> Enum.map(&statements/1)
  end

  # `{code, expected}` for each statement.
  defp statements(example) do
    example
    |> String.split("\n")
    |> Enum.map(&String.trim/1)
    |> Enum.reduce([], fn
      "iex>" <> code, acc -> [{code, ""} | acc]
      "...>" <> code, [{before, ""} | rest] -> [{before <> "\n" <> code, ""} | rest]
      line, [{code, expected} | rest] -> [{code, expected <> " " <> line} | rest]
      _line, [] -> []
    end)
    |> Enum.reverse()
  end

  defp run_example(statements, options) do
    Enum.reduce(statements, [], fn
      {code, " ** (" <> _ = expected}, bindings ->
        error = catch_error(Code.eval_string(code, bindings, __ENV__))
        shown = "** (#{inspect(error.__struct__)}) #{Exception.message(error)}"
        compare(code, shown, expected, nil)
        bindings

      {code, expected}, bindings ->
        {value, bindings} = Code.eval_string(code, bindings, __ENV__)
        if expected != "", do: compare(code, inspect(value), expected, options[:tolerance])
        bindings
    end)
  rescue
    error in Mlx.UnsupportedError ->
      assert options[:unsupported]
      assert error.message =~ ~r/MLX has no type (c128|f8|f8_e4m3fn|[su][24]) /
  end

  defp compare(code, shown, expected, tolerance) do
    shown = squeeze(shown)
    expected = squeeze(expected)

    same? =
      shown == expected or
        (tolerance != nil and
           Regex.replace(@number, shown, "_") == Regex.replace(@number, expected, "_") and
           close?(numbers(shown), numbers(expected), tolerance))

    assert same?, "#{code}\nanswers  #{shown}\nexpected #{expected}"
  end

  defp close?(ours, theirs, tolerance) do
    Enum.zip(ours, theirs)
    |> Enum.all?(fn {a, b} -> abs(a - b) <= tolerance * max(1.0, abs(b)) end)
  end

  # `1.0-2.0i` has a sign, not a minus: both ways the same text around the number.
  defp numbers(text), do: for([number] <- Regex.scan(@number, text), do: String.to_float(number))

  defp squeeze(text), do: text |> String.split() |> Enum.join(" ")
end
