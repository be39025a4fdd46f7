#!/bin/sh
# The whole road on the embedded data set, offline; `make demo` runs it inside .venv.
# Everything is written below demo/ and replaced by the next run.
set -eu
OUT=demo
start=$(date +%s)

step() { # say what is run, as one would type it, and run it
    printf '\n$ %s\n' "$*" >&2
    "$@"
}

mkdir -p "$OUT"
step edge-train sample digits "$OUT/digits" --overwrite
step edge-train fit "$OUT/digits" --out "$OUT/run" --config demo --weights none --overwrite
step edge-export bundle "$OUT/run" --out "$OUT/bundle" --overwrite

# One photo each of three digits that the network has not seen.
set --
for digit in 2 5 8; do
    set -- "$@" "$(find "$OUT/digits/test/$digit" -name '*.png' | sort | head -n 1)"
done
step edge-classify image --model "$OUT/bundle" "$@" --top-k 3
step edge-classify gradcam --model "$OUT/run" "$3" --out "$OUT/gradcam.png" --overwrite
# A network that answers in a tenth of a millisecond: short rounds and a wide interval do for it.
step edge-bench run "$OUT/bundle" --data "$OUT/digits/test" --rounds 3 --min-seconds 1 \
	--max-interval 25 --out "$OUT/bench.json" --overwrite

python - "$OUT" "$start" <<'PYTHON'
import json
import sys
import time

out, start = sys.argv[1], int(sys.argv[2])
with open(f"{out}/run/metrics.json") as stream:
    test = json.load(stream)["test"]
print(f"""
Made in {time.time() - start:.0f} s, below {out}/:
  digits/       1,797 handwritten digits of scikit-learn, in train/ val/ test/
  run/          the trained network, its metrics and curves (training_history.png)
  bundle/       what a device needs: model files, labels, manifest.json, parity.json
  gradcam.png   where the network looked
  bench.json    what each format costs on this machine
No ImageNet weights were used: the network was trained from scratch.
Test accuracy: {test["accuracy"]:.1%} of {test["n"]} digits that it had not seen.""")
if test["accuracy"] < 0.95:
    sys.exit("The demo is expected to reach 95 %: something is wrong with this installation.")
PYTHON
