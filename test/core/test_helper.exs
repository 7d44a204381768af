for file <- ["handles.exs", "calls.exs", "vm.exs"] do
  Code.require_file("support/#{file}", __DIR__)
end

ExUnit.start()
