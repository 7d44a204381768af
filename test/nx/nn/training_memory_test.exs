defmodule Mlx.NN.TrainingMemoryTest do
  # Memory is counted for the whole VM.
  use ExUnit.Case, async: false

  alias Mlx.{NN, Optimizers}

  test "memory does not grow with the steps" do
    {init, update} = Optimizers.adam(learning_rate: 1.0e-3, bias_correction: true)
    model = NN.layer(:linear, input_dims: 64, output_dims: 96)
    params = NN.init(model, 0)
    x = Nx.iota({32, 64}, type: :f32)

    step =
      Nx.Defn.jit(
        fn params, state, x ->
          {value, slopes} = Mlx.value_and_grad(params, &Nx.sum(NN.call(model, &1, x)))
          {updates, state} = update.(slopes, state, params)
          {value, Optimizers.apply_updates(params, updates), state}
        end,
        compiler: Mlx.Compiler
      )

    # In a process of its own, whose garbage goes when it is asked to.
    growth = fn ->
      after_steps = fn training, count ->
        training =
          Enum.reduce(1..count, training, fn _, {params, state} ->
            {_value, params, state} = Mlx.eval(step.(params, state, x))
            {params, state}
          end)

        :erlang.garbage_collect()
        # What the collector let go of is freed a little later.
        active =
          for _ <- 1..10 do
            Process.sleep(10)
            Mlx.Memory.active()
          end

        {training, Enum.min(active)}
      end

      {training, before} = after_steps.({params, init.(params)}, 20)
      {_training, later} = after_steps.(training, 200)
      later - before
    end

    # What tests before left may go meanwhile, or come to be counted; a step makes 74 KB of tensors.
    assert Enum.any?(1..5, fn _ -> Task.await(Task.async(growth), :infinity) < 100_000 end)
  end
end
