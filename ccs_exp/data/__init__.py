"""Images and videos with their classes or captions, and their batches for Lightning.

In: settings of a data set or probe, and files. Out: sources (`images.source`, `videos.captioned`) and batches of pixels (`images.batches`,
`videos.frame_batches`). Imports config, clip's preprocessing and class names, compute's shares, store and files; knows no head.
"""
