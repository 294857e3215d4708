"""Data that needs no file: drawn scenes, drawn videos, and scikit-learn's handwritten digits.

In: a seed and a number. Out: image sources and captioned videos. Imports images and videos.
"""
