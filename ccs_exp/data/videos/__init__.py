"""Videos and their captions: found below a folder, decoded by exact index, in batches of frames.

In: a local copy of a set in its distributed layout (`sets`), or captions and videos of one's own. Out: `captioned.CaptionedVideos` and
batches of frames. Imports images, compute and files.
"""
