"""Labels and verdicts of all heads of a file, asked of a language-model server on loopback: load, caching, kills, failures.

    python benchmarks/judge_load.py FILE [--latency 0.2] [--concurrency 16] [--failing 0.2]

FILE holds descriptions as `spans.path` takes them. The server is that of the tests and answers after `latency` seconds; the client is the
real one. Prints: wall time one at a time and concurrently; the requests of a second run; what three SIGKILLs at random moments
lose; whether failures of many kinds in a share of the replies change a score.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from loopback import Loopback, completion, serving

from ccs_exp.scoring.ccs import Scores, Thresholds, score
from ccs_exp.scoring.judges.language_model import OpenAIJudge
from ccs_exp.scoring.judges.language_model_labeler import OpenAILabeler
from ccs_exp.scoring.spans import read_spans

MODEL = "gpt-4o-2024-08-06"


def scores(path: str, url: str, concurrency: int, timeout_s: float = 60) -> Scores:
    settings = {"model": MODEL, "base_url": url, "concurrency": concurrency, "timeout_s": timeout_s}
    return score(read_spans(path), OpenAILabeler(**settings), OpenAIJudge(**settings), Thresholds())


def fresh_cache() -> Path:
    folder = tempfile.mkdtemp(prefix="replies-")
    os.environ["CCS_EXP_CACHE"] = folder
    return Path(folder)


def kept(cache: Path) -> set[str]:
    return {path.name for path in cache.glob("replies/[0-9a-f][0-9a-f]/*.json")}


def load(path: str, latency: float, concurrency: int) -> Scores:
    times = {}
    with serving(Loopback(latency=latency)) as server:
        for workers in (1, concurrency):
            fresh_cache()
            started = time.perf_counter()
            found = scores(path, server.url, workers)
            times[workers] = time.perf_counter() - started
            print(f"concurrency {workers:3d}   {times[workers]:6.2f} s, {len(server.bodies)} requests, {server.busiest} at once")
            server.bodies.clear()
        print(f"ratio             {times[1] / times[concurrency]:6.2f}")
        started = time.perf_counter()
        again = scores(path, server.url, concurrency)
        print(
            f"second run      {time.perf_counter() - started:6.2f} s, {len(server.bodies)} requests, same scores: {again == found}"
        )
    return found


def kills(path: str, latency: float, concurrency: int, reference: Scores, moments: int = 3) -> None:
    cache = fresh_cache()
    code = f"import judge_load; judge_load.scores({path!r}, sys.argv[1], {concurrency})"
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); {code}"
    with serving(Loopback(latency=latency)) as server:
        whole: dict[str, bytes] = {}
        for number in range(moments):
            running = subprocess.Popen([sys.executable, "-c", code, server.url])
            before = len(server.bodies)
            while len(server.bodies) == before:
                time.sleep(0.005)
            time.sleep(random.uniform(0.1, 1.2))
            running.send_signal(signal.SIGKILL)
            running.wait()
            lost = [name for name in whole if name not in kept(cache)]
            whole = {name: (cache / "replies" / name[:2] / name).read_bytes() for name in kept(cache)}
            for content in whole.values():
                json.loads(content)
            print(
                f"SIGKILL {number + 1}         {len(server.bodies)} requests sent so far, {len(whole)} replies kept, {len(lost)} lost"
            )
        at_last_kill = len(server.bodies)
        found = scores(path, server.url, concurrency)
        changed = [name for name, content in whole.items() if (cache / "replies" / name[:2] / name).read_bytes() != content]
        print(
            f"resumed           {len(server.bodies) - at_last_kill} requests more; {server.distinct} distinct in all, "
            f"{len(kept(cache))} replies kept, {len(changed)} of the earlier ones changed; same scores: {found == reference}"
        )


def failures(path: str, concurrency: int, share: float, reference: Scores) -> None:
    """A fixed share of all attempts fails, in twelve ways."""
    lock, draw = threading.Lock(), random.Random(0)
    seen = dict.fromkeys(KINDS, 0)

    def fail(_body: dict, _seen: int):
        with lock:
            if draw.random() >= share:
                return None
            kind = draw.choice(list(KINDS))
            seen[kind] += 1
            return KINDS[kind]

    fresh_cache()
    with serving(Loopback(latency=0.02, fail=fail)) as server:
        started = time.perf_counter()
        found = scores(path, server.url, concurrency, timeout_s=1.5)
        same = sum(one == other for one, other in zip(found.heads, reference.heads, strict=True))
        print(
            f"failures          {sum(seen.values())} of {len(server.bodies)} attempts ({', '.join(f'{n} {k}' for k, n in seen.items())})"
        )
        seconds = time.perf_counter() - started
        judged = f"{same} of {len(reference.heads)} heads scored the same, {found.unjudged} descriptions unjudged"
        print(f"                  {seconds:.1f} s; {judged}")


def _error(status: int, headers: dict | None = None):
    return lambda handler, _body: handler.send(status, {"error": {"message": "busy"}}, headers)


def _says(content: str | None = None, **changes):
    return lambda handler, body: handler.send(200, completion(body, content, **changes))


KINDS = {
    "429": _error(429, {"Retry-After": "0.3"}),
    "500": _error(500),
    "503": _error(503),
    "dropped": lambda handler, _body: handler.drop(),
    "half a body": lambda handler, _body: (handler.send(200, b'{"id', {"Content-Length": "999"}), handler.drop()),
    "slow body": lambda handler, body: handler.trickle(body, 6.0),
    "refusal": _says(message={"content": None, "refusal": "no"}),
    "filter": _says(choice={"finish_reason": "content_filter"}),
    "truncated": _says('{"verdict": "al', choice={"finish_reason": "length"}),
    "no JSON": _says("Sure! The answer is aligned."),
    "wrong schema": _says('{"answer": "aligned"}'),
    "HTML": lambda handler, _body: handler.send(200, b"<html>gateway</html>", kind="text/html"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--failing", type=float, default=0.2)
    options = parser.parse_args()
    os.environ["OPENAI_API_KEY"] = "loopback"
    reference = load(options.file, options.latency, options.concurrency)
    kills(options.file, options.latency, options.concurrency, reference)
    failures(options.file, options.concurrency, options.failing, reference)


if __name__ == "__main__":
    main()
