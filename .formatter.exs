[
  inputs: [
    "{mix,.formatter}.exs",
    "{lib,test,bench}/**/*.{ex,exs}",
    "tools/*.exs",
    "tools/mix/*.exs",
    "checksums.exs"
  ]
]
