"""The only room that knows open_clip's insides: loading, hook points, head masks, image and text encoding."""

from ccs_exp.clip import torchvision_operators as torchvision_operators  # before anything imports torchvision
