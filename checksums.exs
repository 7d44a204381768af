# The SHA-256 of each archive that `mix compile` takes where MLXNX_PREBUILT is set: `make checksums` writes it.
%{}
