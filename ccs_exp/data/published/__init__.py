"""Published data sets of labelled images: opened from the hub or a local copy, and compared with what is known of them.

In: the settings of a file in ``conf/dataset``, where a data set is added. Out: an image source (`open_set`; of people `people`). `layouts`
knows how copies are laid out, `tars`, `parquet` and `stream` the formats, `classes` the names. Imports images, config and files.
"""
