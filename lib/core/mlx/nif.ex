defmodule Mlx.NIF do
  # The native functions, one stub each; native/nif holds their code.
  @moduledoc false

  @on_load :load

  def load do
    path = path()

    case :erlang.load_nif(String.to_charlist(path), 0) do
      :ok ->
        :ok

      {:error, {:upgrade, _}} ->
        :ok

      {:error, {reason, text}} ->
        IO.puts(:stderr, """
        Mlx.NIF: the native library #{path}.so can't be loaded (#{reason}): #{text}
        Build it with `mix compile`; on a new machine `mix compile --force` builds it anew. If the text above names \
        libmlx or another library, that one has been moved or removed since.\
        """)

        {:error, reason}
    end
  end

  # MLXNX_NIF names the library, without its suffix, where there is no application folder.
  defp path do
    case System.get_env("MLXNX_NIF") do
      nil -> :filename.join(:code.priv_dir(:elixir_mlx), ~c"mlxnx_nif") |> to_string()
      path -> path
    end
  end

  # Tensors
  def from_binary(_type_and_shape, _binary, _where), do: stub()
  def to_binary(_tensor, _limit), do: stub()
  def little_binary(_tensor, _limit), do: stub()
  def eval(_tensors), do: stub()
  def evaluated?(_tensors), do: stub()
  def async_eval(_tensors), do: stub()
  def deallocate(_tensor), do: stub()
  def type_of(_tensor), do: stub()
  def copy(_tensor), do: stub()
  def address(_tensor), do: stub()
  def from_address(_address, _type_and_shape), do: stub()
  def share(_tensor, _permissions), do: stub()
  def claim(_name, _type_and_shape), do: stub()

  # Ops
  def op(_name, _operands, _attributes, _type_and_shape, _where), do: stub()
  def op_many(_name, _operands, _attributes, _types_and_shapes, _where), do: stub()
  def op_names, do: stub()
  def op_attributes(_name), do: stub()
  def op_composed(_name, _operand_types, _attributes, _output_types), do: stub()
  def op_with_function(_ref, _name, _operands, _attributes, _type_and_shape, _where), do: stub()
  def callback_reply(_session, _tensors), do: stub()
  def callback_failed(_session), do: stub()

  # Functions and layers of mlxnx::nn: native/nif/nn.cpp tells what a callable is
  def nn_program(_callable, _types), do: stub()
  def nn_rows, do: stub()
  def nn_matrices(_layer, _options), do: stub()
  def nn_roles(_names), do: stub()
  def nn_summary(_names, _types, _trained), do: stub()

  # Files of tensors: native/nif/files.cpp
  def file_open(_path), do: stub()
  def file_format(_source), do: stub()
  def file_tensors(_source), do: stub()
  def file_metadata(_source), do: stub()
  def file_read(_source, _names, _where), do: stub()
  def gguf_metadata(_file), do: stub()
  def gguf_value(_file, _key), do: stub()
  def gguf_read_quantized(_file, _names, _where), do: stub()
  def safetensors_write(_path, _names, _tensors, _metadata), do: stub()
  def npy_read(_path, _where), do: stub()
  def npy_write(_path, _tensor), do: stub()
  def npz_read(_path, _where), do: stub()
  def npz_write(_path, _names, _tensors, _compressed), do: stub()
  def checkpoint_open(_path, _requantize), do: stub()
  def checkpoint_config(_checkpoint), do: stub()
  def checkpoint_quantization(_checkpoint, _layer), do: stub()
  def checkpoint_chat_template(_checkpoint), do: stub()
  def adapter_read(_path, _where), do: stub()

  # Hubs: native/nif/hub.cpp tells what options are
  def hub_pull(_ref, _repo, _file, _options, _progress?), do: stub()
  def hub_stop(_download), do: stub()
  def hub_find(_repo, _file, _options), do: stub()
  def hub_is_repository(_name), do: stub()
  def hub_default_patterns, do: stub()

  # Language models: native/nif/llm.cpp tells what a prompt is
  def llm_available, do: stub()
  def llm_load(_path, _adapter, _requantize, _where), do: stub()
  def llm_config(_model), do: stub()
  def llm_info(_model), do: stub()
  def llm_encode(_model, _text, _add_special), do: stub()
  def llm_decode(_model, _tokens, _skip_special), do: stub()
  def llm_chat_prompt(_model, _messages, _options, _tokenize), do: stub()
  def llm_request(_model, _prompt, _options, _chat?, _where), do: stub()
  def llm_start(_request, _where), do: stub()
  def llm_next(_generation, _milliseconds), do: stub()
  def llm_stats(_generation), do: stub()
  def llm_close(_generation), do: stub()
  def llm_cache_prompt(_model, _prompt, _options, _path, _where), do: stub()
  def llm_new_cache(_model), do: stub()
  def llm_cache_info(_cache), do: stub()
  def llm_embedder_load(_path, _adapter, _requantize, _where), do: stub()
  def llm_embed(_embedder, _texts, _options, _where), do: stub()

  # Programs: native/nif/program.cpp tells how a region is written
  def program_build(_region, _output_names), do: stub()
  def program_lasts(_program), do: stub()
  def program_run(_program, _tensors, _donated, _where), do: stub()
  def program_run_with_callbacks(_ref, _program, _tensors, _where), do: stub()
  def program_text(_program), do: stub()
  def program_dot(_program), do: stub()
  def program_serialize(_program), do: stub()
  def program_serialize_as(_program, _input_names), do: stub()
  def program_renamed(_program, _input_names), do: stub()
  def program_deserialize(_binary), do: stub()
  def program_region(_program), do: stub()
  def program_transform(_program, _name, _parameters), do: stub()
  def program_signature(_program), do: stub()
  def program_output_names(_program), do: stub()
  def program_callbacks(_program), do: stub()
  def program_bytes(_program), do: stub()
  def program_memory, do: stub()

  # Streams, devices, memory
  def stream_new(_device), do: stub()
  def synchronize(_where), do: stub()
  def default_device, do: stub()
  def set_default_device(_device), do: stub()
  def available_devices, do: stub()
  def set_f64_on_gpu(_setting), do: stub()
  def memory, do: stub()
  def reset_peak_memory, do: stub()
  def clear_cache, do: stub()
  def set_cache_limit(_bytes), do: stub()
  def set_memory_limit(_bytes), do: stub()
  def mlx_version, do: stub()
  def mlxc_provider, do: stub()

  defp stub, do: :erlang.nif_error(:not_loaded)
end
