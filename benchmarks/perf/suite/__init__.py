"""All comparisons with other programs, run one after the other: ``make perf``.

:mod:`.comparisons` lists them, :mod:`.environments` installs the peers, each in an environment of its
own, :mod:`.results` writes ``benchmarks/perf/RESULTS.md``.
"""
