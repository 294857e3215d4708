"""Collections of images: what a source is, how bytes become pictures, folders of classes, and batches.

In: a folder, or a source of another room. Out: batches of pixels and what a reader must be told of the images. A source derives from
`source.ImageSource`; `decoding` asks Pillow what an image is. Imports clip, compute, store and files.
"""
