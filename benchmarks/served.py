"""Times an exported model on single held-out examples, in process and on one core.

Only the SavedModel runs, without mmzoo's task and processors.

    taskset -c 0 python benchmarks/served.py RUN [--signature caption] [--examples 200]
"""

import argparse
import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def milliseconds(answer: Any, examples: list[dict[str, Any]]) -> list[float]:
    """Times each example alone, after ten warm-up examples."""
    times = []
    for example in examples[:10] + examples:
        began = time.perf_counter()
        outputs = answer(**example)
        [value.numpy() for value in outputs.values()]
        times.append(1000 * (time.perf_counter() - began))
    return times[10:]


def raw_examples(run: Path, signature: Any, count: int) -> list[dict[str, Any]]:
    """Reads the first raw examples of the run's held-out split, in batches of one."""
    import tensorflow as tf

    import mmzoo
    from mmzoo.contracts.progress import Screen

    data = mmzoo.load(run).open_data(Screen(quiet=True))
    names = list(signature.structured_input_signature[1])
    batches = data.raw[data.held_out()].examples().take(count).batch(1)
    return [{name: tf.constant(batch[name]) for name in names} for batch in batches]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--signature", default="serving_default")
    parser.add_argument("--examples", type=int, default=200)
    given = parser.parse_args()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    version = max((given.run / "export").glob("[0-9]*"), key=lambda folder: int(folder.name))
    model = tf.saved_model.load(version)
    answer = model.signatures[given.signature]
    times = milliseconds(answer, raw_examples(given.run, answer, given.examples))
    slow = statistics.quantiles(times, n=20)[-1]
    head = json.loads((given.run / "plan.json").read_text())["recipe"]["head"]
    print(f"{given.signature} of {version}, {len(times)} examples one by one, head {head}")
    print(f"median {statistics.median(times):.1f} ms, 95th percentile {slow:.1f} ms")


if __name__ == "__main__":
    main()
