"""Peak memory of decomposition by number of probe images: a process for each number, ViT-B-32 with random weights.

python benchmarks/decomposition_memory.py [500 5000]
"""

from __future__ import annotations

import resource
import subprocess
import sys

COUNTS = [500, 5_000]


def measure(images: int) -> None:
    import numpy as np
    from PIL import Image

    from ccs_exp.clip.loading import load_clip
    from ccs_exp.compute import Compute
    from ccs_exp.data.batches import ImageData
    from ccs_exp.data.images import Sample
    from ccs_exp.scoring.decompose import decompose

    class Noise:
        in_memory, class_names = True, ("noise",)

        def __len__(self) -> int:
            return images

        def __getitem__(self, index: int) -> Sample:
            pixels = np.random.default_rng(index).integers(0, 255, (224, 224, 3), dtype=np.uint8)
            return Sample(str(index), Image.fromarray(pixels), 0)

    model = load_clip("ViT-B-32-quickgelu")
    moments = decompose(model, ImageData(Noise(), model.preprocess, batch_size=64), Compute(device="cpu", progress=False))
    assert moments.num_images == images
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or COUNTS
    peaks = []
    for count in counts:
        command = [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {sys.path[0]!r}); import decomposition_memory as d; d.measure({count})",
        ]
        peaks.append(float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]))
        print(f"{count:6d} images   peak {peaks[-1]:8.1f} MiB   {peaks[-1] / peaks[0]:.3f}x", flush=True)


if __name__ == "__main__":
    main()
