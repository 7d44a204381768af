defmodule Mlx.VM do
  @moduledoc """
  Facts about this VM's operating system process, and other VMs to try things that could end this one.
  """

  @handles Path.join(__DIR__, "handles.exs")

  @doc """
  Runs `code`, which may use `Mlx.Handles`, in a VM of its own whose input is empty. Returns `{output, exit status}`.
  """
  def run(code, env \\ []) do
    paths = for path <- :code.get_path(), path = to_string(path), path =~ "/lib/", do: path
    arguments = Enum.flat_map(paths, &["-pa", &1]) ++ ["-r", @handles, "-e", code]
    without_input = ["-c", ~S(exec elixir "$@" < /dev/null), "elixir" | arguments]
    System.cmd("sh", without_input, stderr_to_stdout: true, env: env)
  end

  @doc "Bytes of memory that the operating system counts for this process; nil where it can't be asked."
  def resident_bytes do
    with text when is_binary(text) <- proc_status("VmRSS"), do: 1024 * String.to_integer(text)
  end

  @doc "Threads of this process; nil where it can't be asked."
  def threads do
    with text when is_binary(text) <- proc_status("Threads"), do: String.to_integer(text)
  end

  defp proc_status(key) do
    with {:ok, status} <- File.read("/proc/self/status"),
         [_, number] <- Regex.run(~r/^#{key}:\s+(\d+)/m, status) do
      number
    else
      _ -> nil
    end
  end
end
