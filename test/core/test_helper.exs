Code.require_file("support/handles.exs", __DIR__)
Code.require_file("support/vm.exs", __DIR__)
ExUnit.start()
