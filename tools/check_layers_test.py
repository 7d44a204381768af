#!/usr/bin/env python3
"""Shows that tools/check_layers.py fails where it must and stays silent where it must."""

import pathlib
import tempfile
import unittest

import check_layers


class LayerCheck(unittest.TestCase):
    def found(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                path = root / ("" if name.startswith("lib/") else "native") / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            return list(check_layers.violations(root))

    def assert_one(self, files, words):
        found = self.found(files)
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_a_layer_includes_itself_and_what_stands_above_it(self):
        text = '#include "ops/a.h"\n#include "mlxc/b.h"\n#include "mlxnx/c.h"\n#include <vector>\n'
        self.assertEqual(self.found({"src/ops/a.h": text}), [])

    def test_a_layer_does_not_include_what_stands_below_it(self):
        self.assert_one({"src/mlxc/a.h": '#include "ops/b.h"\n'}, "src/mlxc stands below src/ops")

    def test_the_line_is_named(self):
        self.assert_one({"src/mlxc/a.h": '\n\n#include "ops/b.h"\n'}, "src/mlxc/a.h:3:")

    def test_only_the_lowest_layer_includes_mlx_c(self):
        self.assertEqual(self.found({"src/mlxc/a.h": '#include "mlx/c/array.h"\n'}), [])
        self.assertEqual(self.found({"bundled_mlxc/src/a.h": '#include "mlx/c/array.h"\n'}), [])
        self.assert_one({"src/ops/a.h": '#include <mlx/c/array.h>\n'}, "only src/mlxc")

    def test_only_bundled_mlxc_includes_mlx(self):
        self.assertEqual(self.found({"bundled_mlxc/src/a.h": "#include <mlx/mlx.h>\n"}), [])
        self.assert_one({"src/mlxc/a.h": "#include <mlx/mlx.h>\n"}, "only bundled_mlxc")

    def test_only_nif_includes_erl_nif(self):
        self.assertEqual(self.found({"nif/a.h": "#include <erl_nif.h>\n"}), [])
        self.assert_one({"src/ops/a.h": "#include <erl_nif.h>\n"}, "only nif/")

    def test_leaves_are_included_by_nobody(self):
        self.assert_one({"src/ops/a.h": '#include "cli/b.h"\n'}, "cli/ is a leaf")

    def test_public_headers_stand_alone(self):
        self.assert_one({"include/mlxnx/a.h": '#include "ops/b.h"\n'}, "public header")

    def test_examples_use_public_headers(self):
        self.assert_one({"examples/a.h": '#include "ops/b.h"\n'}, "example")

    def test_parent_folders_are_not_written(self):
        self.assert_one({"src/ops/a.h": '#include "../mlxc/b.h"\n'}, "without '..'")

    def test_unknown_layers_are_reported(self):
        self.assert_one({"src/misc/a.h": ""}, "not a known layer")

    def test_the_provider_of_mlx_c_is_known_to_one_layer(self):
        self.assert_one({"src/ops/a.h": "const char* p = MLXNX_MLXC_PROVIDER;\n"}, "may tell")

    def test_the_core_in_elixir_does_not_name_nx(self):
        self.assert_one({"lib/core/a.ex": "def f(t), do: Nx.add(t, 1)\n"}, "names Nx")
        self.assert_one({"lib/core/a.ex": 'def f, do: "a"\n\nalias Nx, as: N\n'}, "lib/core/a.ex:3: names Nx")

    def test_the_core_in_elixir_does_not_name_what_needs_nx(self):
        backend = {"lib/nx/backend.ex": "defmodule Mlx.Backend do\n  def f, do: Nx.tensor(1)\nend\n"}
        self.assertEqual(self.found({**backend, "lib/core/a.ex": "Mlx.NIF.add()\nMlx.Backends.add()\n"}), [])
        self.assertEqual(self.found({**backend, "lib/core/a.ex": "%{__struct__: Mlx.Backend}\n"}), [])
        self.assert_one({**backend, "lib/core/a.ex": "%Mlx.Backend{}\n"}, "names Mlx.Backend")

    def test_what_needs_nx_in_elixir_does_not_name_axon(self):
        models = {"lib/axon/axon.ex": "if there?() do\n  defmodule Mlx.Axon do\n    def f, do: Axon.input()\n  end\nend\n"}
        self.assertEqual(self.found({**models, "lib/nx/a.ex": "def f(t), do: Nx.add(t, 1)\n"}), [])
        self.assert_one({"lib/nx/a.ex": "Axon.dense(x, 1)\n"}, "lib/nx is compiled without Axon and lib/axon")
        self.assert_one({**models, "lib/nx/a.ex": "Mlx.Axon.optimize(x)\n"}, "names Mlx.Axon")
        self.assert_one({**models, "lib/core/a.ex": "Mlx.Axon.optimize(x)\n"}, "names Mlx.Axon")

    def test_the_core_in_elixir_may_tell_of_nx_in_words(self):
        words = '@doc """\nLike `Nx.add` of \\"Nx\\".\n"""\n@name "Nx.add" # Nx.add\n'
        self.assertEqual(self.found({"lib/core/a.ex": words}), [])

    def test_a_source_that_is_not_built_is_reported(self):
        lists = {"src/ops/CMakeLists.txt": "target_sources(mlxnx PRIVATE sort.cpp)\n"}
        self.assertEqual(self.found({**lists, "src/ops/sort.cpp": ""}), [])
        self.assert_one({**lists, "src/ops/argsort.cpp": ""}, "no CMakeLists.txt names")


if __name__ == "__main__":
    unittest.main()
