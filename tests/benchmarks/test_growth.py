import json
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def test_the_growth_benchmark_walks_the_default_loop_on_banks_of_its_own() -> None:
    asked = ["--images", "24", "--extracted", "--threads", "1"]
    done = subprocess.run(
        [sys.executable, "benchmarks/growth.py", *asked],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["extraction"] == told["patches"] == []
    (walked,) = told["loop"]
    # Of an image 8 views of 944 features, 100 patches of 432 channels and 400 fine ones of 152, and as many
    # colours of 4, two bytes each.
    assert walked["bank_mb"] == 24 * 2 * (8 * 944 + 100 * 432 + 400 * (152 + 4)) / 1e6
    assert 0 <= walked["removed"] < 24
