"""The only room that knows open_clip's insides: loading, hook points, head masks, image and text encoding."""
